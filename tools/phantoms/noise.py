"""Periodic noise tiles with a known wavelength, and how to look into them."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import fft

BANDWIDTH = 0.35  # standard deviation of the spectral ring, relative to its radius


def band_noise(
    rng: np.random.Generator, size_px: int, wavelength_px: float, stretch: float = 1.0
) -> np.ndarray:
    """Noise whose spectrum is a Gaussian ring: one dominant wavelength, zero mean, unit variance, periodic.

    Args:
        rng: source of the phases.
        size_px: edge of the square tile, which repeats without a seam.
        wavelength_px: across the structures (along y).
        stretch: how many times longer the structures are along x; 1 is isotropic.

    Returns:
        float32 (size_px, size_px).
    """
    frequency_y = np.fft.fftfreq(size_px)[:, None]
    frequency_x = np.fft.rfftfreq(size_px)[None, :] * stretch
    radius = np.hypot(frequency_x, frequency_y) * wavelength_px
    return _shape_spectrum(rng, size_px, np.exp(-0.5 * ((radius - 1) / BANDWIDTH) ** 2))


def scale_free_noise(rng: np.random.Generator, size_px: int, exponent: float = 1.0) -> np.ndarray:
    """Noise of amplitude 1/f: the same variance in every octave, so it looks alike at every scale.

    Args:
        rng: source of the phases.
        size_px: edge of the square tile, which repeats without a seam.
        exponent: of f; above 1 the coarse structures are stronger (1.5 in mammograms).

    Returns:
        float32 (size_px, size_px), zero mean, unit variance, periodic.
    """
    radius = np.hypot(np.fft.fftfreq(size_px)[:, None], np.fft.rfftfreq(size_px)[None, :])
    radius[0, 0] = np.inf
    return _shape_spectrum(rng, size_px, radius**-exponent)


def _shape_spectrum(rng: np.random.Generator, size_px: int, amplitude: np.ndarray) -> np.ndarray:
    amplitude[0, 0] = 0.0
    white = rng.standard_normal((size_px, size_px)).astype(np.float32)
    noise = fft.irfft2(fft.rfft2(white) * amplitude.astype(np.float32), s=(size_px, size_px))
    return noise / noise.std()


def window(tile: np.ndarray, x0_px: int, y0_px: int, width_px: int, height_px: int) -> np.ndarray:
    """A window of the endless plane that the tile repeats over; (height_px, width_px)."""
    rows = np.arange(y0_px, y0_px + height_px) % tile.shape[0]
    columns = np.arange(x0_px, x0_px + width_px) % tile.shape[1]
    return tile[rows[:, None], columns[None, :]]


def sample(tile: np.ndarray, x_px: np.ndarray, y_px: np.ndarray) -> np.ndarray:
    """The endless plane at fractional positions, bilinear; shape of `x_px`."""
    if x_px.size == 0:
        return np.zeros(x_px.shape, np.float32)
    size = tile.shape[0]
    x, y = (np.mod(value, size).astype(np.float32) for value in (x_px, y_px))
    return cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
