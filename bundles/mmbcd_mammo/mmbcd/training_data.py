"""Mammograms of a datalist as the trainer takes them; nothing is read before it is needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from common.errors import ConfigError
from common.training.processes import process_place

from .classifier import Mmbcd
from .datalist import Entry, check_both_classes, load_datalist
from .masking import HistoryMask
from .regions import Regions
from .roi_store import RoiStore, keep_features
from .samples import build_store, clean_history

logger = logging.getLogger(__name__)


class TrainingMaterial:
    """The training and validation part of a datalist, read when they are first needed.

    Args:
        datalist: JSON, see `datalist`.
    """

    def __init__(self, datalist: str | Path) -> None:
        self.datalist = datalist

    @cached_property
    def training(self) -> list[Entry]:
        """Raises InputError: see `load_datalist`; one class only."""
        return self._load("training")

    @cached_property
    def validation(self) -> list[Entry]:
        """Raises InputError: see `load_datalist`; one class only."""
        return self._load("validation")

    def _load(self, part: str) -> list[Entry]:
        entries = load_datalist(self.datalist, part)
        check_both_classes(entries, part)
        return entries


class Samples(Dataset):
    """Mammograms with their regions, the history that concerns the breast, and the truth.

    Args:
        entries: gives the entries when they are first needed.
        network: says how large a region is; where its vision encoder is frozen and `cache_features` asks for
            it, its features of the regions are kept in place of them.
        regions: finds and cuts the regions of a mammogram.
        cache_dir: where regions and features are kept.
        cache_features: keep features too; needs a frozen vision encoder.

    Raises:
        ConfigError: features of an encoder that is trained cannot be kept.
    """

    def __init__(
        self,
        entries: Callable[[], list[Entry]],
        network: Mmbcd,
        regions: Regions,
        cache_dir: str | Path,
        cache_features: bool = False,
    ) -> None:
        if cache_features and not network.vision_frozen:
            raise ConfigError(
                "cache_features: expected a frozen vision encoder, got one that is trained: set "
                "cache_features to false, or frozen_blocks of the network to all of its blocks"
            )
        self.read, self.network, self.regions = entries, network, regions
        self.folder, self.cache_features = Path(cache_dir), cache_features

    @cached_property
    def entries(self) -> list[Entry]:
        """Raises InputError."""
        return self.read()

    @cached_property
    def store(self) -> RoiStore:
        """Raises InputError, OutputError: see `RoiStore.fill`."""
        return build_store(self.entries, self.regions, self.network.image_size, self.folder).fill()

    @cached_property
    def features(self) -> np.ndarray | None:
        """(N, K, D); None where regions are encoded at every step."""
        return keep_features(self.store, self._encode) if self.cache_features else None

    @cached_property
    def histories(self) -> list[str]:
        """What concerns the breast of each mammogram; empty where there is nothing."""
        return [clean_history(entry) for entry in self.entries]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """See `sample`."""
        return self.sample(number)

    def sample(self, number: int, flips: Sequence[bool] = (False, False)) -> dict[str, Any]:
        """One mammogram.

        Args:
            number: its place in the datalist.
            flips: mirror the regions up and down, left and right; features are not changed.

        Returns:
            rois (K, 3, S, S) RGB 0..1 or their features (K, D), zeros behind the last region; roi_mask (K,)
            bool; history, label 0 or 1, number.
        """
        values = self._regions(number, flips) if self.features is None else self.features[number]
        return {
            "rois": torch.from_numpy(np.array(values)),
            "roi_mask": torch.arange(self.store.rois) < int(self.store.counts[number]),
            "history": self.histories[number],
            "label": int(self.entries[number].malignant),
            "number": number,
        }

    def _regions(self, number: int, flips: Sequence[bool]) -> np.ndarray:
        crops = self.store[number].crops
        values = np.zeros((self.store.rois, *crops.shape[1:]), np.float32)
        values[: len(crops)] = crops
        return values[..., :: -1 if flips[0] else 1, :: -1 if flips[1] else 1]

    def prepare(self) -> None:
        """Read everything now, before workers start. Raises InputError."""
        logger.info("%d mammograms, %d malignant", len(self), sum(e.malignant for e in self.entries))
        self.features  # noqa: B018
        self.store  # noqa: B018

    def _encode(self, crops: torch.Tensor) -> torch.Tensor:
        """(n, 3, S, S) -> (n, D) by the frozen encoder."""
        network = self.network
        device = next(network.parameters()).device
        was_training = network.training
        network.eval()
        found = network.encode_rois(crops.to(device)[:, :, None])[:, 0]
        network.train(was_training)
        return found


class TrainingSamples(Dataset):
    """Samples with changes: index i is the same sample in every process, worker and resumed run.

    Args:
        samples: of the training part.
        flip: share of mammograms whose regions are mirrored, for each of the two axes, 0..1.
        seed: of mirroring and masked words.

    Raises:
        ConfigError: a share outside 0..1.
    """

    def __init__(self, samples: Samples, flip: float = 0.5, seed: int = 0) -> None:
        if not 0 <= flip <= 1:
            raise ConfigError(f"flip: expected 0 to 1, got {flip}: 0.5 is usual")
        self.samples, self.flip, self.seed = samples, flip, seed

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def mask(self) -> HistoryMask | None:
        """Fitted on the training histories only; None where the network masks nothing. Raises InputError."""
        network = self.samples.network
        options = network.options
        if network.text is None or not options.mask_rate or not options.mask_words:
            return None
        texts = [entry.history or "" for entry in self.samples.entries]
        return HistoryMask(texts, network.text.mask_token, options.mask_words, options.mask_rate)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Number `index % N`, changed as the index says."""
        rng = np.random.default_rng((self.seed, index))
        flips = (rng.random(2) < self.flip).tolist()
        sample = self.samples.sample(index % len(self), flips)
        if self.mask is not None:
            sample["history"] = self.mask(sample["history"], rng)
        return sample

    def prepare(self) -> None:
        """Read everything now, before workers start. Raises InputError."""
        self.samples.prepare()
        self.mask  # noqa: B018


