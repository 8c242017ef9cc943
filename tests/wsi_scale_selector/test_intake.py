"""What an application takes of an input folder of slides."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from common.errors import ConfigError, NoEligibleError, SeveralEligibleError
from scale_selector.intake import EligibleSlides


def write_slide(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.zeros((64, 64, 3), np.uint8), tile=(16, 16), photometric="rgb")
    return path


def test_the_only_slide_is_found_nested(tmp_path):
    path = write_slide(tmp_path / "a" / "b" / "DOE.tif")
    (tmp_path / "a" / "history.txt").write_text("a note")
    dataset = EligibleSlides(tmp_path)
    assert dataset.paths() == [path] and len(dataset) == 1 and dataset.stands_alone(dataset.paths())


def test_several_slides_are_refused_by_place_and_format(tmp_path):
    for name in ("a.tif", "deep/b.svs"):
        write_slide(tmp_path / name)
    with pytest.raises(
        SeveralEligibleError,
        match=r"expected one slide, got 2 \(1: tif; 2: svs\): choose with number=1 to number=2, or sev",
    ):
        EligibleSlides(tmp_path).paths()


def test_a_number_or_all_chooses(tmp_path):
    first, second = (write_slide(tmp_path / name) for name in ("a.tif", "b.tif"))
    assert EligibleSlides(tmp_path, number=2).paths() == [second]
    dataset = EligibleSlides(tmp_path, several="all")
    assert not dataset.stands_alone(dataset.paths())
    assert dataset.name_outputs(dataset.paths()) == {"slide-1": first, "slide-2": second}
    with pytest.raises(ConfigError, match="number: expected 1 to 2, got 3: correct it"):
        EligibleSlides(tmp_path, number=3).paths()


def test_no_slide_is_not_eligible(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(NoEligibleError, match="expected a slide, got none"):
        EligibleSlides(tmp_path).paths()


def test_a_setting_without_meaning_for_slides_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="several: expected refuse, all, got best"):
        EligibleSlides(tmp_path, several="best")
