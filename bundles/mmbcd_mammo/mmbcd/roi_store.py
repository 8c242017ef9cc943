"""The regions of every mammogram of a datalist, cut once and kept on disk, with features of a frozen encoder.

Reading, detecting and cutting a mammogram takes seconds, a training epoch must not repeat it. What is kept is
what inference cuts: the same boxes, the same crops; grey values in 16 bits (they differ by at most 8e-6), one
channel, as the three of a mammogram are equal. An interrupted filling goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from common.errors import InputError, OutputError
from common.io.files import write_json
from common.training.processes import first_process_first, is_first_process

from .datalist import Entry

_MANIFEST = "manifest.json"
_FULL = 65535
_TOLERANCE = 0.02  # of the probe's features: rounding of other machines and precisions is smaller
_WAITING = -1


class Rois(NamedTuple):
    """The regions of one mammogram, best first.

    Attributes:
        crops: float32 (k, 3, S, S), 0..1.
        boxes_px: (k, 4) x0, y0, x1, y1 in pixels of the whole picture.
        scores: (k,) of the detector.
    """

    crops: np.ndarray
    boxes_px: np.ndarray
    scores: np.ndarray


FindRois = Callable[[Entry], Rois]
"""Reads a mammogram, finds and cuts its regions. Raises InputError."""


class RoiStore:
    """Regions of N mammograms, at most K each.

    Args:
        entries: of the datalist; regions are kept in their order.
        find: makes the regions of one.
        description: of everything that `find` depends on besides the picture (weights, K, IoU, size).
        rois: K.
        size_px: S.
        folder: is filled anew where it belongs to other pictures or another description.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        find: FindRois,
        description: str,
        rois: int,
        size_px: int,
        folder: str | Path,
    ) -> None:
        self.entries, self.find, self.folder = list(entries), find, Path(folder)
        self.rois, self.size_px = rois, size_px
        self.key = _find_key(self.entries, (description, rois, size_px))

    def fill(self) -> RoiStore:
        """Make what is missing; with torchrun the first process makes it and the others wait.

        Raises:
            InputError: a mammogram cannot be read.
            OutputError: the folder cannot be written.
        """
        with first_process_first():
            if is_first_process():
                try:
                    self._fill()
                except OSError as error:
                    raise OutputError(
                        f"cache_dir: expected room for regions, got '{error.strerror}': name another"
                    ) from error
        self.counts = np.load(self.folder / "counts.npy")
        self.crops = np.load(self.folder / "crops.npy", mmap_mode="r")
        self.places = np.load(self.folder / "places.npy", mmap_mode="r")
        return self

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, number: int) -> Rois:
        """The regions of one mammogram; (0, ...) where none was found."""
        count = int(self.counts[number])
        grey = self.crops[number, :count].astype(np.float32) / np.float32(_FULL)
        crops = np.repeat(grey[:, None], 3, axis=1)
        places = np.asarray(self.places[number, :count])
        return Rois(crops, places[:, :4], places[:, 4])

    def _fill(self) -> None:
        if not self._is_own():
            self._create()
        counts, crops, places = (
            np.lib.format.open_memmap(self.folder / f"{name}.npy", mode="r+")
            for name in ("counts", "crops", "places")
        )
        waiting = np.flatnonzero(counts == _WAITING)
        for number in tqdm(waiting, "cutting regions", leave=False, disable=not len(waiting)):
            found = self.find(self.entries[number])
            count = min(len(found.crops), self.rois)
            crops[number, :count] = np.rint(np.clip(found.crops[:count, 0], 0, 1) * _FULL)
            places[number, :count, :4], places[number, :count, 4] = (
                found.boxes_px[:count],
                found.scores[:count],
            )
            counts[number] = count  # last: an interruption leaves this mammogram waiting

    def _is_own(self) -> bool:
        return _read_manifest(self.folder / _MANIFEST).get("key") == self.key

    def _create(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for stale in (_MANIFEST, "features.json"):
            (self.folder / stale).unlink(missing_ok=True)
        shape = (len(self.entries), self.rois)
        _create(self.folder / "crops.npy", np.uint16, (*shape, self.size_px, self.size_px))
        _create(self.folder / "places.npy", np.float32, (*shape, 5))
        _create(self.folder / "counts.npy", np.int32, shape[:1])[:] = _WAITING
        write_json(self.folder / _MANIFEST, {"key": self.key})


def keep_features(
    store: RoiStore, encode: Callable[[torch.Tensor], torch.Tensor], batch_size: int = 32
) -> np.ndarray:
    """Features of every region by a frozen encoder, computed once.

    Args:
        store: filled.
        encode: (n, 3, S, S) RGB 0..1 -> (n, D); its weights are known by what it makes of a probe.
        batch_size: regions at once.

    Returns:
        float32 (N, K, D), on disk; zeros where there is no region.

    Raises:
        InputError: no mammogram has any region.
    """
    path, manifest = store.folder / "features.npy", store.folder / "features.json"
    probe = _encode(encode, np.random.default_rng(0).random((1, 3, store.size_px, store.size_px)))[0]
    with first_process_first():
        if is_first_process() and not _same_probe(manifest, probe, store.key):
            manifest.unlink(missing_ok=True)
            if not store.counts.any():
                raise InputError("regions: expected at least one, got none in any mammogram: check the boxes")
            features = _create(path, np.float32, (len(store), store.rois, len(probe)))
            for numbers, crops in tqdm(_batches(store, batch_size), "encoding regions", leave=False):
                features[tuple(numbers.T)] = _encode(encode, crops)
            features.flush()
            write_json(manifest, {"key": store.key, "probe": probe.tolist()})
    return np.load(path, mmap_mode="r")


def _batches(store: RoiStore, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places (n, 2) of regions (mammogram, number), and their crops (n, 3, S, S)."""
    places = np.array([(n, k) for n, count in enumerate(store.counts) for k in range(count)])
    for start in range(0, len(places), size):
        chosen = places[start : start + size]
        yield chosen, np.stack([store[n].crops[k] for n, k in chosen])


def _encode(encode: Callable[[torch.Tensor], torch.Tensor], crops: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return encode(torch.from_numpy(crops.astype(np.float32))).float().cpu().numpy()


def _same_probe(path: Path, probe: np.ndarray, key: str) -> bool:
    kept = _read_manifest(path)
    old = np.array(kept.get("probe", []))
    if kept.get("key") != key or old.shape != probe.shape:
        return False
    return bool(np.abs(old - probe).max() <= _TOLERANCE * np.abs(probe).max())


def _read_manifest(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _create(path: Path, kind: type[np.generic], shape: Sequence[int]) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=tuple(shape))


def _find_key(entries: Sequence[Entry], settings: Sequence[object]) -> str:
    """Hash of the pictures (path, size, time of change) and settings."""
    found = hashlib.sha256(repr(tuple(settings)).encode())
    for entry in entries:
        status = entry.image.stat()
        found.update(f"{entry.image} {entry.laterality} {entry.view} ".encode())
        found.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
    return found.hexdigest()
