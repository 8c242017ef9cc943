"""Fields over a picture that pseudo structures are cut from: depth, direction, brightness, lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import cv2
import numpy as np

_INSIDE = 0.9  # share of a structure that must lie in another to be a part of it


class View:
    """A picture of an episode with its masks; fields are computed when first asked for.

    Args:
        image: uint8 (S, S, 3).
        masks: bool (n, S, S).
    """

    def __init__(self, image: np.ndarray, masks: np.ndarray) -> None:
        self.image, self.masks = image, masks.astype(bool)
        self._kept: dict[tuple[str, int, int], np.ndarray] = {}

    @cached_property
    def present(self) -> tuple[int, ...]:
        """Structures with at least one pixel."""
        return tuple(np.flatnonzero(self.masks.any(axis=(1, 2))).tolist())

    def holds(self, outer: int, inner: int) -> bool:
        """Whether one structure is a part of another, and smaller."""
        part, whole = self.masks[inner], self.masks[outer]
        return bool((part & whole).sum() >= _INSIDE * part.sum() and part.sum() < whole.sum())

    def depth(self, outer: int, inner: int = -1) -> np.ndarray:
        """Depth (S, S): 1 at the border of `outer`, smaller inside, larger outside.

        Without an inner structure, 0 at the deepest point of `outer`, linear in the distance to its border.
        With one: 0 at its border, -1 at its deepest point, between the two borders by the ratio of distances.
        """
        return self._keep("depth", outer, inner, lambda: self._find_depth(outer, inner))

    def direction(self, structure: int) -> np.ndarray:
        """Angle (S, S) in radians around the centre of a structure."""
        return self._keep("direction", structure, -1, lambda: self._find_direction(structure))

    def brightness(self, channel: int) -> np.ndarray:
        """Smooth brightness (S, S) of one channel; 3: of all."""
        return self._keep("brightness", channel, -1, lambda: self._find_brightness(channel))

    @cached_property
    def dark_lines(self) -> np.ndarray:
        """How much darker than their surroundings thin lines are (S, S): vessels."""
        grey = cv2.GaussianBlur(self.image.astype(np.float32).mean(axis=-1), (0, 0), 1.0)
        width_px = 2 * round(0.033 * grey.shape[0]) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width_px, width_px))
        return cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, kernel)

    def _keep(self, name: str, first: int, second: int, compute: Callable[[], np.ndarray]) -> np.ndarray:
        key = (name, first, second)
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]

    def _find_depth(self, outer: int, inner: int) -> np.ndarray:
        away = signed_distance(self.masks[outer])
        beyond = 1 + away / max(-away.min(), 1.0)
        if inner < 0:
            return beyond
        core = signed_distance(self.masks[inner])
        between = core / np.maximum(core - away, 1e-3)
        return np.where(core <= 0, core / max(-core.min(), 1.0), np.where(away < 0, between, beyond))

    def _find_direction(self, structure: int) -> np.ndarray:
        rows, columns = np.nonzero(self.masks[structure])
        y, x = np.mgrid[: self.image.shape[0], : self.image.shape[1]]
        return np.arctan2(y - rows.mean(), x - columns.mean()).astype(np.float32)

    def _find_brightness(self, channel: int) -> np.ndarray:
        pixels = self.image.astype(np.float32)
        grey = pixels.mean(axis=-1) if channel == 3 else pixels[..., channel]
        return cv2.GaussianBlur(grey, (0, 0), 0.011 * grey.shape[0])


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance to the border of a mask in pixels, float32, negative inside; 99 for an empty mask."""
    inside = mask.astype(np.uint8)
    if not inside.any():
        return np.full(mask.shape, 99.0, dtype=np.float32)
    outer = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3) if not inside.all() else 0.0
    return np.asarray(outer - cv2.distanceTransform(inside, cv2.DIST_L2, 3), dtype=np.float32)
