"""The box of the breast on drawn breasts: with noise, film edges, markers; and none."""

from __future__ import annotations

import numpy as np
import pytest

from common.transforms.breast import find_breast

HEIGHT, WIDTH = 1200, 900


def draw(side: str = "L", background: float = 0.0, noise: float = 0.0) -> np.ndarray:
    """A half disc of radius 500 at the chest wall, centred at half height: rows 100..1100, 500 columns."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = (y - 600) ** 2 + x**2 < 500**2
    pixels = np.where(inside, 0.3 + 0.4 * (1 - np.hypot(y - 600, x) / 500), background)
    pixels = pixels + np.random.default_rng(0).normal(0, noise, pixels.shape) if noise else pixels
    pixels = np.clip(pixels, 0, 1).astype(np.float32)
    return np.ascontiguousarray(pixels if side == "L" else pixels[:, ::-1])


def check(pixels: np.ndarray, side: str = "L") -> None:
    """The half disc with a margin of 2 % of the long side; half discs lose their sharp ends (atol)."""
    expected = (100 - 24, 0, 1100 + 24, 500 + 24) if side == "L" else (76, 900 - 524, 1124, 900)
    box = find_breast(pixels)
    assert box is not None
    np.testing.assert_allclose(box, expected, atol=20)
    assert box[1 if side == "L" else 3] == (0 if side == "L" else 900)


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize(("background", "noise"), [(0, 0), (0.12, 0.0), (0.15, 0.05)])
def test_either_side_on_a_background_that_is_not_zero(side: str, background: float, noise: float) -> None:
    check(draw(side, background, noise), side)


def test_film_edges_markers_and_light_at_the_edge_are_not_breast() -> None:
    pixels = draw()
    pixels[:12], pixels[-10:], pixels[:, -8:] = 1, 1, 1
    pixels[40:120, 700:720] = pixels[40:60, 700:800] = 1  # the strokes of a letter
    pixels[:, :30] = np.maximum(pixels[:, :30], 0.08)  # fog along the chest wall
    check(pixels)


def test_a_label_larger_than_letters_is_smaller_than_the_breast() -> None:
    pixels = draw()
    pixels[50:200, 650:880] = 1
    check(pixels)


def test_the_box_is_exact_in_a_picture_that_is_not_made_smaller() -> None:
    """Margin 4 (2 % of 200), and 1 from the smoothing."""
    pixels = np.zeros((200, 150), np.float32)
    pixels[50:150, :60] = 0.5
    assert find_breast(pixels) == (45, 0, 155, 65)


def test_without_background_the_whole_picture_is_breast() -> None:
    pixels = np.random.default_rng(0).uniform(0.5, 0.9, (300, 200)).astype(np.float32)
    assert find_breast(pixels) == (0, 0, 300, 200)


@pytest.mark.parametrize("value", [0.0, 0.2])
def test_nothing_stands_out(value: float) -> None:
    pixels = np.full((300, 200), value, np.float32)
    pixels[5, 5] = 1
    assert find_breast(pixels) is None
