"""Fibroglandular tissue, the ligaments between it, and fat: a coarse volume, projected, with fine detail."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import fft

from .mammo_shape import ViewShape
from .noise import band_noise, sample, scale_free_noise

CELLS = (32, 64, 64)  # of the volume along a (0..1), x and z (-1..1): about 3 mm
EXPONENT = 1.5
"""Of the amplitude spectrum of mammograms: their power falls with the cube of the frequency."""

FRACTIONS = {"a": 0.05, "b": 0.17, "c": 0.36, "d": 0.62}
"""Share of glandular tissue in the volume, by ACR density (choice: as volumetric tools
report)."""


@dataclass(frozen=True)
class Tiles:
    """Noise that all views of a study look into, at places of their own.

    Attributes:
        cloud: scale-free, as tissue is.
        net: one wavelength of 32 px; its zero lines are a net, as the ligaments are.
        thread: the same, three times as long as wide.
    """

    cloud: np.ndarray
    net: np.ndarray
    thread: np.ndarray

    def clouds(self, x: np.ndarray, y: np.ndarray, offset: float) -> np.ndarray:
        """Scale-free noise at positions in tile pixels."""
        return sample(self.cloud, x + np.float32(offset), y - np.float32(offset / 3))


def draw_tiles(rng: np.random.Generator, large: bool) -> Tiles:
    """Tiles of 512 or 1024 pixels."""
    size = 1024 if large else 512
    return Tiles(
        scale_free_noise(rng, size, EXPONENT), band_noise(rng, 512, 32), band_noise(rng, 512, 32, 3.0)
    )


def draw_glands(shared: np.random.Generator, own: np.random.Generator, density: str) -> np.ndarray:
    """The glandular tissue of one breast: its share in every cell, float32 CELLS.

    Args:
        shared: of the patient: both breasts resemble each other.
        own: of the breast.
        density: ACR "a" to "d".
    """
    noise = 0.85 * _volume_noise(shared) + 0.53 * _volume_noise(own)
    a, x, z = np.meshgrid(
        *(np.linspace(low, 1, n, dtype=np.float32) for low, n in zip((0, -1, -1), CELLS, strict=True)),
        indexing="ij",
    )
    side, height = shared.uniform(0.02, 0.2), shared.uniform(-0.02, 0.16)
    cone = 0.78 - 0.42 * np.maximum(a - 0.25, 0)
    across = ((x - side * (1 - a)) / cone) ** 2 + ((z - height * (1 - a)) / cone) ** 2
    from_core = np.sqrt(np.where(a > 0.35, (a - 0.35) / 0.6, (0.35 - a) / 0.8) ** 2 + across)
    score = 0.62 * noise + 2.0 * (1 - from_core) - 6 * np.maximum(from_core - 1.05 - 0.15 * noise, 0)
    score -= 5 * np.maximum(np.sqrt(a * a + x * x + z * z) - 0.85 - 0.12 * noise, 0)
    fraction = FRACTIONS[density] * shared.uniform(0.75, 1.25)
    inside = a * a + x * x + z * z < 1
    threshold = np.quantile(score[inside], 1 - fraction)
    share = 1 / (1 + np.exp(np.clip(-(score - threshold) / 0.13, -30, 30)))
    lobules = np.clip(0.75 + 0.33 * _volume_noise(own, 1.2), 0.1, 1.25)
    return (share * lobules).astype(np.float32)


def _volume_noise(rng: np.random.Generator, exponent: float = 1.9) -> np.ndarray:
    radius = np.sqrt(
        sum(
            np.square(f)
            for f in np.meshgrid(
                np.fft.fftfreq(CELLS[0]) * 2,
                np.fft.fftfreq(CELLS[1]),
                np.fft.rfftfreq(CELLS[2]),
                indexing="ij",
                sparse=True,
            )
        )
    )
    amplitude = np.maximum(radius, 0.03) ** -exponent
    amplitude[0, 0, 0] = 0
    white = fft.rfftn(rng.standard_normal(CELLS, np.float32))
    noise = fft.irfftn(white * amplitude.astype(np.float32), s=CELLS)
    return noise / noise.std()


def project_glands(glands: np.ndarray, shape: ViewShape) -> np.ndarray:
    """Share of glandular tissue along each beam, (a, height) from -1 to 1."""
    if shape.kind == "MLO":
        middle = (CELLS[1] - 1) / 2
        turn = cv2.getRotationMatrix2D((middle, middle), shape.angle_deg - 90, 1)
        glands = np.stack([cv2.warpAffine(layer, turn, CELLS[:0:-1]) for layer in glands])
    path = glands.sum(2)
    a = np.linspace(0, 1, CELLS[0])[:, None]
    height = np.linspace(-1, 1, CELLS[1])[None]
    chord = np.sqrt(np.maximum(1 - a * a - height * height, 0.2))
    return (path / (CELLS[2] * chord)).astype(np.float32)
