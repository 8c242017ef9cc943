"""Fundus pictures: REFUGE of the challenge, its seven raters, and plain folders with REFUGE's values."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from common.errors import InputError
from common.io.files import atomic_path
from common.io.photographs import read_rgb
from ksam.label_maps import read_label_map

from .entries import DISC_AND_CUP, REFUGE_VALUES, Collected, Entry, Request, need
from .split import normal_part

LICENCE = "REFUGE: not stated by its publishers; taken as research only, not to be passed on"
"""No licence was found on the challenge's pages; mirrors name several. The terms of a copy: --licence."""
CUP, RIM, BACKGROUND = 0, 128, 255
_SIDES = (("train", "training"), ("valid", "validation"), ("test", "test"))


def collect_refuge(request: Request) -> Collected:
    """The challenge's folders, whatever they were unpacked into.

    Pictures are *.jpg, masks *.bmp (or *.png) of the same name below a folder Disc_Cup_Masks; the parts
    follow from the folders' names (Training400, REFUGE-Validation400, Test400). With `crop_px` squares around
    the disc are written as pOSAL does (Wang et al., IEEE TMI 38(11), 2019): centred on the disc at full
    resolution, black beyond the picture.

    Raises:
        InputError: no pair.
    """
    masks = {
        (_side(path), path.stem): path
        for suffix in ("bmp", "png")
        for path in sorted(request.source.rglob(f"*.{suffix}"))
        if any(part.lower() == "disc_cup_masks" for part in path.parts)
    }
    entries = []
    for image in sorted(request.source.rglob("*.jpg")):
        label = masks.get((_side(image), image.stem))
        if label is not None:
            name = f"{_side(image)}_{image.stem}"
            make = _crop(image, label, name, request.crop_px)
            entries.append(Entry(name, image, label, name, normal_part(_side(image)), make=make))
    need(entries, request.source, "*.jpg and Disc_Cup_Masks/**/*.bmp of the same name")
    return Collected("REFUGE", "picture", LICENCE, REFUGE_VALUES, [BACKGROUND], entries, None)


def collect_multirater(request: Request) -> Collected:
    """Training-400/0826/0826.jpg, 0826_seg_disc_1.png ... _7.png, 0826_seg_cup_1.png ... _7.png; Test-400.

    A pixel belongs to a structure where at least half of its raters say so (choice; the papers that use these
    masks average them); the cup is kept inside the disc.

    Raises:
        InputError: no case, a case without raters, or a cup that is larger than its disc (swapped names).
    """
    entries = []
    for side, part in (("Training-400", "training"), ("Validation-400", "validation"), ("Test-400", "test")):
        for folder in sorted(path for path in (request.source / side).glob("*") if path.is_dir()):
            image = folder / f"{folder.name}.jpg"
            if image.is_file():
                make = functools.partial(_vote, image, request.crop_px)
                entries.append(Entry(folder.name, image, None, folder.name, part, make=make))
    need(entries, request.source, "Training-400/NAME/NAME.jpg with NAME_seg_disc_1.png ...")
    return Collected("REFUGE, seven raters", "picture", LICENCE, DISC_AND_CUP, [0], entries, None)


def collect_fundus(request: Request) -> Collected:
    """image/NAME.jpg and mask/NAME.png with REFUGE's values: 0 cup, 128 rim, 255 background.

    Raises:
        InputError: no pair.
    """
    entries = [
        Entry(image.stem, image, label, image.stem, make=_crop(image, label, image.stem, request.crop_px))
        for image, label in find_pairs(request.source)
    ]
    return Collected("fundus crops", "picture", LICENCE, REFUGE_VALUES, [BACKGROUND], entries, None)


