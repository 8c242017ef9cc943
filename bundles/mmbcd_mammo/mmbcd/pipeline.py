"""The way of the data: read -> preprocess -> predict -> postprocess -> write."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.folder_run import Finding, check_output_dir, run_folder
from common.io.mammogram import MammoCase, MammoSource, OpenStudy, find_studies, open_study

from .calibration import Scoring
from .classifier import Mmbcd
from .history_use import HistorySource, HistoryUse
from .inferer import MmbcdInferer, Prediction
from .pictures import PREVIEW_PX, shrink
from .regions import Regions
from .results import Region, Results, View, describe_scores, write_results

logger = logging.getLogger(__name__)


class StudyDataset:
    """Studies to be read: one folder, zip or file, or a folder of them; looked up when asked for.

    Args:
        path: DICOM folder or zip, a folder of pictures with sidecars, or a folder of several.
        visit: StudyInstanceUID to read instead of the patient's newest.
    """

    def __init__(self, path: str | Path, visit: str | None = None) -> None:
        self.path, self.visit = Path(str(path)), visit

    def cases(self) -> list[MammoCase]:
        """Raises InputError: see `find_studies`."""
        return find_studies(self.path)

    def __len__(self) -> int:
        return len(self.cases())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return ({"image": case.path, "name": case.name} for case in self.cases())


@dataclass(frozen=True)
class Study:
    """A study whose headers were read; its pixels follow one by one.

    Attributes:
        case: which one.
        images: headers, and the mammograms as a stream.
        history: what is known of the history.
    """

    case: MammoCase
    images: OpenStudy
    history: HistoryUse


@dataclass(frozen=True)
class ViewInput:
    """What the network gets of one mammogram, and what the pictures need of it.

    Attributes:
        laterality, view: such as "R", "CC".
        source: with the header.
        preview: (h, w) 0..1, the mammogram made smaller by `scale`.
        boxes_px: (k, 4) x0, y0, x1, y1 in pixels of the mammogram.
        detector_scores: (k,).
        crops: (k, 3, S, S) RGB 0..1, cut from the full resolution.
        history: the text that concerns this breast, None without one.
    """

    laterality: str
    view: str
    source: MammoSource
    preview: np.ndarray = field(repr=False)
    scale: float
    boxes_px: np.ndarray
    detector_scores: np.ndarray
    crops: torch.Tensor = field(repr=False)
    history: str | None = field(repr=False)


def read(case: MammoCase, histories: HistorySource, reads_text: bool, visit: str | None = None) -> Study:
    """Headers of the study, the pictures chosen among them, and the history. Raises InputError."""
    images = open_study(case, visit)
    return Study(case, images, histories.choose(images.history, images.refused_histories, reads_text))


def preprocess(study: Study, regions: Regions, size_px: int) -> list[ViewInput]:
    """Regions of every mammogram; the next one is decoded while the detector looks at this one."""
    views = []
    for mammogram in study.images.stream():
        rois = regions(mammogram, size_px)
        preview, scale = shrink(mammogram.pixels, PREVIEW_PX)
        views.append(
            ViewInput(
                laterality=mammogram.laterality,
                view=mammogram.view,
                source=mammogram.source,
                preview=preview,
                scale=scale,
                boxes_px=rois.boxes_px,
                detector_scores=rois.scores,
                crops=torch.from_numpy(rois.crops),
                history=study.history.breasts[mammogram.laterality],
            )
        )
    return views


def predict(views: Sequence[ViewInput], inferer: MmbcdInferer, network: Mmbcd) -> list[Prediction | None]:
    """All regions of all views in one batch, every text once; None for a view without regions."""
    return inferer.predict([view.crops for view in views], [view.history for view in views], network)


def postprocess(
    study: Study, views: Sequence[ViewInput], predictions: Sequence[Prediction | None], scoring: Scoring
) -> Results:
    """Ranked regions, and scores of views, breasts and study with their probabilities."""
    shown = tuple(to_view(view, found) for view, found in zip(views, predictions, strict=True))
    record = {"case": study.case.name, "source": describe_source(study)}
    return Results(record | describe_scores(shown, scoring), shown)


def write(results: Results, output_dir: Path) -> list[Path]:
    """result.json, pictures, SR, SC, GSPS and report.html. Raises OutputError."""
    return write_results(results, output_dir)


def to_view(given: ViewInput, found: Prediction | None) -> View:
    """One view with its regions in the order of their attention."""
    order = [] if found is None else np.argsort(-found.attention, kind="stable").tolist()
    regions = tuple(
        Region(
            rank=rank,
            box_px=tuple(round(value, 1) for value in given.boxes_px[place].tolist()),
            attention=float(found.attention[place]) if found is not None else 0.0,
            detector_score=float(given.detector_scores[place]),
        )
        for rank, place in enumerate(order, 1)
    )
    return View(
        laterality=given.laterality,
        view=given.view,
        source=given.source,
        preview=given.preview,
        scale=given.scale,
        regions=regions,
        score=None if found is None else found.score,
        image_only_score=None if found is None else found.image_only_score,
        history="used" if given.history else "missing",
    )


def describe_source(study: Study) -> dict[str, Any]:
    """What came in; names of files and sentences, nothing about the patient."""
    images = study.images
    dicom = all(image.header is not None for image in images.images)
    return {
        "format": "DICOM" if dicom else "pictures",
        "study_uid": images.study_uid,
        "left_out": [{"file": name, "reason": reason} for name, reason in images.left_out],
        "notes": list(images.notes),
    }


class MammoPipeline:
    """Runs the five steps on every study of a dataset; the `evaluator` of the configs.

    Args:
        dataset: studies.
        network: the classifier.
        regions: finds and cuts the regions of a mammogram.
        inferer: runs the network.
        histories: where the history comes from, and whether its text may be shown.
        scoring: rules, calibration and operating points.
        output_dir: results of a single study stand here; those of several in one subfolder per study.

    Raises:
        ConfigError: the calibration belongs to other weights or rules.
    """

    def __init__(
        self,
        dataset: StudyDataset,
        network: Mmbcd,
        regions: Regions,
        inferer: MmbcdInferer,
        histories: HistorySource,
        scoring: Scoring,
        output_dir: str | Path,
    ) -> None:
        scoring.settle(network.card.sha256)
        self.dataset, self.network, self.regions, self.inferer = dataset, network.eval(), regions, inferer
        self.histories, self.scoring, self.output_dir = histories, scoring, Path(str(output_dir))
        self.findings: list[Finding] = []

    def run(self) -> list[Path]:
        """Process all studies; returns the files written.

        Raises:
            BundleError: the only study was refused; or, after all studies of a folder were tried, some were.
        """
        cases = self.dataset.cases()
        check_output_dir(self.output_dir, self.dataset.path)
        if len(cases) == 1:
            return self.run_case(cases[0], self.output_dir)
        self.histories.check_single(len(cases))
        names = [case.name for case in cases]
        return run_folder(
            names, lambda number, folder: self.run_case(cases[number], folder), self.output_dir, "studies"
        )

    def run_case(self, case: MammoCase, output_dir: Path) -> list[Path]:
        """One study through the five steps. Raises BundleError."""
        clock = [time.perf_counter()]
        study = read(case, self.histories, self.network.text is not None, self.dataset.visit)
        clock.append(time.perf_counter())
        views = preprocess(study, self.regions, self.network.image_size)
        clock.append(time.perf_counter())
        predictions = predict(views, self.inferer, self.network)
        clock.append(time.perf_counter())
        results = postprocess(study, views, predictions, self.scoring)
        steps = ("read headers", "decode, find and cut regions", "score")
        seconds = {step: round(b - a, 2) for step, a, b in zip(steps, clock, clock[1:], strict=False)}
        made_by = describe_run(study, self.network, self.regions, self.inferer, self.histories)
        results.record.update(made_by | {"seconds": seconds})
        files = write(results, output_dir)
        self.findings.append(Finding(case.name, results.headline, results.record["study"]["score"] is None))
        logger.info("%s: %s", case.name, results.headline)
        return files


def describe_run(
    study: Study, network: Mmbcd, regions: Regions, inferer: MmbcdInferer, histories: HistorySource
) -> dict[str, Any]:
    """What a result says about what made it."""
    options = network.options
    return {
        "history": study.history.as_record(histories.show_history),
        "weights": network.card.as_json(),
        "detector": regions.describe(),
        "engine": inferer.describe(network),
        "settings": {
            "preset": options.preset,
            "vision": options.vision,
            "text": options.text if options.use_text else None,
            "attention": options.uses_attention,
            "use_history": histories.use_history,
        },
    }


def build_dataset(study: str | Path, visit: str | None = None) -> StudyDataset:
    """The dataset of a config; studies are looked up when it is iterated."""
    return StudyDataset(study, visit)
