"""From a mammogram to the crops that the classifier sees; the same for training and inference."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from common.errors import ConfigError
from common.io.mammogram import Mammogram

from .detector import Detector, build_detector
from .given_boxes import GivenBoxes, read_boxes
from .roi_store import Rois
from .rois import IOU, K, check_crops, check_selection, crop_rois


class Regions:
    """Callable: a mammogram in, its regions out, cut from the full resolution.

    Args:
        make: builds what finds the boxes; called when it is first needed.
        rois, iou: how many boxes are kept, see `select_rois`.
        context, square: see `crop_rois`.

    Raises:
        ConfigError: a number outside its range.
    """

    def __init__(
        self,
        make: Callable[[], Detector | GivenBoxes],
        rois: int = K,
        iou: float = IOU,
        context: float = 1.0,
        square: bool = True,
    ) -> None:
        check_selection(rois, iou)
        check_crops(1, context)
        self._make = make
        self.settings = {"rois": rois, "iou": iou, "context": context, "square": square}

    @cached_property
    def find(self) -> Detector | GivenBoxes:
        """Raises BundleError: the weights or boxes cannot be read."""
        return self._make()

    def __call__(self, mammogram: Mammogram, size_px: int) -> Rois:
        """Regions of `size_px` pixels, best first. Raises InputError: boxes that do not fit the picture."""
        found = self.find(mammogram)
        context, square = self.settings["context"], bool(self.settings["square"])
        crops = crop_rois(mammogram.pixels, found.boxes_px, size_px, context, square)
        return Rois(crops, found.boxes_px, found.scores)

    @property
    def training_patients(self) -> list[str]:
        """Hashes of the patients that the detector was trained on; none for boxes from elsewhere."""
        return [] if isinstance(self.find, GivenBoxes) else list(self.find.patients)

    def describe(self) -> dict[str, Any]:
        """What a result says about its "detector": name, purpose and sha256, or the file of boxes."""
        find = self.find
        if isinstance(find, GivenBoxes):
            return {"name": f"boxes of {find.source}", "purpose": "given", "sha256": "", **self.settings}
        card = find.card
        engine = {"engine": find.engine.engine, "precision": find.engine.precision}
        return {"name": card.name, "purpose": card.purpose, "sha256": card.sha256} | engine | self.settings


def build_regions(
    weights: str | Path | None = None,
    boxes: str | Path | None = None,
    rois: int = K,
    iou: float = IOU,
    context: float = 1.0,
    square: bool = True,
    **detector: Any,
) -> Regions:
    """The regions of a config; files are read when the first mammogram comes.

    Args:
        weights: of the detector; not needed with `boxes`.
        boxes: COCO JSON, a text file or a folder of text files in place of the detector, see `read_boxes`.
        rois, iou, context, square: see `Regions`.
        **detector: size, image_size, engine, precision, device: see `build_detector`.

    Raises:
        ConfigError: neither weights nor boxes, or a number outside its range.
    """
    if boxes is None and weights is None:
        raise ConfigError("regions: expected detector_weights or boxes, got neither: name one of them")
    make: Callable[[], Detector | GivenBoxes]
    if boxes is not None:
        make = partial(read_boxes, boxes, rois, iou)
    else:
        make = partial(build_detector, str(weights), k=rois, iou=iou, **detector)
    return Regions(make, rois, iou, context, square)
