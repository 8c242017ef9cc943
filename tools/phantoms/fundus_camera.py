"""A fundus camera: colour, exposure, vignette, sharpness, noise and JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Camera:
    """What a camera does to every picture.

    Attributes:
        gain: (3,) of red, green, blue.
        gamma: of the tone curve.
        vignette: loss of light at the corners, 0..1.
        blur_px: standard deviation of the point spread at 512 pixels.
        noise: standard deviation, of 1.
        haze: share of stray light, 0..1.
        jpeg: quality.
    """

    gain: np.ndarray
    gamma: float
    vignette: float
    blur_px: float
    noise: float
    haze: float
    jpeg: int

    def take(self, reflectance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A picture, uint8 (side, side, 3) RGB; exposure and focus vary from picture to picture."""
        side = len(reflectance)
        y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
        light = 1 - self.vignette * (x * x + y * y) * 2
        picture = reflectance * light[..., None] * self.gain * rng.uniform(0.88, 1.1)
        picture = picture * (1 - self.haze) + self.haze * np.array([0.75, 0.6, 0.45])
        blur = self.blur_px * rng.uniform(0.7, 1.4) * side / 512
        picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), max(blur, 0.1))
        picture = np.clip(picture, 0, 1) ** self.gamma
        picture = picture + rng.normal(0, self.noise, picture.shape)
        stored = np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)
        encoded = cv2.imencode(".jpg", stored[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])[1]
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[..., ::-1].copy()


def draw_camera(number: int) -> Camera:
    """A camera; the same number is the same camera."""
    rng = np.random.default_rng([number, 22])
    return Camera(
        gain=np.array([rng.uniform(0.9, 1.2), rng.uniform(0.75, 1.15), rng.uniform(0.6, 1.5)]),
        gamma=rng.uniform(0.65, 1.4),
        vignette=rng.uniform(0, 0.5),
        blur_px=rng.uniform(0.4, 2.5),
        noise=rng.uniform(0.004, 0.025),
        haze=rng.uniform(0, 0.25),
        jpeg=int(rng.integers(75, 97)),
    )
