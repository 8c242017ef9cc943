"""Boxes from elsewhere, in place of the detector: COCO JSON, or text rows as the released code reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from common.errors import InputError
from common.io.mammogram import Mammogram

from .rois import IOU, K, RoiSet, clip_boxes, select_rois

_SUFFIXES = {".dcm", ".dicom", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".txt"}
_FORMATS = "COCO JSON (a .json file), or rows `cx cy w h score` (a .txt file for each picture in a folder)"
_ASPECT = 0.02  # relative: boxes may come from a smaller copy of the picture, not from another crop


@dataclass(frozen=True, eq=False)
class ImageBoxes:
    """Boxes of one picture.

    Attributes:
        boxes: (n, 4) x0, y0, x1, y1.
        scores: (n,).
        size: (columns, rows) of the picture that the boxes count in; (1, 1) for parts of it, None for the
            mammogram's own pixels.
    """

    boxes: np.ndarray
    scores: np.ndarray
    size: tuple[float, float] | None


class GivenBoxes:
    """Answers for a mammogram as the detector does: with the regions that were given for it.

    Args:
        images: by name of the file without its suffix.
        source: name of the file or folder that they were read from.
        k, iou: see `select_rois`.
    """

    def __init__(self, images: Mapping[str, ImageBoxes], source: str, k: int = K, iou: float = IOU) -> None:
        self.images, self.source, self.k, self.iou = dict(images), source, k, iou
        self._owners: dict[str, str] = {}

    def __call__(self, mammogram: Mammogram) -> RoiSet:
        """Regions of a picture that is found by its SOP instance UID, else by its file's name.

        Raises:
            InputError: the picture is not among those given (one without boxes must be listed, too), its name
                is another picture's as well, a box is outside of it, or the boxes belong to a picture of
                another shape.
        """
        keys = (mammogram.source.sop_instance_uid, find_key(mammogram.name))
        key = next((key for key in keys if key in self.images), None)
        if key is None:
            raise InputError(
                f"{self.source}: expected boxes of {mammogram.name}, got those of {len(self.images)} other "
                "pictures: add it, with no boxes if there are none"
            )
        given, source = self.images[key], mammogram.source
        owner = source.sop_instance_uid or f"{source.file.folder}/{source.file.name}"
        if self._owners.setdefault(key, owner) != owner:
            raise InputError(
                f"{self.source}: expected boxes of one picture under {mammogram.name}, got two pictures of "
                "that name: list them by their SOP instance UIDs"
            )
        rows, columns = mammogram.pixels.shape
        boxes = clip_boxes(_scale(given, (columns, rows), mammogram.name), (rows, columns), mammogram.name)
        return select_rois(boxes, given.scores, self.k, self.iou)


def read_boxes(path: str | Path, k: int = K, iou: float = IOU) -> GivenBoxes:
    """Read the boxes of a study.

    Args:
        path: COCO JSON with "images" and "annotations" (`bbox` x, y, w, h; a `score` if there is one), a
            text file of one picture that bears its name, or a folder of such. Rows are cx, cy, w, h and
            perhaps a score, all within 0..1 for parts of the picture, otherwise in its pixels.
        k, iou: see `select_rois`.

    Raises:
        InputError: nothing there, another format, or numbers that are none.
    """
    path = Path(path)
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise InputError(f"boxes: expected {_FORMATS}, got {path.name} without any: check the path")
    try:
        if path.suffix.lower() == ".json":
            return GivenBoxes(_read_coco(json.loads(path.read_text(encoding="utf-8"))), path.name, k, iou)
        return GivenBoxes({find_key(file.name): _read_rows(file) for file in files}, path.name, k, iou)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = "no " + str(error) if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path.name}: expected {_FORMATS}, got '{reason[:100]}': correct the file"
        ) from error


def find_key(name: str) -> str:
    """A file's name without folders and without the suffix of a picture."""
    last = PurePosixPath(name.replace("\\", "/"))
    return last.stem if last.suffix.lower() in _SUFFIXES else last.name


def _read_coco(content: Any) -> dict[str, ImageBoxes]:
    images = {image["id"]: image for image in content["images"]}
    found: dict[Any, list[list[float]]] = {number: [] for number in images}
    named = {find_key(image["file_name"]): number for number, image in images.items()}
    if len(named) < len(images):
        raise ValueError("two images of one name")
    for annotation in content["annotations"]:
        x, y, width, height = annotation["bbox"]
        found[annotation["image_id"]].append([x, y, x + width, y + height, annotation.get("score", 1.0)])
    return {key: _read_values(found[number], _find_size(images[number])) for key, number in named.items()}


def _find_size(image: Mapping[str, Any]) -> tuple[float, float] | None:
    if "width" not in image or "height" not in image:
        return None
    size = float(image["width"]), float(image["height"])
    if not min(size) > 0:
        raise ValueError("a picture without size")
    return size


def _read_rows(path: Path) -> ImageBoxes:
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [_read_numbers(line) for line in lines if line.strip()]
    wrong = next((len(row) for row in rows if len(row) not in (4, 5)), None)
    if wrong is not None:
        raise ValueError(f"a row of {wrong} numbers")
    values = [row if len(row) == 5 else [*row, 1.0] for row in rows]
    corners = [[cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score] for cx, cy, w, h, score in values]
    in_parts = all(max(row[:4]) <= 1 for row in values)
    return _read_values(corners, (1.0, 1.0) if in_parts else None)


def _read_numbers(line: str) -> list[float]:
    try:
        return [float(part) for part in line.replace(",", " ").split()]
    except ValueError as error:  # its words would quote the file
        raise ValueError("a row of words") from error


def _read_values(rows: list[list[float]], size: tuple[float, float] | None) -> ImageBoxes:
    values = np.array(rows, dtype=np.float64).reshape(-1, 5)
    if not np.isfinite(values).all():
        raise ValueError("numbers that are not finite")
    return ImageBoxes(values[:, :4], values[:, 4], size)


def _scale(given: ImageBoxes, size: tuple[int, int], name: str) -> np.ndarray:
    """Boxes in pixels of a mammogram of `size` (columns, rows)."""
    if given.size is None:
        return given.boxes
    across, down = size[0] / given.size[0], size[1] / given.size[1]
    if given.size != (1.0, 1.0) and abs(across / down - 1) > _ASPECT:
        raise InputError(
            f"{name}: expected boxes of a picture of {size[0]}x{size[1]} pixels or a smaller copy, got those "
            f"of one of {given.size[0]:.0f}x{given.size[1]:.0f}: give the boxes of this picture"
        )
    return given.boxes * np.tile((across, down), 2)
