"""Random geometry: scale, turn, shift, mirror, smooth waves, and a bulge inside a structure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from common.errors import ConfigError


@dataclass(frozen=True)
class Geometry:
    """One warp, from the output's coordinates (-1..1) to the picture's.

    Attributes:
        scale: how much larger things become.
        aspect: width over height, relative.
        turn_rad: rotation.
        shift: (x, y) in half pictures.
        mirror: (left-right, up-down).
        waves: displacements on a coarse grid (2, 4, 4), in half pictures.
        bulge: exponent of the radius inside the bulge; above 1 what is in the middle grows, the edge stays.
        bulge_radius: in radii of the largest structure.
        reflect: picture content beyond the border by reflection, otherwise black.
    """

    scale: float = 1.0
    aspect: float = 1.0
    turn_rad: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    mirror: tuple[bool, bool] = (False, False)
    waves: np.ndarray | None = None
    bulge: float = 1.0
    bulge_radius: float = 1.0
    reflect: bool = True

    def apply(self, image: np.ndarray, masks: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Warp a picture and its masks together.

        Args:
            image: uint8 (H, W, 3).
            masks: bool (n, H, W).
            size_px: S, edge of the output.

        Returns:
            uint8 (S, S, 3) and bool (n, S, S).
        """
        x, y = self._find_source(masks, size_px)
        shrink = image.shape[0] / (size_px * self.scale)
        if shrink > 1.2:  # against aliasing
            image = cv2.GaussianBlur(image, (0, 0), 0.4 * shrink)
        border = cv2.BORDER_REFLECT_101 if self.reflect else cv2.BORDER_CONSTANT
        warped = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=border)
        moved = [cv2.remap(mask.astype(np.float32), x, y, cv2.INTER_LINEAR) > 0.5 for mask in masks]
        return warped, np.stack(moved)

    def _find_source(self, masks: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixel coordinates (x, y) of the source for every output pixel, each float32 (S, S)."""
        line = (np.arange(size_px) + 0.5) * 2 / size_px - 1
        y, x = np.meshgrid(line, line, indexing="ij")
        x = (x + self.shift[0]) / self.scale * self.aspect
        y = (y + self.shift[1]) / self.scale / self.aspect
        cosine, sine = np.cos(self.turn_rad), np.sin(self.turn_rad)
        x, y = cosine * x - sine * y, sine * x + cosine * y
        x, y = (-x if self.mirror[0] else x), (-y if self.mirror[1] else y)
        if self.waves is not None:
            x, y = (a + _enlarge(wave, size_px) for a, wave in zip((x, y), self.waves, strict=True))
        x, y = self._bulge_out(x, y, masks)
        height, width = masks.shape[1:]
        return ((x + 1) * width / 2 - 0.5).astype(np.float32), ((y + 1) * height / 2 - 0.5).astype(np.float32)

    def _bulge_out(self, x: np.ndarray, y: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Radius^bulge inside a circle of the largest structure's size, around the smallest one's centre."""
        areas = masks.sum(axis=(1, 2))
        if self.bulge == 1 or not areas.any():
            return x, y
        smallest = np.where(areas > 0, areas, areas.max() + 1).argmin()
        rows, columns = np.nonzero(masks[smallest])
        centre_x = (columns.mean() + 0.5) * 2 / masks.shape[2] - 1
        centre_y = (rows.mean() + 0.5) * 2 / masks.shape[1] - 1
        radius = np.sqrt(areas.max() / np.pi) * 2 / masks.shape[1] * self.bulge_radius
        away = np.hypot(x - centre_x, y - centre_y) / radius + 1e-6
        factor = np.where(away < 1, np.clip(away ** (self.bulge - 1), 0.2, 5), 1)
        return centre_x + (x - centre_x) * factor, centre_y + (y - centre_y) * factor


@dataclass(frozen=True)
class GeometryRange:
    """From which warps are drawn.

    Args:
        scale: smallest and largest; the logarithm is drawn evenly.
        turn_deg: greatest turn either way.
        shift: greatest shift either way, in half pictures.
        mirror: chances of left-right and up-down; 0 where sides matter (left and right kidney).
        bulge: standard deviation of the logarithm of the exponent, in half of the draws; it changes how much
            of the largest structure the smallest one fills (cup in disc), picture and masks together.
        waves: standard deviation in half pictures, in half of the draws.

    Raises:
        ConfigError: a range that is empty or negative.
    """

    scale: tuple[float, float] = (0.7, 1.4)
    turn_deg: float = 25.0
    shift: float = 0.1
    mirror: tuple[float, float] = (0.5, 0.15)
    bulge: float = 0.28
    waves: float = 0.02

    def __post_init__(self) -> None:
        numbers = (self.turn_deg, self.shift, *self.mirror, self.bulge, self.waves)
        if not 0 < self.scale[0] <= self.scale[1] or min(numbers) < 0:
            raise ConfigError(
                "geometry: expected 0 < scale[0] <= scale[1] and no negative number, got scale "
                f"{tuple(self.scale)} and {numbers}: correct the setting"
            )

    def sample(self, rng: np.random.Generator) -> Geometry:
        """A warp of this family."""
        low, high = np.log(self.scale)
        across, along = rng.uniform(-self.shift, self.shift, 2).tolist()
        return Geometry(
            scale=float(np.exp(rng.uniform(low, high))),
            aspect=float(np.exp(rng.normal(0, 0.06))),
            turn_rad=float(np.deg2rad(rng.uniform(-self.turn_deg, self.turn_deg))),
            shift=(across, along),
            mirror=(bool(rng.random() < self.mirror[0]), bool(rng.random() < self.mirror[1])),
            waves=rng.normal(0, self.waves, (2, 4, 4)) if rng.random() < 0.5 else None,
            bulge=float(np.exp(rng.normal(0, self.bulge))) if rng.random() < 0.5 else 1.0,
            bulge_radius=float(rng.uniform(0.8, 1.3)),
            reflect=bool(rng.random() < 0.7),
        )


def _enlarge(wave: np.ndarray, size_px: int) -> np.ndarray:
    return cv2.resize(wave.astype(np.float32), (size_px, size_px), interpolation=cv2.INTER_CUBIC)
