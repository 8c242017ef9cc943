"""Reading and drawing patches: exact pixels, exact class balance, nothing that depends on the order."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from common.errors import InputError
from scale_selector.augment import Augmentation
from scale_selector.data import Patch
from scale_selector.dataset import (
    MAX_OPEN_SLIDES,
    BalancedSampler,
    Draw,
    PatchDataset,
    PatchReader,
    read_picture,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), PIXELS[..., ::-1])
    return path


def patch_of(
    path: Path, label: int = 0, downsample: float = 1.0, center: tuple[float, float] | None = None
) -> Patch:
    return Patch(path, label, path.stem, None, downsample, center, 0.5 * downsample)


def test_middle_of_a_picture(picture: Path) -> None:
    assert np.array_equal(read_picture(patch_of(picture), 16), PIXELS[16:32, 24:40])
    halved = PIXELS[8:40, 16:48].reshape(16, 2, 16, 2, 3).mean((1, 3))
    assert np.abs(read_picture(patch_of(picture, downsample=2.0), 16) - halved).max() <= 1


def test_patch_of_a_slide(picture: Path) -> None:
    assert np.array_equal(PatchReader().read(patch_of(picture, center=(20, 20)), 16), PIXELS[12:28, 12:28])


def test_reader_keeps_few_slides_open_and_pickles_none(tmp_path: Path) -> None:
    reader = PatchReader()
    for number in range(MAX_OPEN_SLIDES + 2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), PIXELS)
        reader.read(patch_of(tmp_path / f"{number}.png", center=(20, 20)), 8)
    assert len(reader.slides) == MAX_OPEN_SLIDES
    assert len(pickle.loads(pickle.dumps(reader)).slides) == 0


@pytest.mark.parametrize("cache_gb", [0.0, 1.0])
def test_items(picture: Path, cache_gb: float) -> None:
    dataset = PatchDataset([patch_of(picture, 3)], 16, Augmentation(stain=0.1), cache_gb, progress=False)
    plain, changed, same = dataset[0], dataset[Draw(0, 5)], dataset[Draw(0, 5)]
    assert plain["label"] == 3 and plain["index"] == 0 and plain["image"].dtype == torch.uint8
    assert np.array_equal(plain["image"].numpy().transpose(1, 2, 0), PIXELS[16:32, 24:40])
    assert torch.equal(changed["image"], same["image"]) and not torch.equal(changed["image"], plain["image"])


def test_room_for_scale_augmentation(picture: Path) -> None:
    dataset = PatchDataset([patch_of(picture)], 16, Augmentation(flips=False, scale=0.5), progress=False)
    assert dataset.read_px == 24 and dataset.cache is not None and dataset.cache[0].shape == (24, 24, 3)
    assert np.array_equal(dataset[0]["image"].numpy().transpose(1, 2, 0), PIXELS[16:32, 24:40])


def test_cache_that_would_not_fit(picture: Path) -> None:
    assert PatchDataset([patch_of(picture)] * 10, 16, cache_gb=1e-6, progress=False).cache is None


def test_a_little_too_small_is_stretched_and_much_is_refused(picture: Path) -> None:
    assert PatchDataset([patch_of(picture, downsample=1.005)], 48, progress=False)[0]["image"].shape[1:] == (
        48,
        48,
    )
    with pytest.raises(InputError, match="expected at least 50 px at 0.5 um/px, got 48"):
        PatchDataset([patch_of(picture)], 50, progress=False)


def test_unreadable_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="expected a picture, got an unreadable file"):
        read_picture(patch_of(tmp_path / "a.png"), 8)


def unbalanced(picture: Path, counts: tuple[int, ...] = (20, 5, 2)) -> PatchDataset:
    patches = [patch_of(picture, label) for label, n in enumerate(counts) for _ in range(n)]
    return PatchDataset(patches, 16, Augmentation(), progress=False)


def test_every_class_equally_often_on_every_process(picture: Path) -> None:
    dataset = unbalanced(picture)
    for rank in (0, 1):
        sampler = BalancedSampler(dataset, rank=rank, processes=2)
        labels = Counter(dataset.data[draw.patch].label for draw in sampler)
        assert set(labels.values()) == {5} and len(sampler) == 15


def test_no_patch_twice_before_all_were_drawn(picture: Path) -> None:
    counts = Counter(draw.patch for draw in BalancedSampler(unbalanced(picture)))
    assert sorted(counts[i] for i in (25, 26)) == [4, 5] and max(counts[i] for i in range(20)) == 1


def test_unbalanced_draws_each_once(picture: Path) -> None:
    assert sorted(d.patch for d in BalancedSampler(unbalanced(picture), balanced=False)) == list(range(27))


def test_draws_depend_on_seed_and_epoch_only(picture: Path) -> None:
    dataset = unbalanced(picture)
    sampler, again = BalancedSampler(dataset, seed=4), BalancedSampler(dataset, seed=4)
    first = list(sampler)
    sampler.set_epoch(3), again.set_epoch(3)
    assert list(sampler) == list(again) != first


def test_workers_change_nothing(picture: Path) -> None:
    patches = [patch_of(picture, i % 2, center=(20 + i, 20)) for i in range(6)]
    batches = []
    for workers in (0, 2):
        dataset = PatchDataset(patches, 16, Augmentation(stain=0.1), cache_gb=0)
        loader = DataLoader(dataset, 2, sampler=BalancedSampler(dataset), num_workers=workers)
        batches.append(torch.cat([batch["image"] for batch in loader]))
    assert torch.equal(*batches)
