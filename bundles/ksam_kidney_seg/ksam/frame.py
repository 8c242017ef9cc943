"""The square that the network sees of a slice, and the way back: geometry in one place, exact both ways."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from common.errors import ConfigError, InputError

CROPS = ("none", "body", "region")
BODY_HU = -300.0
"""Above lung and air, below fat: what is more is body or table."""

TABLE_SHARE = 0.01
"""Parts thinner than this share of the slice are opened away: the shell of a table, tubes, sheets."""

OUTSIDE_LOGIT = -20.0
"""Logit of slice pixels that the square leaves out: surely not the structure."""

_BLACK = 0.0


@dataclass(frozen=True)
class Window:
    """CT window: which HU become 0 (black) and 255 (white).

    Args:
        center_hu: HU in the middle.
        width_hu: HU from black to white, positive.

    Raises:
        ConfigError: the width is not positive.
    """

    center_hu: float
    width_hu: float

    def __post_init__(self) -> None:
        if not self.width_hu > 0:
            raise ConfigError(
                f"window: expected a width above 0 HU, got {self.width_hu:g}: correct window.width_hu"
            )

    def apply(self, slice_hu: np.ndarray) -> np.ndarray:
        """HU of any shape -> float32 0..255, clipped."""
        low = self.center_hu - self.width_hu / 2
        scaled = (np.asarray(slice_hu, dtype=np.float32) - low) * (255.0 / self.width_hu)
        return np.clip(scaled, 0.0, 255.0)


@dataclass(frozen=True)
class Frame:
    """A square of a slice, scaled to the network's input.

    Attributes:
        box_px: (y0, x0, side) in slice pixels; the square may reach outside, where it is black (air).
        shape_px: (rows, columns) of the slice.
        size_px: edge S of the network's input.
    """

    box_px: tuple[int, int, int]
    shape_px: tuple[int, int]
    size_px: int

    def to_network(self, image: np.ndarray, window: Window | None = None) -> np.ndarray:
        """Slice -> what the network sees.

        Args:
            image: (r, c) HU with a window; (r, c) or (r, c, 3) grey or RGB 0..255 without one.
            window: of a CT slice.

        Returns:
            float32 (3, S, S), RGB 0..255.

        Raises:
            InputError: another size, NaN, or values outside 0..255 without a window.
        """
        self._check_shape(image)
        pixels = window.apply(image) if window else np.asarray(image, dtype=np.float32)
        if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 255:
            raise InputError(
                "expected pixel values from 0 to 255, or CT values in HU and a window, got values from "
                f"{pixels.min():g} to {pixels.max():g}: give the task a window, or an 8-bit picture"
            )
        square = np.atleast_3d(_resize(self._cut(pixels), self.size_px))
        return np.ascontiguousarray(
            np.broadcast_to(square, (self.size_px, self.size_px, 3)).transpose(2, 0, 1)
        )

    def mask_to_network(self, mask: np.ndarray) -> np.ndarray:
        """Mask (r, c) bool -> float32 (S, S): share of each network pixel that the mask covers, 0..1.

        Raises:
            InputError: another size.
        """
        self._check_shape(mask)
        return np.clip(_resize(self._cut(np.asarray(mask, dtype=np.float32)), self.size_px), 0.0, 1.0)

    def to_slice(self, logits: np.ndarray) -> np.ndarray:
        """Network output -> slice, bilinear.

        Args:
            logits: (n, S, S).

        Returns:
            float32 (n, r, c); `OUTSIDE_LOGIT` where the square does not reach.

        Raises:
            InputError: not n maps of S x S.
        """
        if logits.ndim != 3 or logits.shape[1:] != (self.size_px, self.size_px):
            raise InputError(
                f"expected logits (n, {self.size_px}, {self.size_px}), got {logits.shape}: "
                "use the frame that the image was made with"
            )
        y0, x0, side = self.box_px
        rows, columns = self.shape_px
        inside = (slice(max(y0, 0), min(y0 + side, rows)), slice(max(x0, 0), min(x0 + side, columns)))
        shifted = tuple(
            slice(part.start - start, part.stop - start) for part, start in zip(inside, (y0, x0), strict=True)
        )
        result = np.full((len(logits), rows, columns), OUTSIDE_LOGIT, dtype=np.float32)
        for target, source in zip(result, np.asarray(logits, dtype=np.float32), strict=True):
            target[inside] = cv2.resize(source, (side, side), interpolation=cv2.INTER_LINEAR)[shifted]
        return result

    def _check_shape(self, image: np.ndarray) -> None:
        if image.shape[:2] != self.shape_px or image.shape[2:] not in ((), (3,)):
            raise InputError(
                f"expected a slice of {self.shape_px[0]} x {self.shape_px[1]} pixels, got {image.shape}: "
                "build a frame for this slice"
            )

    def _cut(self, image: np.ndarray) -> np.ndarray:
        """The square in slice pixels, black where it reaches outside."""
        y0, x0, side = self.box_px
        rows, columns = self.shape_px
        top, left = max(-y0, 0), max(-x0, 0)
        bottom, right = max(y0 + side - rows, 0), max(x0 + side - columns, 0)
        inner = image[max(y0, 0) : y0 + side, max(x0, 0) : x0 + side]
        padding = ((top, bottom), (left, right), *((0, 0),) * (image.ndim - 2))
        return np.pad(inner, padding, constant_values=_BLACK)


def build_frame(image: np.ndarray, crop: str = "none", size_px: int = 256) -> Frame:
    """The square of one slice.

    Args:
        image: (r, c) HU, or (r, c) or (r, c, 3) picture.
        crop: "none": the whole slice, centred in the smallest square; "body": around the body (CT only);
            "region": the square of the first of two steps, see `region` (CT: the body, pictures: whole).
        size_px: edge S of the network's input.

    Raises:
        ConfigError: another crop, or "body" for a picture.
    """
    check_crop(crop)
    shape_px = (int(image.shape[0]), int(image.shape[1]))
    if crop == "none" or (crop == "region" and image.ndim == 3):
        return Frame(_square(0, 0, *shape_px), shape_px, size_px)
    if image.ndim != 2:
        raise ConfigError("crop: expected 'none' for a colour picture, got 'body': correct the task's crop")
    return Frame(_square(*find_body_box(image)), shape_px, size_px)


def build_volume_frame(voxels_hu: np.ndarray, crop: str = "none", size_px: int = 256) -> Frame:
    """One square for all slices of a volume, so that it does not jump from slice to slice.

    Args:
        voxels_hu: (R, C, Z) axial view.
        crop, size_px: as in `build_frame`; the body is the box around the bodies of all slices.

    Raises:
        ConfigError: another crop.
    """
    check_crop(crop)
    shape_px = (int(voxels_hu.shape[0]), int(voxels_hu.shape[1]))
    if crop == "none" or voxels_hu.shape[2] == 0:
        return Frame(_square(0, 0, *shape_px), shape_px, size_px)
    found = (_body_box(voxels_hu[:, :, z]) for z in range(voxels_hu.shape[2]))
    boxes = np.array([box for box in found if box is not None])
    if not len(boxes):
        return Frame(_square(0, 0, *shape_px), shape_px, size_px)
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return Frame(_square(*low.tolist(), *high.tolist()), shape_px, size_px)


def check_crop(crop: str) -> str:
    """`crop` if there is such a crop. Raises ConfigError."""
    if crop not in CROPS:
        raise ConfigError(f"crop: expected one of {', '.join(CROPS)}, got '{crop}': correct the setting")
    return crop


def find_body_box(slice_hu: np.ndarray) -> tuple[int, int, int, int]:
    """Box (y0, x0, y1, x1), end exclusive, of the largest part above `BODY_HU`; all of an empty slice."""
    box = _body_box(slice_hu)
    return (0, 0, *slice_hu.shape) if box is None else box


def _body_box(slice_hu: np.ndarray) -> tuple[int, int, int, int] | None:
    body = (np.asarray(slice_hu) > BODY_HU).astype(np.uint8)
    thin_px = 2 * round(TABLE_SHARE * min(body.shape) / 2) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (thin_px, thin_px))
    opened = cv2.morphologyEx(body, cv2.MORPH_OPEN, kernel)
    count, _, stats, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        return None
    x, y, width, height, _ = stats[1:][stats[1:, cv2.CC_STAT_AREA].argmax()].tolist()
    return y, x, y + height, x + width


def _square(y0: int, x0: int, y1: int, x1: int) -> tuple[int, int, int]:
    """The smallest square with the same centre (to half a pixel)."""
    side = max(y1 - y0, x1 - x0)
    return y0 - (side - (y1 - y0)) // 2, x0 - (side - (x1 - x0)) // 2, side


def _resize(square: np.ndarray, size_px: int) -> np.ndarray:
    """Area mean when it shrinks (no aliasing), bilinear when it grows; pixel centres stay aligned."""
    way = cv2.INTER_AREA if square.shape[0] > size_px else cv2.INTER_LINEAR
    return cv2.resize(square, (size_px, size_px), interpolation=way)
