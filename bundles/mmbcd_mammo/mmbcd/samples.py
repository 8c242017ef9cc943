"""What training and evaluation make of an entry of a datalist: the same regions and text as inference."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from common.io.history import given_history

from .datalist import Entry
from .given_boxes import GivenBoxes
from .laterality import history_for_breast
from .regions import Regions
from .roi_store import Rois, RoiStore

_MACHINE = ("engine", "precision")


def build_store(entries: Sequence[Entry], regions: Regions, size_px: int, folder: str | Path) -> RoiStore:
    """A store, not yet filled, of what inference would cut out of these mammograms.

    Args:
        entries: of a datalist.
        regions: finds and cuts; opened only where a mammogram has to be read.
        size_px: edge of a region.
        folder: of the store.

    Raises:
        BundleError: the detector's weights or the boxes cannot be read.
    """

    def find(entry: Entry) -> Rois:
        return regions(entry.read(), size_px)

    return RoiStore(entries, find, describe_regions(regions), int(regions.settings["rois"]), size_px, folder)


def describe_regions(regions: Regions) -> str:
    """Everything that the regions of a mammogram depend on, but not the machine that finds them."""
    described = {key: value for key, value in regions.describe().items() if key not in _MACHINE}
    if isinstance(regions.find, GivenBoxes):
        digest = hashlib.sha256()
        for name, given in sorted(regions.find.images.items()):
            digest.update(f"{name} {given.size}".encode() + given.boxes.tobytes() + given.scores.tobytes())
        described["boxes"] = digest.hexdigest()
    return json.dumps(described, sort_keys=True)


def clean_history(entry: Entry) -> str:
    """The part of the patient's history that concerns the breast, cleaned as inference does; "" without."""
    history = given_history(entry.history) if entry.history else None
    return "" if history is None else history_for_breast(history.text, entry.laterality)
