"""What a site brings to train or evaluate on: annotated slides, or ready-cut patches.

Layouts of `dataset_dir`:

1. Annotated slides, as in PATH-DT-MSU: `images/` and `annotations/`, both either flat or with `train`, `val`
   and `test` below; an annotation has its slide's name (`.json` or `.geojson`).
2. Annotated slides in one folder, each with its annotation beside it.
3. Patches: one folder per class, either directly or below `train`, `val` and `test`.
4. A CSV file (itself, or `dataset.csv` in the folder) with the columns `image` and either `label` (a patch)
   or `annotation` (a slide); optional `group`, `split` (train|val|test) and `mpp`. Paths are relative to the
   CSV.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError, InputError
from common.io.slide import find_slides, is_slide_file

from .annotations import SUFFIXES

SPLITS = ("train", "val", "test")
CSV_NAME = "dataset.csv"


@dataclass(frozen=True)
class Source:
    """One slide or one patch picture.

    Attributes:
        image: the file, or a DICOM series folder.
        group: patient or slide; no group may be on two sides of a split.
        split: "train", "val" or "test" where the layout says so.
        mpp: microns per pixel of the file where a CSV says so.
        annotation: the slide's annotation file; None for a patch.
        class_name: the patch's class; None for a slide.
    """

    image: Path
    group: str
    split: str | None = None
    mpp: float | None = None
    annotation: Path | None = None
    class_name: str | None = None


def find_material(dataset_dir: str | Path, group_pattern: str | None = None) -> list[Source]:
    """List the material of a folder or CSV file.

    Args:
        dataset_dir: one of the layouts above.
        group_pattern: regular expression with one group that takes the patient from a file's name without
            suffix, such as "(P[0-9]+)_"; None makes every file a group of its own.

    Raises:
        InputError: no such folder, no known layout, a slide without annotation, a malformed CSV.
        ConfigError: `group_pattern` is not such an expression or does not fit a name.
    """
    root = Path(dataset_dir)
    if not root.exists():
        raise InputError(f"{root.name}: expected a folder or CSV file, got no such path: check --dataset_dir")
    group_of = _Grouper(group_pattern)
    table = root if root.is_file() else root / CSV_NAME
    if table.is_file():
        sources = _read_csv(table, group_of)
    elif (root / "images").is_dir() and (root / "annotations").is_dir():
        sources = list(_from_image_folders(root, group_of))
    elif _has_annotations_beside(root):
        sources = list(_annotated_slides(root, root, None, group_of))
    else:
        sources = list(_from_class_folders(root, group_of))
    if not sources:
        raise InputError(
            f"{root.name}: expected images/ and annotations/, slides beside annotations, one folder of "
            f"patches per "
            f"class, or {CSV_NAME}, got none of them: see the model card, 'Training data'"
        )
    return sources


def _has_annotations_beside(root: Path) -> bool:
    entries = list(root.iterdir())
    annotated = {p.stem for p in entries if p.suffix in SUFFIXES}
    return any({p.stem, p.name} & annotated for p in entries if p.suffix not in SUFFIXES)


class _Grouper:
    """Takes the patient or slide from a file's name."""

    def __init__(self, pattern: str | None) -> None:
        try:
            self.pattern = re.compile(pattern) if pattern else None
        except re.error as error:
            raise ConfigError(
                f"group_pattern: expected a regular expression, got '{pattern}' ({error})"
            ) from error
        if self.pattern and self.pattern.groups != 1:
            raise ConfigError(
                f"group_pattern: expected one (group), got {self.pattern.groups} in '{pattern}': mark the "
                f"patient"
            )

    def __call__(self, image: Path) -> str:
        stem = image.name if image.is_dir() else image.stem
        match = self.pattern.search(stem) if self.pattern else None
        if self.pattern and not match:
            raise ConfigError(
                f"group_pattern: expected '{self.pattern.pattern}' to fit every file name, got a name that "
                f"it does "
                "not fit: correct the expression"
            )
        return match[1] if match else stem


def _splits_below(root: Path) -> list[str | None]:
    return [name for name in SPLITS if (root / name).is_dir()] or [None]


def _from_image_folders(root: Path, group_of: _Grouper) -> Iterator[Source]:
    for split in _splits_below(root / "images"):
        images, annotations = (root / kind / (split or "") for kind in ("images", "annotations"))
        yield from _annotated_slides(images, annotations, split, group_of)


def _annotated_slides(
    images: Path, annotations: Path, split: str | None, group_of: _Grouper
) -> Iterator[Source]:
    for image in find_slides(images):
        stems = (image.stem, image.name)
        found = [p for stem in stems for s in SUFFIXES if (p := annotations / f"{stem}{s}").is_file()]
        if not found:
            raise InputError(
                f"{image.name}: expected its annotation {image.stem}.json or .geojson, got none: add the "
                f"file, or "
                "take the slide out of the folder"
            )
        yield Source(image, group_of(image), split, annotation=found[0])


def _from_class_folders(root: Path, group_of: _Grouper) -> Iterator[Source]:
    for split in _splits_below(root):
        for folder in sorted(p for p in (root / (split or "")).iterdir() if p.is_dir()):
            for image in sorted(p for p in folder.iterdir() if is_slide_file(p)):
                yield Source(image, group_of(image), split, class_name=folder.name)


def _read_csv(table: Path, group_of: _Grouper) -> list[Source]:
    try:
        return list(_from_csv(table, group_of))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(
            f"{table.name}: expected a folder or a CSV file in UTF-8, got {type(error).__name__}: check "
            "--dataset_dir"
        ) from error


def _from_csv(table: Path, group_of: _Grouper) -> Iterator[Source]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = set(reader.fieldnames or ())
        if "image" not in columns or not columns & {"label", "annotation"}:
            raise InputError(
                f"{table.name}: expected the columns image and label or annotation, got "
                f"{', '.join(sorted(columns)) or 'none'}: correct the first line"
            )
        for line, row in enumerate(reader, start=2):
            yield _source_of_row(table, line, row, group_of)


def _source_of_row(table: Path, line: int, row: dict[str, str], group_of: _Grouper) -> Source:
    image = table.parent / row["image"]
    annotation = table.parent / row["annotation"] if row.get("annotation") else None
    for path in (image, annotation):
        if path is not None and not path.exists():
            raise InputError(
                f"{table.name} line {line}: expected an existing file, got none: correct the path"
            )
    if (annotation is None) == (not row.get("label")):
        raise InputError(
            f"{table.name} line {line}: expected either a label or an annotation: correct the line"
        )
    split = row.get("split") or None
    if split not in (None, *SPLITS):
        raise InputError(
            f"{table.name} line {line}: expected split train, val or test, got '{split}': correct it"
        )
    group = row.get("group") or group_of(image)
    return Source(image, group, split, _mpp_of_row(table, line, row), annotation, row.get("label") or None)


def _mpp_of_row(table: Path, line: int, row: dict[str, str]) -> float | None:
    text = row.get("mpp") or ""
    try:
        mpp = float(text) if text else None
    except ValueError:
        mpp = -1.0
    if mpp is not None and not 0 < mpp <= 100:
        raise InputError(
            f"{table.name} line {line}: expected 0 < mpp <= 100, got '{text}': give microns per pixel"
        )
    return mpp
