"""The tissue mask on drawn overviews whose tissue is known, and on a real slide."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from common.io.slide import open_slide
from common.transforms.tissue import tissue_mask

GLASS = (240, 238, 230)
PINK, PURPLE, PALE = (215, 150, 190), (120, 80, 150), (236, 222, 228)
SIZE = (400, 500)


def as_scanned(picture: np.ndarray) -> np.ndarray:
    """Camera noise and JPEG on top of a drawing."""
    noisy = np.clip(picture + np.random.default_rng(0).normal(0, 3, picture.shape), 0, 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=70)
    return np.array(Image.open(file))


def plain(colour: tuple[int, ...]) -> np.ndarray:
    return np.full((*SIZE, 3), colour, np.float64)


def with_disc(colour: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A disc of tissue on glass: the drawing and its truth."""
    truth = cv2.circle(np.zeros(SIZE, np.uint8), (250, 200), 110, 1, -1).astype(bool)
    picture = plain(GLASS)
    picture[truth] = colour
    return picture, truth


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


@pytest.mark.parametrize("colour", [PINK, PURPLE, PALE])
def test_tissue_is_found_where_it_was_drawn(colour: tuple[int, ...]) -> None:
    picture, truth = with_disc(colour)
    mask = tissue_mask(as_scanned(picture))
    assert mask.dtype == bool and mask.shape == SIZE
    assert overlap(mask, truth) > 0.9


@pytest.mark.parametrize(
    "colour", [(245, 245, 245), (255, 255, 255), (238, 232, 215), (128, 128, 128), (0, 0, 0)]
)
def test_glass_and_black_without_tissue_are_empty(colour: tuple[int, ...]) -> None:
    assert not tissue_mask(as_scanned(plain(colour))).any()
    assert not tissue_mask(plain(colour).astype(np.uint8)).any()


@pytest.mark.parametrize("colour", [PINK, PURPLE, (232, 215, 226)])
def test_a_picture_that_is_all_tissue_is_full(colour: tuple[int, ...]) -> None:
    texture = cv2.resize(
        np.random.default_rng(1).normal(0, 6, (50, 60)), SIZE[::-1], interpolation=cv2.INTER_CUBIC
    )
    assert tissue_mask(as_scanned(plain(colour) + texture[..., None])).mean() > 0.98


@pytest.mark.parametrize("ink", [(20, 60, 160), (30, 130, 70), (25, 25, 28)])
def test_ink_and_black_borders_are_not_tissue(ink: tuple[int, int, int]) -> None:
    picture, truth = with_disc(PINK)
    cv2.line(picture, (20, 30), (480, 60), ink, 12)
    picture[:10] = 0
    picture[:, -10:] = 0
    mask = tissue_mask(as_scanned(picture))
    assert overlap(mask, truth) > 0.9
    assert not mask[:80].any() and not mask[:, -15:].any()


def test_dust_goes_and_large_holes_stay() -> None:
    picture, truth = with_disc(PINK)
    for x in range(20, 480, 40):
        cv2.circle(picture, (x, 20), 1, PINK, -1)
    cv2.circle(picture, (250, 200), 30, GLASS, -1)
    mask = tissue_mask(as_scanned(picture))
    assert not mask[:60].any()
    assert not mask[185:215, 235:265].any()
    assert mask[200, 180] and truth[200, 180]


@pytest.mark.shared_data
def test_real_slide(shared_data: Path) -> None:
    with open_slide(shared_data / "histology" / "CMU-1-Small-Region.svs") as slide:
        rgb, _ = slide.thumbnail(1000)
    mask = tissue_mask(rgb)
    assert 0.33 < mask.mean() < 0.43  # seen by eye: 37 %
    assert mask[700, 350] and mask[900, 250]  # dermis
    assert not mask[450, 30] and not mask[100, 650] and not mask[165, 440]  # glass, and a hole in it
    assert rgb[~mask].mean() > 225 > rgb[mask].mean()
