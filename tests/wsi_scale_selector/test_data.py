"""From material to patches: colours stand for classes, so that a look at a patch checks it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import ConfigError, InputError
from scale_selector.data import (
    Patch,
    PatchSettings,
    check_groups_apart,
    class_areas,
    collect_patches,
    count_by_class,
    hash_group,
    split_by_group,
)
from scale_selector.dataset import PatchReader
from scale_selector.material import Source

COLORS = {"red": (200, 30, 30), "green": (30, 200, 30)}
SETTINGS = PatchSettings(("red", "green"), 16, 0.5, patches_per_class=30, slide_mpp=0.25, patch_mpp=0.5)


def draw_slide(root: Path, stem: str, split: str = "") -> None:
    """400 x 300 px: the left half red, the right half green, a PATH-DT-MSU annotation."""
    pixels = np.empty((300, 400, 3), np.uint8)
    pixels[:, :200], pixels[:, 200:] = COLORS["red"], COLORS["green"]
    boxes = {"red": (0, 0, 200, 300), "green": (200, 0, 400, 300)}
    content = [
        {"class": name, "vertices": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]}
        for name, (x0, y0, x1, y1) in boxes.items()
    ]
    for folder in ("images", "annotations"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(root / "images" / split / f"{stem}.png"), pixels[..., ::-1])
    (root / "annotations" / split / f"{stem}.json").write_text(json.dumps(content))


def test_patches_show_their_class(tmp_path: Path) -> None:
    for stem in "ab":
        draw_slide(tmp_path, stem)
    patches = collect_patches(tmp_path, SETTINGS, (None,))
    assert count_by_class(patches, SETTINGS.class_names) == {"red": 30, "green": 30}
    reader = PatchReader()
    for patch in patches:
        assert patch.downsample == 2.0 and patch.mpp == 0.5
        color = reader.read(patch, 16).mean((0, 1))
        assert np.argmax(color[:2]) == patch.label and color[patch.label] > 140


def test_same_seed_same_patches(tmp_path: Path) -> None:
    draw_slide(tmp_path, "a")
    assert collect_patches(tmp_path, SETTINGS, (None,)) == collect_patches(tmp_path, SETTINGS, (None,))
    other = PatchSettings(**{**vars(SETTINGS), "seed": 1})
    assert collect_patches(tmp_path, SETTINGS, (None,)) != collect_patches(tmp_path, other, (None,))


def test_only_the_wanted_splits(tmp_path: Path) -> None:
    draw_slide(tmp_path, "a", "train"), draw_slide(tmp_path, "b", "test")
    assert {p.group for p in collect_patches(tmp_path, SETTINGS, ("train",))} == {"a"}


def test_little_room_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    draw_slide(tmp_path, "a")
    wide = PatchSettings(**{**vars(SETTINGS), "size_px": 110, "min_inside": 1.0})
    with caplog.at_level(logging.WARNING), pytest.raises(InputError, match="expected patches, got none"):
        collect_patches(tmp_path, wide, (None,))
    assert "a.png: 0 of 30 patches of class 'red' found room" in caplog.text


def test_enlarging_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    draw_slide(tmp_path, "a")
    with caplog.at_level(logging.WARNING):
        collect_patches(tmp_path, PatchSettings(**{**vars(SETTINGS), "mpp": 0.1}), (None,))
    assert "patches are enlarged" in caplog.text


def test_unknown_resolution(tmp_path: Path) -> None:
    draw_slide(tmp_path, "a")
    with pytest.raises(InputError, match="expected a known resolution, got none"):
        collect_patches(tmp_path, PatchSettings(**{**vars(SETTINGS), "slide_mpp": None}), (None,))


def draw_pictures(root: Path, *names: str, size_px: int = 40) -> None:
    for name in names:
        (root / name).mkdir()
        pixels = np.full((size_px, size_px, 3), COLORS.get(name, (0, 0, 0)), np.uint8)
        for number in range(3):
            cv2.imwrite(str(root / name / f"P{number}_{name}.png"), pixels[..., ::-1])


def test_pictures(tmp_path: Path) -> None:
    draw_pictures(tmp_path, "red", "green", "marker")
    settings = PatchSettings(**{**vars(SETTINGS), "aliases": {"marker": None}, "mpp": 1.0})
    patches = collect_patches(tmp_path, settings, (None,), "^(P.)")
    assert count_by_class(patches, settings.class_names) == {"red": 3, "green": 3}
    assert {(p.downsample, p.center_xy_px) for p in patches} == {(2.0, None)}
    assert {p.group for p in patches} == {"P0", "P1", "P2"}


def test_unknown_class_folder(tmp_path: Path) -> None:
    draw_pictures(tmp_path, "blue")
    with pytest.raises(InputError, match="one of the classes red, green, got 'blue'"):
        collect_patches(tmp_path, SETTINGS, (None,))


def test_pictures_of_unknown_resolution(tmp_path: Path) -> None:
    draw_pictures(tmp_path, "red")
    with pytest.raises(
        InputError, match="expected the resolution of the patches, got none: give --patch_mpp"
    ):
        collect_patches(tmp_path, PatchSettings(**{**vars(SETTINGS), "patch_mpp": None}), (None,))


def test_a_patch_has_no_annotated_area(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected an annotated slide, got a patch"):
        class_areas(Source(tmp_path / "a.png", "a", class_name="red"), SETTINGS)


@pytest.mark.parametrize("change", [{"min_inside": 0.0}, {"min_inside": 1.5}, {"patches_per_class": 0}])
def test_settings_out_of_range(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(change))}: expected"):
        PatchSettings(**{**vars(SETTINGS), **change})


def patches_of(*groups: str, split: str | None = None) -> list[Patch]:
    return [Patch(Path("x"), label, g, split, 1.0, None, 0.5) for g in groups for label in (0, 0, 1)]


def test_split_keeps_groups_apart_and_the_share() -> None:
    patches = patches_of(*"abcdefghij")
    train, validation = split_by_group(patches, 0.2, seed=3)
    assert len(validation) == 6 and not {p.group for p in train} & {p.group for p in validation}
    assert sorted(map(str, train + validation)) == sorted(map(str, patches))
    assert split_by_group(patches, 0.2, seed=3) == (train, validation)


def test_split_keeps_a_rare_class_on_both_sides() -> None:
    rare = [Patch(Path("x"), 5, group, None, 1.0, None, 0.5) for group in "ab"]
    train, validation = split_by_group(patches_of(*"abcdefghij") + rare, 0.2, seed=0)
    assert {p.label for p in train} == {p.label for p in validation} == {0, 1, 5}


def test_the_materials_own_validation_split_wins() -> None:
    train, validation = split_by_group(patches_of("a", split="train") + patches_of("b", split="val"), 0.5, 0)
    assert {p.group for p in train} == {"a"} and {p.group for p in validation} == {"b"}


def test_split_refusals() -> None:
    with pytest.raises(InputError, match="expected at least two patients or slides, got one"):
        split_by_group(patches_of("a"), 0.2, 0)
    with pytest.raises(ConfigError, match="val_fraction: expected a share"):
        split_by_group(patches_of("a", "b"), 1.0, 0)


def test_a_group_on_two_sides_is_refused_without_its_name() -> None:
    sources = [Source(Path("x"), "Smith", split) for split in ("train", "test")]
    with pytest.raises(InputError, match="in one split, got 1 in several") as caught:
        check_groups_apart(sources)
    assert "Smith" not in str(caught.value)


def test_hash_is_sha256() -> None:
    assert hash_group("abc") == "ba7816bf8f01cfea"
