"""Regions of interest: which boxes are kept, and the pictures cut out at them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torchvision.ops import nms

from common.errors import ConfigError, InputError

K = 8
"""Regions of a picture (released code)."""

IOU = 0.1
"""Boxes that overlap a better one by more are dropped (paper)."""


@dataclass(frozen=True, eq=False)
class RoiSet:
    """The regions of one mammogram, best first.

    Attributes:
        boxes_px: (k, 4) float32 x0, y0, x1, y1 in pixels of the whole picture, x0 < x1 and y0 < y1.
        scores: (k,) float32, 0..1; only their order means something.
    """

    boxes_px: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)


def select_rois(boxes_px: np.ndarray, scores: np.ndarray, k: int = K, iou: float = IOU) -> RoiSet:
    """Greedy non-maximum suppression, then the k best.

    There is no threshold of the score: the best of a picture may well have 0.03, and a region is wanted all
    the same (choice; released code).

    Args:
        boxes_px: (n, 4) x0, y0, x1, y1; those without an area are left out.
        scores: (n,).
        k: at most so many are kept.
        iou: two kept boxes overlap by at most this.

    Raises:
        ConfigError: k below 1, or iou outside 0..1.
    """
    check_selection(k, iou)
    boxes = torch.as_tensor(boxes_px, dtype=torch.float32).reshape(-1, 4)
    values = torch.as_tensor(scores, dtype=torch.float32)
    real = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    boxes, values = boxes[real], values[real]
    best = nms(boxes, values, iou)[:k]
    return RoiSet(boxes[best].numpy(), values[best].numpy())


def check_selection(k: int, iou: float) -> None:
    """Raises ConfigError: see `select_rois`."""
    if not (isinstance(k, int) and k >= 1 and isinstance(iou, (int, float)) and 0 <= iou <= 1):
        raise ConfigError(f"rois: expected at least 1 and iou 0..1, got {k} and {iou}: 8 and 0.1 are usual")


def check_crops(size_px: int, context: float) -> None:
    """Raises ConfigError: see `crop_rois`."""
    if not (size_px >= 1 and isinstance(context, (int, float)) and context >= 1):
        raise ConfigError(
            f"regions: expected a size from 1 and a context from 1, got {size_px} and {context}: correct them"
        )


def clip_boxes(boxes_px: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    """Boxes (n, 4) cut to a picture (rows, columns).

    Raises:
        InputError: a box lies outside of it altogether.
    """
    rows, columns = shape
    clipped = np.clip(boxes_px, 0, (columns, rows, columns, rows))
    outside = np.flatnonzero((clipped[:, 2:] <= clipped[:, :2]).any(axis=1))
    if outside.size:
        raise InputError(
            f"{name}: expected boxes inside its {columns}x{rows} pixels, got {outside.size} not in it, "
            f"box {outside[0]} first: give the boxes of this picture"
        )
    return clipped


def crop_rois(
    pixels: np.ndarray, boxes_px: np.ndarray, size_px: int = 224, context: float = 1.0, square: bool = True
) -> np.ndarray:
    """Cut regions out of the picture at its full resolution.

    Args:
        pixels: (H, W) float32, 0..1.
        boxes_px: (k, 4) x0, y0, x1, y1.
        size_px: S, edge of the regions.
        context: how much larger than the box is cut, 1 for the box itself.
        square: cut a square over the longer side, so that shapes are kept (choice); otherwise the box is
            stretched to a square (released code). Beyond the picture it is dark.

    Returns:
        (k, 3, S, S) float32, 0..1, three equal channels.

    Raises:
        ConfigError: size_px below 1 or context below 1.
    """
    check_crops(size_px, context)
    boxes = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4)
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) * context
    if square:
        sizes = np.repeat(sizes.max(axis=1, keepdims=True), 2, axis=1)
    low = np.rint(centres - sizes / 2).astype(int)
    high = np.maximum(np.rint(centres + sizes / 2).astype(int), low + 1)
    crops = np.zeros((len(boxes), 3, size_px, size_px), np.float32)
    for number, (start, end) in enumerate(zip(low, high, strict=True)):
        crops[number] = resize(_cut(pixels, start, end), (size_px, size_px))
    return crops


def resize(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) float32 -> (rows, columns), mean over areas where it shrinks, linear where it grows."""
    shrinks = shape[0] * shape[1] < pixels.shape[0] * pixels.shape[1]
    return cv2.resize(pixels, shape[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _cut(pixels: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The pixels from (x, y) `low` to `high`, exclusive; zero where there are none."""
    cut = np.zeros((high[1] - low[1], high[0] - low[0]), np.float32)
    (x0, y0), (x1, y1) = np.maximum(low, 0), np.minimum(high, pixels.shape[::-1])
    if x0 < x1 and y0 < y1:
        cut[y0 - low[1] : y1 - low[1], x0 - low[0] : x1 - low[0]] = pixels[y0:y1, x0:x1]
    return cut