class EpochSampler(DistributedSampler):
    """Places of this epoch and process in random order; `epoch * N + place`, so that no index comes twice.

    Args:
        dataset: takes such indices, see `TrainingSamples`.
        seed: of the order.
    """

    def __init__(self, dataset: Dataset, seed: int = 0) -> None:
        rank, processes = process_place()
        self.count, self.start = len(dataset), rank  # type: ignore[arg-type]
        super().__init__(dataset, num_replicas=processes, rank=rank, seed=seed)

    def __len__(self) -> int:
        return self.count // self.num_replicas

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        own = order[self.start : len(self) * self.num_replicas : self.num_replicas]
        return iter((self.epoch * self.count + own).tolist())


def build_train_loader(
    dataset: Dataset,
    batch_size: int,
    num_workers: int = 0,
    seed: int = 0,
    collate_fn: Callable[..., Any] | None = None,
) -> DataLoader:
    """Batches in random order; with torchrun each process has its own share.

    Args:
        dataset: see `EpochSampler`.
        batch_size: of each process.
        num_workers: processes that read.
        seed: of the order.
        collate_fn: makes a batch; None: torch's own.

    Raises:
        ConfigError: no batch, or fewer mammograms than one batch holds.
    """
    sampler = EpochSampler(dataset, seed)
    if not 1 <= batch_size <= len(sampler):
        raise ConfigError(
            f"batch_size: expected 1 to the {len(sampler)} mammograms of an epoch, got {batch_size}: lower it"
        )
    workers: dict[str, Any] = {"num_workers": num_workers, "persistent_workers": num_workers > 0}
    settings = {"drop_last": True, "collate_fn": collate_fn, **workers}
    return DataLoader(dataset, batch_size, sampler=sampler, **settings)
