"""From annotated slides or patch pictures to labelled patches at one physical scale, split by patient."""

from __future__ import annotations

import hashlib
import logging
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from shapely.geometry.base import BaseGeometry

from common.errors import ConfigError, InputError
from common.io.slide import open_slide

from .annotations import class_value, merge_by_class, read_regions
from .material import Source, find_material
from .sampling import sample_centers

SPLIT_TRIALS = 200
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patch:
    """One labelled patch, not yet read.

    Attributes:
        image: slide or picture.
        label: index of the class in the classifier's labels.
        group: patient or slide.
        split: "train", "val" or "test" where the material says so.
        downsample: pixels of the image (level 0) per patch pixel.
        center_xy_px: centre in level-0 pixels; None stands for the middle of a picture.
        mpp: microns per patch pixel.
    """

    image: Path
    label: int
    group: str
    split: str | None
    downsample: float
    center_xy_px: tuple[float, float] | None
    mpp: float


@dataclass(frozen=True)
class PatchSettings:
    """How patches are taken from the material.

    Attributes:
        class_names: the classifier's classes in the order of its outputs.
        size_px: patch edge in pixels, the classifier's input.
        mpp: microns per patch pixel, the training scale.
        patches_per_class: patches drawn for a class from all slides together.
        min_inside: least share of a patch inside its annotated area, 0..1.
        patch_mpp: microns per pixel of patch pictures whose CSV does not say it.
        slide_mpp: microns per level-0 pixel of all slides; None believes each file (or the CSV).
        aliases: annotation name -> class name, or None to ignore it.
        margin: patches are read this much wider on each axis (room for scale augmentation), 0 for none.
        seed: same seed, same patches.
    """

    class_names: Sequence[str]
    size_px: int
    mpp: float
    patches_per_class: int = 1000
    min_inside: float = 0.75
    patch_mpp: float | None = None
    slide_mpp: float | None = None
    aliases: Mapping[str, str | None] = field(default_factory=dict)
    margin: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.min_inside <= 1:
            raise ConfigError(f"min_inside: expected a share in (0, 1], got {self.min_inside}: 0.75 is usual")
        if self.patches_per_class < 1:
            raise ConfigError(
                f"patches_per_class: expected at least 1, got {self.patches_per_class}: 1000 is usual"
            )

    @property
    def class_values(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.class_names)}


def collect_patches(
    dataset_dir: str | Path,
    settings: PatchSettings,
    splits: Sequence[str | None],
    group_pattern: str | None = None,
) -> list[Patch]:
    """All patches of the material that belongs to the given splits.

    Raises:
        InputError: unusable material, unknown class, unknown resolution, or a group in two splits.
        ConfigError: see `find_material`.
    """
    sources = find_material(dataset_dir, group_pattern)
    check_groups_apart(sources)
    sources = [source for source in sources if source.split in splits]
    slides = [source for source in sources if source.annotation is not None]
    pictures = [patch for s in sources if s.annotation is None if (patch := picture_patch(s, settings))]
    patches = pictures + _slide_patches(slides, settings)
    if not patches:
        raise InputError(
            f"{Path(dataset_dir).name}: expected patches, got none: check the annotations, --min_inside and "
            f"--scale"
        )
    return patches


def split_by_group(
    patches: Sequence[Patch], val_fraction: float, seed: int
) -> tuple[list[Patch], list[Patch]]:
    """Training and validation patches, no patient or slide on both sides.

    Where the material names a "val" split, that is taken. Otherwise, among `SPLIT_TRIALS` random choices of
    groups, the one that has most classes on both sides and comes nearest to `val_fraction` of every class.

    Raises:
        ConfigError: `val_fraction` outside (0, 1).
        InputError: fewer than two groups.
    """
    if any(patch.split == "val" for patch in patches):
        return [p for p in patches if p.split != "val"], [p for p in patches if p.split == "val"]
    if not 0 < val_fraction < 1:
        raise ConfigError(f"val_fraction: expected a share in (0, 1), got {val_fraction}: 0.2 is usual")
    groups = sorted({patch.group for patch in patches})
    if len(groups) < 2:
        raise InputError(
            "training data: expected at least two patients or slides, got one: training and validation must "
            "not "
            "share a patient; add slides or correct --group_pattern"
        )
    chosen = _choose_groups(patches, groups, val_fraction, np.random.default_rng([seed, 1]))
    return [p for p in patches if p.group not in chosen], [p for p in patches if p.group in chosen]


