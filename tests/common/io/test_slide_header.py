"""The header that DICOM objects about a slide are built upon is that of its largest level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from phantoms.slide_dicom import write_dicom_slide

from common.errors import InputError
from common.io.slide import open_slide
from common.io.slide_dicom import lies_on_slide, read_slide_header

PIXELS = np.random.default_rng(0).integers(0, 256, (300, 520, 3), np.uint8)


@pytest.mark.parametrize("name", ["", "level_0.dcm", "level_1.dcm"])
def test_whichever_way_the_slide_is_named(tmp_path: Path, name: str):
    write_dicom_slide(tmp_path / "slide", PIXELS)
    header = read_slide_header(tmp_path / "slide" / name)
    assert (header.TotalPixelMatrixColumns, header.TotalPixelMatrixRows) == (520, 300)
    assert "PixelData" not in header and lies_on_slide(header)
    with open_slide(tmp_path / "slide" / name) as slide:
        assert (slide.format, slide.width_px, slide.height_px, slide.mpp) == ("dicom", 520, 300, 0.5)


@pytest.mark.parametrize(
    "tags",
    [
        {"FrameOfReferenceUID": None},
        {"ImageOrientationSlide": None},
        {"ImageOrientationSlide": [1, 0, 0]},
        {"TotalPixelMatrixOriginSequence": None},
        {"SharedFunctionalGroupsSequence": []},
    ],
)
def test_a_slide_without_its_place_on_the_glass(tmp_path: Path, tags: dict):
    write_dicom_slide(tmp_path, PIXELS, tags=tags)
    assert not lies_on_slide(read_slide_header(tmp_path))


def test_a_slide_that_is_gone_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"level_0\.dcm: expected a slide, got no such file"):
        read_slide_header(tmp_path / "level_0.dcm")
