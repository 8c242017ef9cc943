"""Eight full-size mammograms of CBIS-DDSM: sides, views, inversion and the breast's box, as seen by eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.io.mammo_study import read_pixels_of
from common.io.mammogram import find_studies, open_study

SAMPLE = Path(__file__).resolve().parents[3] / ".cache" / "samples" / "mammograms.zip"

SEEN = {
    "sfm-benign-0": {
        "R CC": (0.19, 0.56, 0.90, 1.0),
        "L CC": (0.11, 0.0, 0.91, 0.50),
        "R MLO": (0.0, 0.47, 0.85, 1.0),
        "L MLO": (0.0, 0.0, 0.92, 0.54),
    },
    "sfm-malign-0": {
        "R CC": (0.11, 0.41, 0.90, 1.0),
        "L CC": (0.14, 0.0, 0.92, 0.63),
        "R MLO": (0.0, 0.38, 0.92, 1.0),
        "L MLO": (0.0, 0.0, 0.87, 0.67),
    },
}
"""Boxes (y0, x0, y1, x1) as shares of height and width; right breasts lie at the right edge."""


@pytest.mark.weights("mammograms")
def test_real_studies_are_read_as_they_look() -> None:
    cases = find_studies(SAMPLE)  # all by their headers, the pixels of two
    assert [case.name for case in cases] == list(SEEN)
    for case in cases:
        opened = open_study(case)
        assert opened.left_out == opened.notes == ()
        assert [f"{one.laterality} {one.view}" for one in opened.images] == list(SEEN[case.name])
    for image in open_study(cases[1]).images[::3]:  # R CC, L MLO
        one = read_pixels_of(image)
        height, width = one.pixels.shape
        assert min(height, width) > 2500
        seen = SEEN[cases[1].name][f"{one.laterality} {one.view}"]
        np.testing.assert_allclose(np.array(one.breast_px) / [height, width, height, width], seen, atol=0.03)
        outside = one.pixels[:, width // 3] if one.laterality == "R" else one.pixels[:, -width // 4]
        assert one.breast.mean() > 0.25 > 0.02 > np.median(outside)