def find_pairs(source: Path) -> list[tuple[Path, Path]]:
    """Files of image(s)/ and mask(s)/ or label(s)/ with the same name before the suffix.

    Raises:
        InputError: no such folders, no pair, or an image without a mask.
    """
    folders = {path.name.lower().rstrip("s"): path for path in source.glob("*") if path.is_dir()}
    labels = folders.get("mask", folders.get("label"))
    if "image" not in folders or labels is None:
        raise InputError(f"{source.name}: expected the folders image and mask, got others: name them so")
    found = {_stem(path): path for path in sorted(labels.iterdir()) if path.is_file()}
    images = [path for path in sorted(folders["image"].iterdir()) if path.is_file()]
    without = sum(_stem(path) not in found for path in images)
    if without or not images:
        raise InputError(
            f"{source.name}: expected a mask of the same name per image, got {without} of {len(images)} "
            "without: complete the folders"
        )
    return [(path, found[_stem(path)]) for path in images]


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


def _side(path: Path) -> str:
    """ "training", "validation", "test", or "all", from the innermost folder that says so."""
    for part in reversed(path.parent.parts):
        for word, side in _SIDES:
            if word in part.lower():
                return side
    return "all"


def _crop(image: Path, label: Path, name: str, crop_px: int | None) -> functools.partial | None:
    return None if crop_px is None else functools.partial(_write_crop, image, label, name, crop_px)


def _write_crop(image: Path, label: Path, name: str, crop_px: int, folder: Path) -> tuple[Path, Path]:
    labels = read_label_map(label).values
    return _save(read_rgb(image), labels, labels != BACKGROUND, BACKGROUND, name, crop_px, folder)


def _vote(image: Path, crop_px: int | None, folder: Path) -> tuple[Path, Path]:
    disc, cup = (_majority(image, structure) for structure in ("disc", "cup"))
    if cup.sum() > disc.sum():
        raise InputError(
            f"{image.name}: expected a cup inside its disc, got a larger one: are the names swapped?"
        )
    labels = np.where(cup & disc, 2, disc).astype(np.uint8)
    pixels = read_rgb(image)
    if labels.shape != pixels.shape[:2]:
        raise InputError(
            f"{image.name}: expected masks of the picture's size {pixels.shape[:2]}, got {labels.shape}"
            ": take masks and pictures from the same download"
        )
    if crop_px is not None:
        return _save(pixels, labels, disc, 0, image.stem, crop_px, folder)
    _save_picture(labels, folder / f"{image.stem}_label.png")
    return image, folder / f"{image.stem}_label.png"


def _majority(image: Path, structure: str) -> np.ndarray:
    name = re.compile(rf"{re.escape(image.stem)}_seg_{structure}_\d+\.png")
    paths = [path for path in sorted(image.parent.iterdir()) if name.fullmatch(path.name)]
    if not paths:
        raise InputError(
            f"{image.name}: expected {structure} masks of its raters, got none: complete the folder"
        )
    votes = np.mean([read_label_map(path).values > 127 for path in paths], axis=0)
    return votes >= 0.5


def _save(
    pixels: np.ndarray,
    labels: np.ndarray,
    disc: np.ndarray,
    background: int,
    name: str,
    crop_px: int,
    folder: Path,
) -> tuple[Path, Path]:
    """Picture and labels around the middle of the disc, as PNG."""
    if not disc.any():
        raise InputError(f"{name}: expected a disc to crop around, got none: leave --crop-px away")
    middle = [(int(axis.min()) + int(axis.max()) + 1) // 2 for axis in np.nonzero(disc)]
    paths = folder / f"{name}.png", folder / f"{name}_label.png"
    _save_picture(cut_square(pixels, middle, crop_px, 0), paths[0])
    _save_picture(cut_square(labels, middle, crop_px, background), paths[1])
    return paths


def cut_square(values: np.ndarray, middle_px: Iterable[int], side_px: int, fill: int) -> np.ndarray:
    """A square around a row and a column, `fill` beyond the picture."""
    starts = [m - side_px // 2 for m in middle_px]
    result = np.full((side_px, side_px, *values.shape[2:]), fill, values.dtype)
    inside = [slice(max(0, s), min(n, s + side_px)) for s, n in zip(starts, values.shape[:2], strict=True)]
    target = tuple(slice(i.start - s, i.stop - s) for i, s in zip(inside, starts, strict=True))
    result[target] = values[tuple(inside)]
    return result


def _save_picture(values: np.ndarray, path: Path) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(values.astype(np.uint8)).save(temporary)
