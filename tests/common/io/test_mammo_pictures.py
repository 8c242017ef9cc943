"""Mammograms as PNG, JPEG and TIFF with a sidecar, and what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from toy_mammo_files import draw_breast, write_study

from common.errors import InputError
from common.io.mammogram import find_studies, read_mammogram, read_study

PIXELS = draw_breast("L")
"""uint16 of 12 bits."""


def write(path: Path, pixels: np.ndarray = PIXELS, **stated: Any) -> Path:
    """A picture and its sidecar; without statements no sidecar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels)
    else:
        Image.fromarray(pixels).save(path)
    if stated:
        path.with_suffix(".json").write_text(json.dumps(stated), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_grey_of_8_to_16_bits(tmp_path: Path, suffix: str, bits: int) -> None:
    """12 bits in 16 are recognised by the largest value; here it is 3600 of 4095."""
    pixels = {8: (PIXELS >> 4).astype(np.uint8), 12: PIXELS, 16: PIXELS << 4}[bits]
    path = write(tmp_path / f"a{suffix}", pixels, laterality="L", view="CC", spacing_mm=0.1, age_years=50)
    one = read_mammogram(path)
    np.testing.assert_allclose(one.pixels, pixels / (2**bits - 1), atol=1e-6)
    assert (one.laterality, one.view, one.source.spacing_mm, one.source.age_years) == (
        "L",
        "CC",
        (0.1, 0.1),
        50,
    )
    assert one.source.header is None
    assert one.source.study_uid == ""


def test_grey_saved_as_colour(tmp_path: Path) -> None:
    eight = (PIXELS >> 4).astype(np.uint8)
    colour = np.repeat(eight[..., None], 3, 2)
    for name in ("a.png", "a.tif"):
        path = write(tmp_path / name, colour, laterality="L")
        np.testing.assert_allclose(read_mammogram(path).pixels, eight / 255, atol=1e-6)
    path = write(tmp_path / "a.jpg", eight, laterality="L")
    np.testing.assert_allclose(read_mammogram(path).pixels, eight / 255, atol=0.2)


def test_a_tiff_where_white_is_zero(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", 65535 - PIXELS, photometric="miniswhite")
    one = read_mammogram(tmp_path / "a.tif", laterality="L")
    np.testing.assert_allclose(one.pixels, PIXELS / 4095, atol=1e-6)


def test_a_folder_of_pictures_is_a_study(tmp_path: Path) -> None:
    for side in "LR":
        for view in ("CC", "MLO"):
            write(tmp_path / f"{side}{view}.png", laterality=side, view=view, history="lump on the left")
    write(tmp_path / "report.png")
    study = read_study(tmp_path)
    assert [f"{one.laterality} {one.view}" for one in study.mammograms] == ["R CC", "L CC", "R MLO", "L MLO"]
    assert study.left_out == (("report.png", "a picture without report.json"),)
    assert study.history is not None
    assert (study.history.text, study.history.source) == ("lump on the left", "sidecar RCC.json")
    alone = read_study(tmp_path / "LCC.png")
    assert [one.name for one in alone.mammograms] == ["LCC.png"]
    assert alone.history is not None


def test_folders_of_pictures_are_a_list(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name / "a.png", laterality="L", view="CC")
        write(tmp_path / name / "b.png", laterality="R", view="CC", patient=None)
    cases = find_studies(tmp_path)
    assert [case.name for case in cases] == ["one", "two"]
    assert [len(read_study(case).mammograms) for case in cases] == [2, 2]


def test_two_patients_in_the_sidecars_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.png", laterality="L", patient="Anna")
    write(tmp_path / "b.png", laterality="R", patient="Berta")
    with pytest.raises(InputError, match=r"expected one patient in a folder, got 2") as caught:
        read_study(tmp_path)
    assert "Anna" not in str(caught.value)


def test_pictures_beside_dicom_are_left_out(tmp_path: Path) -> None:
    write_study(tmp_path)
    write(tmp_path / "screen.png")
    assert read_study(tmp_path).left_out == (("screen.png", "a picture without screen.json"),)


def test_pictures_without_sidecars_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"got 1 pictures without a\.json beside them: check it"):
        read_study(tmp_path)


def test_a_missing_laterality_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.png", view="CC")
    with pytest.raises(InputError, match=r"^a\.png: expected laterality R or L in the sidecar, got none"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"side": "L"}, r"expected the keys laterality, .*, got 'side': correct it"),
        ({"laterality": "left"}, r"expected laterality as one of R, L, got another value"),
        ({"laterality": "L", "view": "AP"}, r"expected view as one of CC, MLO, .*, got another value"),
        ({"laterality": "L", "spacing_mm": 70}, r"expected spacing_mm as one or two numbers between 0 and 1"),
        ({"laterality": "L", "spacing_mm": [0.1, "x"]}, r"expected spacing_mm as one or two numbers"),
        ({"laterality": "L", "age_years": "50"}, r"expected age_years as a whole number to 120, got another"),
        ({"laterality": "L", "history": ["lump"]}, r"expected history as text, got another value"),
    ],
)
def test_sidecars_that_cannot_be_are_refused(tmp_path: Path, stated: dict[str, Any], message: str) -> None:
    write(tmp_path / "a.png", **stated)
    with pytest.raises(InputError, match=rf"^a\.json: {message}"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{laterality}", r"expected JSON, got other text: correct it"),
        ('["L"]', r"expected a JSON object, got another value"),
    ],
)
def test_sidecars_that_are_no_json_are_refused(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=rf"^a\.json: {message}"):
        read_study(tmp_path)


def test_colour_is_refused(tmp_path: Path) -> None:
    colour = np.repeat((PIXELS >> 4).astype(np.uint8)[..., None], 3, 2)
    colour[..., 2] //= 2
    with pytest.raises(InputError, match=r"^a\.png: expected a grey picture, got one in colour: export it"):
        read_mammogram(write(tmp_path / "a.png", colour), laterality="L")


def test_one_value_everywhere_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", np.full((96, 64), 7, np.uint8))
    with pytest.raises(InputError, match=r"^a\.png: expected a picture, got one value everywhere: export"):
        read_mammogram(path, laterality="L")


def test_icons_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif"):
        with pytest.raises(InputError, match=r"expected 64 pixels a side to .*, got 20x30: export"):
            read_mammogram(write(tmp_path / name, PIXELS[:20, :30]), laterality="L")


def test_several_pages_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([PIXELS, PIXELS]), photometric="minisblack")
    with pytest.raises(
        InputError, match=r"^a\.tif: expected one page of 8 or 16 bits, got 2 of uint16: save"
    ):
        read_mammogram(tmp_path / "a.tif", laterality="L")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_damaged_pictures_are_refused(tmp_path: Path, suffix: str) -> None:
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, "PNG" if suffix == ".png" else "TIFF")
    (tmp_path / f"a{suffix}").write_bytes(content.getvalue()[: 200 if suffix == ".png" else 4])
    with pytest.raises(
        InputError, match=r"^a\..*: expected an intact picture, got one that cannot be decoded"
    ):
        read_mammogram(tmp_path / f"a{suffix}", laterality="L")
