"""Random appearance: another camera, staining or scanner, drawn from ranges and applied to RGB pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from common.errors import ConfigError


@dataclass(frozen=True)
class Camera:
    """One appearance. All numbers act on pixels 0..1.

    Attributes:
        gamma, gain, bias: per channel; out = gain * in^gamma + bias.
        order: channels, permuted.
        grey, grey_weights: share of a grey picture that is blended in, and its weights of the channels.
        coarse: edge in pixels of what becomes one pixel and is enlarged again; 1: nothing is lost.
        blur_px: sigma of a Gaussian.
        sharpen: how much of the difference to a blurred picture is added.
        field: logarithm of a smooth brightness on a coarse grid, enlarged to the picture; (3, 3).
        standard: whether the picture is standardised in the end, see `standardise`.
    """

    gamma: np.ndarray
    gain: np.ndarray
    bias: np.ndarray
    order: np.ndarray
    grey: float
    grey_weights: np.ndarray
    blur_px: float
    sharpen: float
    field: np.ndarray
    standard: bool = False
    coarse: float = 1.0

    def apply(self, image: np.ndarray) -> np.ndarray:
        """RGB uint8 (H, W, 3) -> the same as this camera would show it."""
        pixels: np.ndarray = image.astype(np.float32) / 255
        pixels = pixels ** self.gamma.astype(np.float32) * self.gain.astype(np.float32)
        pixels = (pixels + self.bias.astype(np.float32))[..., self.order]
        if self.grey:
            grey = pixels @ self.grey_weights.astype(np.float32)
            pixels = (1 - self.grey) * pixels + self.grey * grey[..., None]
        if self.coarse > 1:
            pixels = _coarsen(pixels, self.coarse)
        if self.blur_px:
            pixels = cv2.GaussianBlur(pixels, (0, 0), self.blur_px)
        if self.sharpen:
            pixels = pixels + self.sharpen * (pixels - cv2.GaussianBlur(pixels, (0, 0), 1.5))
        if self.field.any():
            size = (image.shape[1], image.shape[0])
            smooth = cv2.resize(self.field.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
            pixels = pixels * np.exp(smooth)[..., None]
        shown = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
        return standardise(shown) if self.standard else shown

    def vary(self, rng: np.random.Generator, amount: float) -> Camera:
        """The same camera on another day: gamma, gain and bias moved by a standard deviation of `amount`."""
        return replace(
            self,
            gamma=self.gamma * np.exp(rng.normal(0, amount, 3)),
            gain=self.gain * np.exp(rng.normal(0, amount, 3)),
            bias=self.bias + rng.normal(0, 0.3 * amount, 3),
        )


@dataclass(frozen=True)
class CameraRange:
    """From which cameras are drawn. Numbers chosen on pictures of a fundus camera; see docs.

    Args:
        strength: factor on all deviations; 0: pictures stay as they are.
        colour: whether channels may be permuted and weighted apart; False for CT and other grey pictures.
        standard: share of cameras whose pictures are standardised, 0..1.
        coarse: largest loss of resolution, drawn for half of the cameras with an even logarithm; 1 for none.

    Raises:
        ConfigError: a number out of range.
    """

    strength: float = 1.0
    colour: bool = True
    standard: float = 0.0
    coarse: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.colour, bool):
            raise ConfigError(
                f"camera: expected colour true or false, got '{self.colour}': write True or False"
            )
        if not (0 <= self.strength <= 2 and 0 <= self.standard <= 1 and 1 <= self.coarse <= 16):
            raise ConfigError(
                "camera: expected strength from 0 to 2, standard from 0 to 1 and coarse from 1 to 16, got "
                f"{self.strength:g}, {self.standard:g} and {self.coarse:g}: correct the setting"
            )

    def sample(self, rng: np.random.Generator) -> Camera:
        """A camera of this family."""
        s, apart = self.strength, self.strength * self.colour
        shuffled = rng.permutation(3) if rng.random() < 0.2 * apart else np.arange(3)
        return Camera(
            gamma=np.exp(rng.normal(0, 0.3 * s) + rng.normal(0, 0.2 * apart, 3)),
            gain=np.exp(rng.normal(0, 0.12 * s) + rng.normal(0, 0.12 * apart, 3)),
            bias=rng.normal(0, 0.05 * s) + rng.normal(0, 0.03 * apart, 3),
            order=shuffled,
            grey=float(rng.beta(0.5, 1.2)) * min(1.0, apart) if rng.random() < 0.5 else 0.0,
            grey_weights=rng.dirichlet([1.5, 1.5, 1.5]),
            blur_px=0.2 + 1.4 * s * float(rng.random()) if s and rng.random() < 0.4 else 0.0,
            sharpen=s * float(rng.random()) if rng.random() < 0.2 else 0.0,
            field=rng.normal(0, 0.25 * s) * rng.normal(0, 1, (3, 3)) * (rng.random() < 0.4),
            standard=bool(rng.random() < self.standard),
            coarse=self.coarse ** float(rng.random()) if self.coarse > 1 and rng.random() < 0.5 else 1.0,
        )


def _coarsen(pixels: np.ndarray, factor: float) -> np.ndarray:
    """(H, W, 3) by means over areas to one `factor`th of its size, and back by cubic interpolation."""
    height, width = pixels.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    return cv2.resize(
        cv2.resize(pixels, small, interpolation=cv2.INTER_AREA),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )


def standardise(image: np.ndarray, mean: float = 0.45, deviation: float = 0.2) -> np.ndarray:
    """Every channel to one mean and deviation, black borders left out: what remains of a camera is smaller.

    Args:
        image: RGB uint8 (H, W, 3).
        mean, deviation: wanted, on pixels 0..1. Choice: room for bright structures above the mean.

    Returns:
        uint8 (H, W, 3); the picture itself if less than 1 % of it is not black.
    """
    pixels = image.astype(np.float32) / 255
    seen = pixels.max(axis=-1) > 0.08
    if seen.mean() < 0.01:
        return image
    middle, spread = pixels[seen].mean(axis=0), pixels[seen].std(axis=0) + 0.02
    shown = np.clip((pixels - middle) / spread * deviation + mean, 0, 1) * seen[..., None]
    return np.rint(shown * 255).astype(np.uint8)
