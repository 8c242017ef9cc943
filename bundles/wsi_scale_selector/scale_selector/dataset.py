"""Reads labelled patches for training and evaluation, and decides in which order."""

from __future__ import annotations

import logging
import math
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, DistributedSampler
from tqdm import tqdm

from common.errors import InputError
from common.io.slide import Slide, open_slide
from common.transforms.resample import resample_window

from .augment import Augmentation, crop_middle
from .data import Patch

MAX_OPEN_SLIDES = 16
SIZE_TOLERANCE = 0.98
"""A picture may lack this little of its field of view (0.499 for 0.5 um/px); it is stretched by as much."""

logger = logging.getLogger(__name__)


class Draw(NamedTuple):
    """One training sample: which patch, and the seed of its random changes."""

    patch: int
    seed: int


class PatchReader:
    """Reads patches; slides are opened when first needed, once per process."""

    def __init__(self) -> None:
        self.slides: OrderedDict[Path, Slide] = OrderedDict()
        self.process = os.getpid()

    def read(self, patch: Patch, size_px: int) -> np.ndarray:
        """uint8 RGB (size_px, size_px, 3) around the patch's centre. Raises InputError."""
        if patch.center_xy_px is None:
            return read_picture(patch, size_px)
        return self._slide(patch.image).read_square(patch.center_xy_px, patch.downsample, size_px, pad=True)

    def _slide(self, path: Path) -> Slide:
        if self.process != os.getpid():  # a forked worker must not share its parent's file positions
            self.__init__()  # type: ignore[misc]
        if path not in self.slides:
            if len(self.slides) >= MAX_OPEN_SLIDES:
                self.slides.popitem(last=False)[1].close()
            self.slides[path] = open_slide(path)
        self.slides.move_to_end(path)
        return self.slides[path]

    def __getstate__(self) -> dict[str, Any]:
        return {"slides": OrderedDict(), "process": os.getpid()}


def read_picture(patch: Patch, size_px: int) -> np.ndarray:
    """The middle of a patch picture at the wanted scale, (size_px, size_px, 3).

    A picture that is too small for the wider field of view that augmentation asks for is read whole; the
    caller's `crop_middle` keeps within it.

    Raises:
        InputError: unreadable picture.
    """
    try:
        pixels = cv2.imread(str(patch.image), cv2.IMREAD_COLOR)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise InputError(
            f"{patch.image.name}: expected a picture, got an unreadable file: remove or replace it"
        )
    pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    height, width = pixels.shape[:2]
    size = min(size_px, math.floor(min(height, width) / patch.downsample + 1e-6))
    offset = ((width - size * patch.downsample) / 2, (height - size * patch.downsample) / 2)
    corner = (max(0.0, offset[0]), max(0.0, offset[1]))
    return resample_window(pixels, corner, patch.downsample, (size, size))


class PatchDataset(Dataset):
    """Labelled patches as the network takes them.

    `dataset[i]` is patch i unchanged; `dataset[Draw(i, seed)]` is patch i after the random changes of that
    seed. Nothing depends on the order of reading, on the worker or on earlier epochs, so that an interrupted
    run can be resumed exactly.

    Args:
        patches: what to read.
        size_px: edge of the network's input.
        augmentation: random changes; None for validation and evaluation.
        cache_gb: keep the patches in memory when they need at most this much (0 never keeps them). Reading
            slides again in every epoch costs more than training a small network.
        progress: show a bar while the cache fills.
    """

    def __init__(
        self,
        patches: Sequence[Patch],
        size_px: int,
        augmentation: Augmentation | None = None,
        cache_gb: float = 4.0,
        progress: bool = True,
    ) -> None:
        self.data = list(patches)
        self.size_px = size_px
        self.augmentation = augmentation
        self.read_px = math.ceil(size_px * (1 + (augmentation.scale if augmentation else 0.0)))
        self.reader = PatchReader()
        self.cache: list[np.ndarray] | None = None
        needed_gb = len(self.data) * self.read_px**2 * 3 / 1e9
        if needed_gb <= cache_gb:
            self.cache = [self._read(p) for p in tqdm(self.data, "reading patches", disable=not progress)]
        elif cache_gb:
            logger.info(
                "patches need %.1f GB, more than cache_gb %.1f: read in every epoch", needed_gb, cache_gb
            )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: int | Draw) -> dict[str, Any]:
        """{"image": uint8 RGB tensor (3, size_px, size_px), "label": int, "index": int}."""
        index = key.patch if isinstance(key, Draw) else key
        patch = self.cache[index] if self.cache is not None else self._read(self.data[index])
        if isinstance(key, Draw) and self.augmentation is not None:
            patch = self.augmentation(patch, self.size_px, np.random.default_rng(key.seed))
        else:
            patch = crop_middle(patch, self.size_px)
        image = torch.from_numpy(np.ascontiguousarray(patch.transpose(2, 0, 1)))
        return {"image": image, "label": self.data[index].label, "index": index}

    def _read(self, patch: Patch) -> np.ndarray:
        pixels = self.reader.read(patch, self.read_px)
        if pixels.shape[0] < math.floor(SIZE_TOLERANCE * self.size_px):
            raise InputError(
                f"{patch.image.name}: expected at least {self.size_px} px at {patch.mpp:g} um/px, got "
                f"{pixels.shape[0]}: bring pictures of a larger field of view, or choose a higher scale"
            )
        return pixels


class BalancedSampler(DistributedSampler):
    """Every class equally often, on every process; none of a class's patches twice before all were drawn.

    The draws of an epoch depend on the seed and the epoch only. MONAI's trainer calls `set_epoch`.

    Args:
        dataset: labelled patches.
        seed: same seed, same draws.
        balanced: False draws every patch once per epoch.
        rank: this process.
        processes: how many processes share an epoch.
    """

    def __init__(
        self, dataset: PatchDataset, seed: int = 0, balanced: bool = True, rank: int = 0, processes: int = 1
    ) -> None:
        super().__init__(dataset, num_replicas=processes, rank=rank, seed=seed)
        labels = np.array([patch.label for patch in dataset.data])
        members = [np.flatnonzero(labels == value) for value in np.unique(labels)]
        self.members = members if balanced else [np.arange(len(labels))]
        self.rounds = math.ceil(len(labels) / len(self.members) / processes)

    def __len__(self) -> int:
        return self.rounds * len(self.members)

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng([self.seed, self.epoch])
        columns = [_deal(own, self.rounds * self.num_replicas, rng) for own in self.members]
        rounds = np.stack(columns, axis=1)[self.rank :: self.num_replicas]
        own_rng = np.random.default_rng([self.seed, self.epoch, self.rank])
        indices = own_rng.permutation(rounds.ravel())
        seeds = own_rng.integers(2**63, size=len(indices))
        return iter([Draw(int(i), int(s)) for i, s in zip(indices, seeds, strict=True)])


def _deal(members: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` members, shuffled anew each time all were dealt."""
    decks = [rng.permutation(members) for _ in range(math.ceil(count / len(members)))]
    return np.concatenate(decks)[:count]