def check_groups_apart(sources: Iterable[Source]) -> None:
    """Refuse material that puts one patient or slide on two sides.

    Raises:
        InputError: how many groups are on two sides (no names).
    """
    sides: dict[str, set[str | None]] = {}
    for source in sources:
        sides.setdefault(source.group, set()).add(source.split)
    mixed = sum(len(side) > 1 for side in sides.values())
    if mixed:
        raise InputError(
            f"training data: expected every patient or slide in one split, got {mixed} in several: move all "
            f"files of "
            "a patient to one of train, val, test"
        )


def hash_group(group: str) -> str:
    """A name that can be compared but not read: the first 16 hex digits of SHA-256."""
    return hashlib.sha256(group.encode()).hexdigest()[:16]


def count_by_class(patches: Iterable[Patch], class_names: Sequence[str]) -> dict[str, int]:
    """Class name -> number of patches, zeros included."""
    counts = Counter(patch.label for patch in patches)
    return {name: counts[index] for index, name in enumerate(class_names)}


def open_at_mpp(source: Source, settings: PatchSettings) -> tuple[tuple[int, int], float]:
    """Level-0 size and level-0 pixels per patch pixel of a slide at the wanted scale.

    Raises:
        InputError: nobody knows the slide's resolution.
    """
    with open_slide(source.image, source.mpp or settings.slide_mpp) as slide:
        if slide.mpp is None:
            raise InputError(
                f"{slide.name}: expected a known resolution, got none in the file: give --slide_mpp, or a "
                f"column mpp "
                "in the CSV"
            )
        downsample = settings.mpp / slide.mpp
        if downsample < 0.99:
            logger.warning("%s: the scale is finer than the slide; patches are enlarged", slide.name)
        return (slide.width_px, slide.height_px), downsample


def class_areas(source: Source, settings: PatchSettings) -> dict[int, BaseGeometry]:
    """Annotated area per class value. Raises InputError (see `annotations`)."""
    if source.annotation is None:
        raise InputError(
            f"{source.image.name}: expected an annotated slide, got a patch: give its annotation"
        )
    regions = read_regions(source.annotation)
    return merge_by_class(regions, settings.class_values, settings.aliases, source.annotation.name)


def picture_patch(source: Source, settings: PatchSettings) -> Patch | None:
    """A ready-cut patch, None where its class is ignored. Raises InputError: unknown class or resolution."""
    name, mpp = source.class_name or "", source.mpp or settings.patch_mpp
    label = class_value(name, settings.class_values, settings.aliases, name)
    if label is None:
        return None
    if mpp is None:
        raise InputError(
            f"{source.image.name}: expected the resolution of the patches, got none: give --patch_mpp "
            f"(microns per "
            "pixel), or a column mpp in the CSV"
        )
    return Patch(source.image, label, source.group, source.split, settings.mpp / mpp, None, settings.mpp)


def _slide_patches(slides: Sequence[Source], settings: PatchSettings) -> list[Patch]:
    areas = [class_areas(source, settings) for source in slides]
    slides_with = Counter(value for area in areas for value in area)
    patches: list[Patch] = []
    for source, area in zip(slides, areas, strict=True):
        size, downsample = open_at_mpp(source, settings)
        side = settings.size_px * (1 + settings.margin) * downsample
        for value, shape in area.items():
            quota = math.ceil(settings.patches_per_class / slides_with[value])
            rng = np.random.default_rng([settings.seed, zlib.crc32(source.image.name.encode()), value])
            centers = sample_centers(shape, quota, side, size, settings.min_inside, rng)
            if len(centers) < quota:
                logger.warning(
                    "%s: %d of %d patches of class '%s' found room",
                    source.image.name,
                    len(centers),
                    quota,
                    settings.class_names[value],
                )
            patches += [
                Patch(source.image, value, source.group, source.split, downsample, (x, y), settings.mpp)
                for x, y in centers.tolist()
            ]
    return patches


def _choose_groups(
    patches: Sequence[Patch], groups: Sequence[str], val_fraction: float, rng: np.random.Generator
) -> set[str]:
    row, labels = {group: i for i, group in enumerate(groups)}, sorted({p.label for p in patches})
    counts = np.zeros((len(groups), len(labels)))
    for patch in patches:
        counts[row[patch.group], labels.index(patch.label)] += 1
    number = min(max(1, round(val_fraction * len(groups))), len(groups) - 1)
    trials = [rng.permutation(len(groups))[:number] for _ in range(SPLIT_TRIALS)]
    shares = np.array([counts[trial].sum(0) / counts.sum(0) for trial in trials])
    one_sided = ((shares == 0) | (shares == 1)).sum(1)
    miss = one_sided + np.abs(shares - val_fraction).max(1)
    return {groups[i] for i in trials[int(np.argmin(miss))]}
