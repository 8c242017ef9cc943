"""The way of the data: read -> preprocess -> predict -> postprocess -> write."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import ConfigError, InputError
from common.folder_run import Finding, check_output_dir, run_folder
from common.io.cases import Case, find_cases
from common.io.ct_volume import CtVolume, read_ct
from common.io.photographs import read_rgb

from .frame import Frame, build_frame, build_volume_frame
from .postprocess import keep_largest_labels
from .predictions import SlicePrediction, VolumePrediction
from .results import Results, describe_input, describe_picture, describe_volume, write_results
from .segmenter import Segmenter
from .shown import show_picture, show_volume

MODALITIES = {"ct": "CT", "picture": "picture"}
logger = logging.getLogger(__name__)


class CaseDataset:
    """Cases to be segmented: one file or DICOM folder, or a folder of them; looked up when asked for.

    Args:
        path: DICOM folder, zip, NIfTI, NRRD, picture, or a folder of several.
        series: SeriesInstanceUID or series number inside a DICOM folder; None chooses by the rules of
            `common.io.dicom_series`.
    """

    def __init__(self, path: str | Path, series: str | int | None = None) -> None:
        self.path = Path(str(path))
        self.series = series

    def cases(self) -> list[Case]:
        """Raises InputError: the path does not exist, or nothing readable is in it."""
        return find_cases(self.path)

    def stands_alone(self, cases: Sequence[Case]) -> bool:
        """Whether the results stand in the output folder itself, not in one of the case."""
        return len(cases) == 1 and cases[0].path == self.path

    def __len__(self) -> int:
        return len(self.cases())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return ({"image": case.path, "kind": case.kind, "series": case.series} for case in self.cases())


@dataclass(frozen=True)
class Image:
    """A case that was read.

    Attributes:
        case: which one.
        pixels: (R, C, Z) HU of the axial view, or (H, W, 3) uint8.
        volume: the CT; None for a picture.
    """

    case: Case
    pixels: np.ndarray
    volume: CtVolume | None


@dataclass(frozen=True)
class Prediction:
    """What the network said.

    Attributes:
        labels: (R, C, Z) or (H, W) label map.
        sureness: structure name -> "expected_dice", "disagreement"; NaN with one template.
        used: ids of the templates by slice and structure.
        doubt: (H, W) of a picture, see `SlicePrediction`; (R, C, Z) of a volume, see `VolumePrediction`.
        carried: names of the structures that come from labelled slices of the same volume, see `carry`.
    """

    labels: np.ndarray
    sureness: Mapping[str, Mapping[str, float]]
    used: Sequence[Sequence[Sequence[str]]]
    doubt: np.ndarray | None = None
    carried: Sequence[str] = ()


def read(case: Case, series: str | int | None = None) -> Image:
    """The case's pixels.

    Args:
        case: which one.
        series: that the user names.

    Raises:
        InputError: unreadable, or a series is named where several studies lie in one folder: its number may
            be another patient's.
    """
    if case.kind == "picture":
        return Image(case, read_rgb(case.path), None)
    if case.series is not None and series not in (None, case.series):
        raise InputError(
            f"{case.name}: expected a folder of one study where a series is named, got several studies: name "
            "the folder of one of them, or leave series out"
        )
    volume = read_ct(case.path, case.series or series)
    return Image(case, volume.to_axial().voxels, volume)


def preprocess(image: Image, segmenter: Segmenter) -> Frame:
    """The square of the slices that the network sees, one for all slices of a volume."""
    build = build_frame if image.volume is None else build_volume_frame
    return build(image.pixels, segmenter.crop, segmenter.size_px)


def predict(image: Image, frame: Frame, segmenter: Segmenter) -> Prediction:
    """Every slice is encoded once; each structure and template costs one cheap pass more."""
    if image.volume is None:
        answer = segmenter.predict_slice(image.pixels, frame, None)
        return Prediction(answer.labels(), describe_slice_sureness(answer), (answer.templates,), answer.doubt)
    slice_mm = float(image.volume.spacing_mm[2])
    found = segmenter.predict_volume(image.pixels, frame, slice_mm)
    return Prediction(found.labels, describe_sureness(found), found.templates, found.doubt, found.carried)


def postprocess(
    image: Image, frame: Frame, prediction: Prediction, segmenter: Segmenter, keep_largest: int = 0
) -> Results:
    """Labels on the input's own grid, the numbers, and what the pictures show."""
    structures, volume, used = segmenter.structures, image.volume, prediction.used
    labels = keep_largest_labels(prediction.labels, structures, keep_largest)
    if volume is None:
        numbers = describe_picture(labels, structures, prediction.sureness)
        shown = show_picture(image.pixels, labels, frame, prediction.doubt, segmenter, used)
    else:
        spacing_mm = volume.to_axial().spacing_mm.tolist()
        size = (spacing_mm[1], volume.voxel_mm3)
        numbers = describe_volume(image.pixels, labels, *size, structures, prediction.sureness)
        shown = show_volume(image.pixels, labels, frame, spacing_mm, prediction.doubt, segmenter, used)
    described = describe_input(image.case, image.pixels, volume)
    record = described | numbers | segmenter.describe_run() | {"prompts": segmenter.describe(used)}
    record["settings"]["keep_largest"] = keep_largest
    record["carried"] = list(prediction.carried)
    own_grid = labels if volume is None else volume.from_axial(labels)
    return Results(image.case.name, record, structures, own_grid, volume, shown)


