"""The experiment's slides: which ones, and where they are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from phantoms.pyramid import write_pyramid
from phantoms.slides import NATIVE_MPP, build_slide

from scale_selector.annotations import read_regions

AT_THE_END = "truth at the end"
FIRST_SEED = {"dev": 2000, "test": 4000}  # the slides from 3000 on have been read: development


@dataclass(frozen=True)
class Case:
    """One slide file of the experiment.

    Attributes:
        condition: "plain", `AT_THE_END` (plain, but searched with the paper's set as it is), "no metadata",
            "wrong metadata", "foreign", "scale_free" or "smooth".
        path: the slide.
        annotation: its truth in PATH-DT-MSU's form.
    """

    condition: str
    path: Path
    annotation: Path

    def classes_at(self, xy_px: np.ndarray) -> list[str]:
        """True class under level-0 points, "" on a border."""
        regions = read_regions(self.annotation)
        points = shapely.points(xy_px)
        hits = [(region.class_name, shapely.contains(region.shape, points)) for region in regions]
        return [next((name for name, hit in hits if hit[row]), "") for row in range(len(xy_px))]


def list_cases(folder: Path, seed: int, slides: int, others: int) -> Iterator[Case]:
    """All cases from a seed on; what is missing is generated first.

    Args:
        folder: for the slides.
        seed: of the first slide of every kind; the next ones follow.
        slides: tissue slides with true metadata.
        others: slides each without metadata, with wrong metadata, with the truth at the end of the set,
            and of every other family.
    """
    for number in range(slides):
        metadata = ["full", "none", "wrong"] if number < others else ["full"]
        cases = _write(folder, "tissue", seed + number, metadata)
        yield from cases
        if number < others:
            yield replace(cases[0], condition=AT_THE_END)
    for family in ("foreign", "scale_free", "smooth"):
        for number in range(others):
            yield from _write(folder, family, seed + number, ["full"])


def _write(folder: Path, family: str, seed: int, metadata: list[str]) -> list[Case]:
    names = {
        "full": "plain" if family == "tissue" else family,
        "none": "no metadata",
        "wrong": "wrong metadata",
    }
    annotation = folder / f"{family}_{seed}.json"
    cases = [Case(names[kind], folder / f"{family}_{seed}_{kind}.svs", annotation) for kind in metadata]
    if all(path.is_file() for case in cases for path in (case.path, case.annotation)):
        return cases
    slide = build_slide(seed, family=family)
    pyramid = slide.pyramid()
    slide.write_annotations(annotation, folder / f"{family}_{seed}.geojson")
    for case, kind in zip(cases, metadata, strict=True):
        write_pyramid(case.path, pyramid, NATIVE_MPP, kind)
    return cases
