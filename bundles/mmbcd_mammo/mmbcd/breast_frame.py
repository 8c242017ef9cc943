"""The detector's view of a mammogram: the breast alone, scaled to fit; boxes go there and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from common.errors import ConfigError
from common.networks.focalnet_dino.model import STRIDE_PX

from .rois import resize

_MEAN = torch.tensor(IMAGENET_DEFAULT_MEAN).view(3, 1, 1)
_STD = torch.tensor(IMAGENET_DEFAULT_STD).view(3, 1, 1)


@dataclass(frozen=True)
class BreastFrame:
    """Where the breast lies in the mammogram, and how large the detector sees it.

    Boxes of the detector are parts of the breast's box, so that the scale does not enter: there and back is
    exact.

    Attributes:
        breast_px: (y0, x0, y1, x1) in the mammogram, ends exclusive.
        canvas_px: (H, W) that the detector is given.
        seen_px: (h, w) of it that the breast fills, from its upper left corner.
    """

    breast_px: tuple[int, int, int, int]
    canvas_px: tuple[int, int]
    seen_px: tuple[int, int]

    def to_pixels(self, boxes: np.ndarray) -> np.ndarray:
        """(n, 4) cx, cy, w, h in parts of the breast -> x0, y0, x1, y1 in the picture, cut to the breast."""
        y0, x0, y1, x1 = self.breast_px
        scaled = np.asarray(boxes, dtype=np.float64) * (x1 - x0, y1 - y0, x1 - x0, y1 - y0)
        low = scaled[:, :2] - scaled[:, 2:] / 2 + (x0, y0)
        return np.clip(np.hstack((low, low + scaled[:, 2:])), (x0, y0, x0, y0), (x1, y1, x1, y1))

    def to_parts(self, boxes_px: np.ndarray) -> np.ndarray:
        """(n, 4) x0, y0, x1, y1 in pixels of the mammogram -> cx, cy, w, h in parts of the breast, cut to it.

        Boxes outside of the breast are left out.
        """
        y0, x0, y1, x1 = self.breast_px
        boxes = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4)
        boxes = np.clip(boxes, (x0, y0, x0, y0), (x1, y1, x1, y1)) - (x0, y0, x0, y0)
        parts = boxes / (x1 - x0, y1 - y0, x1 - x0, y1 - y0)
        parts = parts[(parts[:, 2:] > parts[:, :2]).all(axis=1)]
        return np.hstack(((parts[:, :2] + parts[:, 2:]) / 2, parts[:, 2:] - parts[:, :2]))


def fit_breast(breast_px: tuple[int, int, int, int], image_size: tuple[int, int]) -> BreastFrame:
    """The largest size at which the breast fits into (H, W) without changing its shape.

    Raises:
        ConfigError: H or W is not a positive multiple of 32.
    """
    if any(size < STRIDE_PX or size % STRIDE_PX for size in image_size):
        raise ConfigError(
            f"image_size: expected rows and columns as multiples of {STRIDE_PX}, got {tuple(image_size)}: "
            "1024 and 1024 are usual"
        )
    y0, x0, y1, x1 = breast_px
    scale = min(image_size[0] / (y1 - y0), image_size[1] / (x1 - x0))
    seen = tuple(
        min(max(round(side * scale), 1), most)
        for side, most in zip((y1 - y0, x1 - x0), image_size, strict=True)
    )
    return BreastFrame(breast_px, (image_size[0], image_size[1]), (seen[0], seen[1]))


def prepare_breast(
    pixels: np.ndarray, breast_px: tuple[int, int, int, int], image_size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor, BreastFrame]:
    """What the detector is given, in training as in inference.

    Args:
        pixels: the mammogram (rows, columns) float32, 0..1.
        breast_px: (y0, x0, y1, x1), ends exclusive.
        image_size: (H, W), multiples of 32.

    Returns:
        Image (3, H, W) float32, normalised with ImageNet's mean and deviation, zero in the padding; mask
        (H, W) bool, true in the padding; the frame.

    Raises:
        ConfigError: see `fit_breast`.
    """
    frame = fit_breast(breast_px, image_size)
    y0, x0, y1, x1 = breast_px
    rows, columns = frame.seen_px
    seen = torch.from_numpy(resize(np.ascontiguousarray(pixels[y0:y1, x0:x1], np.float32), frame.seen_px))
    image, mask = torch.zeros(3, *frame.canvas_px), torch.ones(frame.canvas_px, dtype=torch.bool)
    image[:, :rows, :columns] = (seen - _MEAN) / _STD
    mask[:rows, :columns] = False
    return image, mask, frame
