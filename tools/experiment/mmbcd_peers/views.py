"""The mammograms of a datalist's parts as peers see them: MMBCD's regions, or complete mammograms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mmbcd.datalist import Entry
from mmbcd.regions import Regions
from mmbcd.roi_store import Rois, RoiStore
from mmbcd.rois import crop_rois
from mmbcd.samples import build_store, clean_history, describe_regions

from .base import PICTURE, Batch


class Views:
    """Mammograms of one part.

    Args:
        entries: of the part.
        store: filled, what is seen of them.
    """

    def __init__(self, entries: Sequence[Entry], store: RoiStore) -> None:
        self.entries, self.store = list(entries), store
        self.histories = [clean_history(entry) for entry in self.entries]
        self.labels = np.array([entry.malignant for entry in self.entries])

    def __len__(self) -> int:
        return len(self.entries)

    def take(self, numbers: Sequence[int], flips: np.ndarray | None = None) -> Batch:
        """Some of the mammograms.

        Args:
            numbers: B places in the part.
            flips: (B, 2) bool, mirror up and down, left and right; None for none.
        """
        size = self.store.size_px
        crops = np.zeros((len(numbers), self.store.rois, 3, size, size), np.float32)
        present = np.zeros(crops.shape[:2], bool)
        for row, number in enumerate(numbers):
            found = self.store[number].crops
            if flips is not None:
                found = found[..., :: -1 if flips[row, 0] else 1, :: -1 if flips[row, 1] else 1]
            crops[row, : len(found)], present[row, : len(found)] = found, True
        labels = torch.from_numpy(self.labels[list(numbers)])
        histories = [self.histories[number] for number in numbers]
        return Batch(torch.from_numpy(crops), torch.from_numpy(present), histories, labels)


class ViewSource:
    """Makes `Views` and keeps what they are made of.

    Args:
        regions: of MMBCD.
        folder: for what is kept, one folder for each part, kind and size.
    """

    def __init__(self, regions: Regions, folder: Path) -> None:
        self.regions, self.folder = regions, folder

    def describe(self) -> str:
        """Everything that the regions depend on. Raises BundleError: the detector cannot be used."""
        return describe_regions(self.regions)

    def open(self, entries: Sequence[Entry], part: str, sees: str, size_px: int) -> Views:
        """The views of a part.

        Args:
            entries: of the part.
            part: its name, for the folder.
            sees: `REGIONS` or `PICTURE`.
            size_px: edge of a region or of the picture.

        Raises:
            BundleError: a mammogram, the detector or the folder cannot be used.
        """
        folder = self.folder / f"{sees}_{size_px}" / part
        if sees == PICTURE:
            store = build_picture_store(entries, size_px, folder)
        else:
            store = build_store(entries, self.regions, size_px, folder)
        return Views(entries, store.fill())


def build_picture_store(entries: Sequence[Entry], size_px: int, folder: Path) -> RoiStore:
    """A store, not yet filled, of complete mammograms: the long edge scaled to `size_px`, the rest dark."""

    def find(entry: Entry) -> Rois:
        pixels = entry.read().pixels
        whole = np.array([[0, 0, pixels.shape[1], pixels.shape[0]]], np.float32)
        return Rois(crop_rois(pixels, whole, size_px), whole, np.ones(1, np.float32))

    return RoiStore(entries, find, "complete mammograms", 1, size_px, folder)
