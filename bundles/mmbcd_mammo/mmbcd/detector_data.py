"""Breasts and their lesions as the detector's trainer takes them; every mammogram is read once.

What is kept on disk is the breast at the size that the detector sees, in 16 bits; `prepare_breast` makes the
network's input of it, as it does in inference.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from common.errors import ConfigError, InputError, OutputError
from common.io.files import atomic_path
from common.networks.focalnet_dino.targets import Target
from common.training.processes import first_process_first, is_first_process

from .breast_frame import BreastFrame, fit_breast, prepare_breast
from .datalist import Box, Entry, load_datalist
from .rois import resize

LESIONS = ("malignant", "all")
_FULL = 65535
logger = logging.getLogger(__name__)


class DetectorMaterial:
    """The mammograms of a datalist whose lesions are known.

    Args:
        datalist: JSON, see `datalist`.
        lesions: "malignant" (**paper**, section 3.1): boxes of malignant mammograms are lesions, the others
            have none and need no boxes; "all": every box is one, and mammograms that nobody drew on are left
            out.

    Raises:
        ConfigError: other lesions.
    """

    def __init__(self, datalist: str | Path, lesions: str = "malignant") -> None:
        if lesions not in LESIONS:
            raise ConfigError(f"lesions: expected one of {', '.join(LESIONS)}, got '{lesions}': choose one")
        self.datalist, self.lesions = datalist, lesions

    @cached_property
    def training(self) -> list[Entry]:
        """Raises InputError: see `load_datalist`; no lesion at all."""
        return self.load("training")

    @cached_property
    def validation(self) -> list[Entry]:
        """Raises InputError: see `load_datalist`; no lesion at all."""
        return self.load("validation")

    def boxes_of(self, entry: Entry) -> tuple[Box, ...] | None:
        """Lesions in pixels of the picture; None where they are not known."""
        return () if self.lesions == "malignant" and not entry.malignant else entry.boxes

    def load(self, part: str) -> list[Entry]:
        """Mammograms of a part whose lesions are known. Raises InputError: as above."""
        entries = load_datalist(self.datalist, part)
        known = [entry for entry in entries if self.boxes_of(entry) is not None]
        if not any(self.boxes_of(entry) for entry in known):
            raise InputError(
                f"{part}: expected mammograms with boxes of lesions, got none among {len(entries)}: draw "
                "them, or take another data set"
            )
        return known


class Breasts(Dataset):
    """Breasts at the detector's size with their lesions.

    Args:
        entries: gives the entries when they are first needed.
        boxes_of: lesions of an entry in pixels.
        image_size: (H, W) that the breast is fitted into, multiples of 32, or one number for both.
        cache_dir: where the small pictures are kept.

    Raises:
        ConfigError: an image_size that does not fit.
    """

    def __init__(
        self,
        entries: Callable[[], list[Entry]],
        boxes_of: Callable[[Entry], Sequence[Box] | None],
        image_size: int | Sequence[int],
        cache_dir: str | Path,
    ) -> None:
        rows, columns = (image_size, image_size) if isinstance(image_size, int) else image_size
        fit_breast((0, 0, rows, columns), (rows, columns))  # refuses other sizes
        self.read, self.boxes_of = entries, boxes_of
        self.image_size, self.folder = (rows, columns), Path(cache_dir)

    @cached_property
    def entries(self) -> list[Entry]:
        """Raises InputError."""
        return self.read()

    @cached_property
    def frames(self) -> list[BreastFrame]:
        """Where each breast lies; the first use reads what is not kept. Raises InputError, OutputError."""
        with first_process_first():
            quiet = not is_first_process()
            bar = tqdm(self.entries, "reading mammograms", leave=False, disable=quiet)
            return [self._frame(entry) for entry in bar]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """See `sample`, without the targets: batches of them are for validation."""
        sample = self.sample(number)
        return {key: sample[key] for key in ("image", "mask", "number")}

    def sample(self, number: int, mirrored: bool = False) -> dict[str, Any]:
        """image (3, H, W) normalised, mask (H, W) bool true in the padding, target, number."""
        boxes = torch.from_numpy(self.targets(number)).float()  # the first use reads all mammograms
        seen = np.load(self._path(self.entries[number])).astype(np.float32) / np.float32(_FULL)
        if mirrored:
            seen, boxes[:, 0] = seen[:, ::-1], 1 - boxes[:, 0]
        image, mask, _ = prepare_breast(seen, (0, 0, *seen.shape), self.image_size)
        target = Target(labels=torch.zeros(len(boxes), dtype=torch.long), boxes=boxes)
        return {"image": image, "mask": mask, "target": target, "number": number}

    def targets(self, number: int) -> np.ndarray:
        """Lesions (n, 4) cx, cy, w, h in parts of the breast."""
        boxes = self.boxes_of(self.entries[number]) or ()
        return self.frames[number].to_parts(np.array(boxes, dtype=float).reshape(-1, 4))

    def lesions(self, number: int) -> int:
        """How many are known, those outside of the breast among them."""
        return len(self.boxes_of(self.entries[number]) or ())

    def prepare(self) -> None:
        """Read everything now, before workers start. Raises InputError."""
        lesions = sum(map(self.lesions, range(len(self))))
        logger.info("%d mammograms, %d lesions", len(self), lesions)
        self.frames  # noqa: B018

    def _path(self, entry: Entry) -> Path:
        status = entry.image.stat()
        key = f"{entry.image} {status.st_size} {status.st_mtime_ns} {entry.laterality} {self.image_size}"
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"

    def _frame(self, entry: Entry) -> BreastFrame:
        path = self._path(entry)
        place = path.with_suffix(".json")
        if not place.is_file():
            self._keep(entry, path, place)
        y0, x0, y1, x1 = json.loads(place.read_text(encoding="utf-8"))
        return fit_breast((y0, x0, y1, x1), self.image_size)

    def _keep(self, entry: Entry, path: Path, place: Path) -> None:
        mammogram = entry.read()
        frame = fit_breast(mammogram.breast_px, self.image_size)
        seen = resize(np.ascontiguousarray(mammogram.breast, np.float32), frame.seen_px)
        try:
            with atomic_path(path) as temporary, temporary.open("wb") as stream:
                np.save(stream, np.rint(np.clip(seen, 0, 1) * _FULL).astype(np.uint16))
            with atomic_path(place) as temporary:
                temporary.write_text(json.dumps([int(v) for v in frame.breast_px]), encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"cache_dir: expected room for breasts, got '{error.strerror}': name another"
            ) from error


class TrainingBreasts(Dataset):
    """Breasts with changes: index i is the same in every process, worker and resumed run.

    Args:
        breasts: of the training part.
        flip: share of pictures mirrored left and right, 0..1.
        seed: of mirroring.

    Raises:
        ConfigError: a share outside 0..1.
    """

    def __init__(self, breasts: Breasts, flip: float = 0.5, seed: int = 0) -> None:
        if not 0 <= flip <= 1:
            raise ConfigError(f"flip: expected 0 to 1, got {flip}: 0.5 is usual")
        self.breasts, self.flip, self.seed = breasts, flip, seed

    def __len__(self) -> int:
        return len(self.breasts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Number `index % N`, changed as the index says."""
        mirrored = bool(np.random.default_rng((self.seed, index)).random() < self.flip)
        return self.breasts.sample(index % len(self), mirrored)

    def prepare(self) -> None:
        """Read everything now, before workers start. Raises InputError."""
        self.breasts.prepare()


def collate_breasts(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """image (B, 3, H, W), mask (B, H, W), targets: a list of B."""
    stacked = {key: torch.stack([row[key] for row in rows]) for key in ("image", "mask")}
    return stacked | {"targets": [row["target"] for row in rows]}
