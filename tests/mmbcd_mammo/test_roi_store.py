"""Kept regions are those that were cut; an interruption and other settings are noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import InputError, OutputError
from mmbcd.datalist import Entry, Header
from mmbcd.roi_store import Rois, RoiStore, keep_features

HEADER = Header("toy", "none", "synthetic")


def make_entries(folder: Path, count: int = 4) -> list[Entry]:
    entries = []
    for number in range(count):
        image = folder / f"{number}.dcm"
        image.write_bytes(bytes(number + 1))
        entries.append(Entry(HEADER, image, f"p{number}", "s", "L", "CC", False))
    return entries


class Finder:
    """As many regions as the file's name says, of one grey value each; counts how often it is asked."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.asked: list[str] = []
        self.fail_at = fail_at

    def __call__(self, entry: Entry) -> Rois:
        if self.fail_at == len(self.asked):
            raise KeyboardInterrupt
        self.asked.append(entry.image.stem)
        count = int(entry.image.stem)
        values = np.linspace(0.1, 0.9, 5)[:count]
        crops = np.broadcast_to(values[:, None, None, None], (count, 3, 6, 6)).astype(np.float32)
        boxes = np.arange(count * 4, dtype=float).reshape(count, 4)
        return Rois(crops, boxes, values)


def build(
    folder: Path, finder: Finder, entries: list[Entry], description: str = "a", rois: int = 3
) -> RoiStore:
    return RoiStore(entries, finder, description, rois, 6, folder / "kept").fill()


def test_regions_are_kept_as_they_were_cut(tmp_path: Path) -> None:
    entries, finder = make_entries(tmp_path), Finder()
    store = build(tmp_path, finder, entries)
    assert len(store) == 4 and store.counts.tolist() == [0, 1, 2, 3]
    assert store[0].crops.shape == (0, 3, 6, 6)
    whole = finder(entries[2])
    assert store[2].crops == pytest.approx(whole.crops, abs=8e-6) and store[2].crops.dtype == np.float32
    assert np.array_equal(store[2].boxes_px, whole.boxes_px) and store[2].scores == pytest.approx(
        whole.scores
    )


def test_nothing_is_cut_twice(tmp_path: Path) -> None:
    entries = make_entries(tmp_path)
    build(tmp_path, Finder(), entries)
    for finder, description, rois, expected in (
        (Finder(), "a", 3, 0),
        (Finder(), "other weights", 3, 4),
        (Finder(), "other weights", 2, 4),
    ):
        store = build(tmp_path, finder, entries, description, rois)
        assert len(finder.asked) == expected and store.counts.max() == min(3, rois)
    entries[1].image.write_bytes(b"another picture")
    finder = Finder()
    build(tmp_path, finder, entries, "other weights", 2)
    assert len(finder.asked) == 4


def test_an_interruption_goes_on(tmp_path: Path) -> None:
    entries = make_entries(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, Finder(fail_at=2), entries)
    finder = Finder()
    store = build(tmp_path, finder, entries)
    assert finder.asked == ["2", "3"] and store.counts.tolist() == [0, 1, 2, 3]


class Encoder:
    """Mean of each channel times a factor."""

    def __init__(self, factor: float) -> None:
        self.factor, self.seen = factor, 0

    def __call__(self, crops: torch.Tensor) -> torch.Tensor:
        self.seen += len(crops)
        return crops.mean((2, 3)) * self.factor


def test_features_are_those_of_the_encoder(tmp_path: Path) -> None:
    store = build(tmp_path, Finder(), make_entries(tmp_path))
    first, second, other = Encoder(1.0), Encoder(1.0), Encoder(2.0)
    features = keep_features(store, first, 2)
    assert features.shape == (4, 3, 3) and first.seen == 1 + 6
    assert features[3, :, 0] == pytest.approx([0.1, 0.3, 0.5], abs=1e-5) and not features[0].any()
    keep_features(store, second, 2)
    assert second.seen == 1
    assert keep_features(store, other, 2)[3, 0, 0] == pytest.approx(0.2, abs=3e-5)


def test_refusals(tmp_path: Path) -> None:
    store = build(tmp_path, Finder(), make_entries(tmp_path, 1))
    with pytest.raises(InputError, match="regions: expected at least one, got none in any mammogram"):
        keep_features(store, Encoder(1.0))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cache_dir: expected room for regions"):
        RoiStore(make_entries(tmp_path), Finder(), "a", 3, 6, tmp_path / "file").fill()
    (tmp_path / "kept" / "manifest.json").write_text("[1]")
    assert build(tmp_path, Finder(), make_entries(tmp_path)).counts.tolist() == [0, 1, 2, 3]