def write(results: Results, output_dir: Path) -> list[Path]:
    """Label maps, DICOM SEG, pictures, the numbers as JSON and report.html. Raises OutputError."""
    return write_results(results, output_dir)


def describe_sureness(found: VolumePrediction) -> dict[str, dict[str, float]]:
    """Structure name -> "expected_dice" and "disagreement"."""
    rows = zip(found.structures, found.expected_dice, found.disagreement, strict=True)
    return {row.name: {"expected_dice": dice, "disagreement": doubt} for row, dice, doubt in rows}


def describe_slice_sureness(found: SlicePrediction) -> dict[str, dict[str, float]]:
    """The same of one slice: mean disagreement inside each structure."""
    doubts = [
        float(maps[mask].mean()) if mask.any() and len(pairs) else float("nan")
        for maps, mask, pairs in zip(found.disagreement, found.masks(), found.overlaps, strict=True)
    ]
    rows = zip(found.structures, found.expected_dice, doubts, strict=True)
    return {row.name: {"expected_dice": dice, "disagreement": doubt} for row, dice, doubt in rows}


class SegmentationPipeline:
    """Runs the five steps on every case of a dataset; the `evaluator` of the configs.

    Args:
        dataset: cases.
        segmenter: network with its prompts.
        output_dir: results of a single case stand here; those of several in one subfolder per case.
        keep_largest: connected parts that each structure keeps (2 for a pair of kidneys); 0 keeps all.

    Raises:
        ConfigError: a negative `keep_largest`.
    """

    def __init__(
        self, dataset: CaseDataset, segmenter: Segmenter, output_dir: str | Path, keep_largest: int = 0
    ) -> None:
        if keep_largest < 0:
            raise ConfigError(f"keep_largest: expected 0 (all) or more parts, got {keep_largest}: correct it")
        self.dataset, self.segmenter = dataset, segmenter
        self.output_dir = Path(str(output_dir))
        self.keep_largest = keep_largest
        self.findings: list[Finding] = []

    def run(self) -> list[Path]:
        """Process all cases; returns the files written.

        Raises:
            BundleError: the only case was refused; or, after all cases of a folder were tried, some were.
        """
        cases = self.dataset.cases()
        check_output_dir(self.output_dir, self.dataset.path)
        if self.dataset.stands_alone(cases):
            return self.run_case(cases[0], self.output_dir)
        names = [case.name for case in cases]
        return run_folder(names, lambda number, folder: self.run_case(cases[number], folder), self.output_dir)

    def run_case(self, case: Case, output_dir: Path) -> list[Path]:
        """One case through the five steps. Raises BundleError."""
        self.segmenter.check_input(MODALITIES[case.kind])
        started = time.perf_counter()
        image = read(case, self.dataset.series)
        read_at = time.perf_counter()
        frame = preprocess(image, self.segmenter)
        prediction = predict(image, frame, self.segmenter)
        predicted_at = time.perf_counter()
        results = postprocess(image, frame, prediction, self.segmenter, self.keep_largest)
        seconds = {"read": read_at - started, "predict": predicted_at - read_at}
        seconds["all but writing"] = time.perf_counter() - started
        results.record["seconds"] = {step: round(value, 2) for step, value in seconds.items()}
        files = write(results, output_dir)
        self.findings.append(Finding(case.name, results.headline, results.record["empty"]))
        logger.info("%s: %s", case.name, results.headline)
        return files


def build_dataset(input: str | Path, series: str | int | None = None) -> CaseDataset:
    """The dataset of a config; cases are looked up when it is iterated."""
    return CaseDataset(input, series)
