"""Which files are taken for what, and what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import ConfigError, InputError
from scale_selector.material import find_material


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    return path


def note(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[]")
    return path


def table(folder: Path, *lines: str, name: str = "dataset.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("splits", [("train", "test"), (None,)])
def test_images_and_annotations(tmp_path: Path, splits: tuple[str | None, ...]) -> None:
    for split in splits:
        picture(tmp_path / "images" / (split or "") / f"{split}_1.png")
        note(tmp_path / "annotations" / (split or "") / f"{split}_1.json")
    sources = find_material(tmp_path)
    assert [(s.split, s.group, s.class_name) for s in sources] == [(s, f"{s}_1", None) for s in splits]
    assert all(s.annotation and s.annotation.name == f"{s.image.stem}.json" for s in sources)


def test_annotation_beside_the_slide(tmp_path: Path) -> None:
    picture(tmp_path / "P1_a.png"), note(tmp_path / "P1_a.geojson")
    picture(tmp_path / "P1_b.png"), note(tmp_path / "P1_b.png.json")
    assert [s.group for s in find_material(tmp_path, "^(P[0-9])_")] == ["P1", "P1"]


@pytest.mark.parametrize("splits", [("train", "val"), (None,)])
def test_class_folders(tmp_path: Path, splits: tuple[str | None, ...]) -> None:
    for split in splits:
        for name in ("AT", "BG"):
            picture(tmp_path / (split or "") / name / f"{split}{name}.png")
    note(tmp_path / "remarks.json")
    sources = find_material(tmp_path)
    assert [(s.split, s.class_name) for s in sources] == [(s, c) for s in splits for c in ("AT", "BG")]


def test_csv(tmp_path: Path) -> None:
    picture(tmp_path / "a.png"), picture(tmp_path / "b.png"), note(tmp_path / "b.json")
    lines = ["image,label,annotation,group,split,mpp", "a.png,AT,,P7,train,0.5", "b.png,,b.json,,,"]
    for path in (tmp_path, table(tmp_path, *lines)):
        patch, slide = find_material(path)
        assert (patch.class_name, patch.group, patch.split, patch.mpp) == ("AT", "P7", "train", 0.5)
        assert (slide.annotation, slide.group, slide.split, slide.mpp) == (
            tmp_path / "b.json",
            "b",
            None,
            None,
        )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("picture,label",), "expected the columns image and label or annotation, got label, picture"),
        (("image,label", "none.png,AT"), "line 2: expected an existing file"),
        (("image,label,annotation", "a.png,AT,a.png"), "line 2: expected either a label or an annotation"),
        (("image,label", "a.png,"), "line 2: expected either a label or an annotation"),
        (("image,label,split", "a.png,AT,dev"), "line 2: expected split train, val or test, got 'dev'"),
        (("image,label,mpp", "a.png,AT,half"), "line 2: expected 0 < mpp <= 100, got 'half'"),
        (("image,label,mpp", "a.png,AT,-1"), "line 2: expected 0 < mpp <= 100, got '-1'"),
    ],
)
def test_malformed_csv(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(InputError, match=message):
        find_material(table(tmp_path, *lines))


def test_a_file_that_is_no_csv_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"II*\x00\xff\xfe\xd8")
    with pytest.raises(
        InputError, match="a.svs: expected a folder or a CSV file in UTF-8, got UnicodeDecode"
    ):
        find_material(tmp_path / "a.svs")


def test_missing_annotation(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png"), note(tmp_path / "annotations" / "b.json")
    with pytest.raises(InputError, match=r"expected its annotation a\.json or \.geojson, got none"):
        find_material(tmp_path)


def test_no_folder_and_no_material(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder or CSV file, got no such path"):
        find_material(tmp_path / "none")
    with pytest.raises(InputError, match="got none of them"):
        find_material(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "expected a regular expression"),
        ("P.", r"expected one \(group\), got 0"),
        ("(Q.)", "to fit every"),
    ],
)
def test_group_pattern(tmp_path: Path, pattern: str, message: str) -> None:
    picture(tmp_path / "AT" / "P1.png")
    with pytest.raises(ConfigError, match=message):
        find_material(tmp_path, pattern)
