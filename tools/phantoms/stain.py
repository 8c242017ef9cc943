"""From amounts of dye to what a scanner writes: stain, optics, sensor noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .noise import band_noise, window

HAEMATOXYLIN = (0.65, 0.70, 0.29)  # optical density per RGB channel (Ruifrok and Johnston 2001)
EOSIN = (0.07, 0.99, 0.11)
HUE_SPREAD = 0.07
STRENGTH = (0.5, 1.3)  # of either dye, slide to slide
BLUR_UM = 0.20  # standard deviation of the optics' point spread
SENSOR_NOISE = 1.8  # grey levels
SENSOR_MIX = (1.0, -0.6, 0.8)  # of the noise in R, G and B
THICKNESS_UM = 500.0
THICKNESS_STEP = 64  # level-0 pixels per cell of the map of thickness


@dataclass(frozen=True)
class Scanner:
    """Stain and scanner of one slide."""

    dyes: np.ndarray  # (2, 3) optical density per unit of dye
    white: np.ndarray  # (3,) grey levels of empty glass
    blur_px: float
    thickness: np.ndarray  # periodic tile, one cell per THICKNESS_STEP pixels
    noise: np.ndarray  # periodic tile of grey levels, 3 channels

    def expose(self, haematoxylin: np.ndarray, eosin: np.ndarray, x0: int, y0: int) -> np.ndarray:
        """Beer and Lambert, optics, sensor: uint8 RGB (h, w, 3)."""
        height, width = eosin.shape
        thickness = self._thickness(x0, y0, width, height)
        amounts = cv2.merge([haematoxylin * thickness, eosin * thickness])
        density = cv2.transform(amounts, -self.dyes.T.astype(np.float32))
        light = cv2.exp(density) * self.white.astype(np.float32)
        light = cv2.GaussianBlur(light, (0, 0), self.blur_px)
        noisy = cv2.add(light, window(self.noise, x0, y0, width, height))
        return cv2.convertScaleAbs(cv2.max(noisy, 0))

    def _thickness(self, x0: int, y0: int, width: int, height: int) -> np.ndarray:
        """Relative thickness of the section, one cell more than needed on each side so that blocks agree."""
        step = THICKNESS_STEP
        column, row = x0 // step - 1, y0 // step - 1
        cells = window(self.thickness, column, row, width // step + 4, height // step + 4)
        full = cv2.resize(cells, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
        left, top = x0 - column * step, y0 - row * step
        return full[top : top + height, left : left + width]


def draw_scanner(rng: np.random.Generator, mpp: float) -> Scanner:
    """Stain and scanner of a slide, at random within the module's ranges."""
    hues = np.array([HAEMATOXYLIN, EOSIN]) + rng.normal(0, HUE_SPREAD, (2, 3))
    hues = np.clip(hues, 0.01, None)
    hues /= np.linalg.norm(hues, axis=1, keepdims=True)
    strength = np.exp(rng.uniform(*np.log(STRENGTH), 2))
    thickness = 1 + 0.1 * band_noise(rng, 256, THICKNESS_UM / mpp / THICKNESS_STEP)
    noise = SENSOR_NOISE * rng.standard_normal((1024, 1024))
    return Scanner(
        dyes=hues * strength[:, None],
        white=rng.uniform(236, 248) + rng.uniform(-3, 3, 3),
        blur_px=BLUR_UM / mpp * rng.uniform(0.85, 1.3),
        thickness=thickness.astype(np.float32),
        noise=(noise[..., None] * SENSOR_MIX).astype(np.float32),
    )
