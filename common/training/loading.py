"""Loaders whose data is read when the first batch is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, Subset

from .processes import process_place


class LazyLoader:
    """Batches in order, read when they are first asked for; with torchrun every n-th sample.

    Args:
        dataset: with a length that costs reading.
        batch_size: samples at once.
    """

    def __init__(self, dataset: Dataset, batch_size: int) -> None:
        self.dataset, self.batch_size = dataset, batch_size

    def __iter__(self) -> Iterator[Any]:
        rank, processes = process_place()
        part = Subset(self.dataset, range(rank, len(self.dataset), processes))  # type: ignore[arg-type]
        return iter(DataLoader(part, self.batch_size))
