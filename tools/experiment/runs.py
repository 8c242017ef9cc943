"""The bundle's search on every case under every criterion and aggregation, as rows for the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from phantoms.slides import NATIVE_MPP

from common.engines import Engine, build_feature_engine
from common.io.slide import Slide, open_slide
from scale_selector.aggregation import AGGREGATIONS
from scale_selector.classifier import ClassifierSpec, load_classifier_spec
from scale_selector.criteria import CRITERIA
from scale_selector.doctor import examine_resolution
from scale_selector.inferer import SearchResult, SearchSettings
from scale_selector.network import PatchClassifier, build_network
from scale_selector.pipeline import preprocess
from scale_selector.search import STEP
from scale_selector.verdict import DECIDED

from .bank import BankedInferer, FeatureBank
from .material import AT_THE_END, Case

PAPER_MPP = 0.5  # the paper's set lies around x20
FEATURE_FREE = ("no metadata", "wrong metadata", "foreign", "scale_free", "smooth")


@dataclass(frozen=True)
class Subject:
    """A classifier under test, ready to run."""

    name: str
    spec: ClassifierSpec
    network: PatchClassifier
    engine: Engine

    @property
    def true_downsample(self) -> float:
        """Level-0 pixels per patch pixel at the training scale."""
        return (self.spec.training_mpp or PAPER_MPP) / NATIVE_MPP

    def steps_off(self, downsamples: np.ndarray | float) -> np.ndarray:
        """Whole steps of the search (1.2) between scales and the truth, positive where too coarse."""
        return np.rint(np.log(np.asarray(downsamples) / self.true_downsample) / np.log(STEP)).astype(int)


def build_subject(name: str, path: Path) -> Subject:
    """Raises ClassifierError."""
    spec = load_classifier_spec(path)
    network = build_network(spec)
    return Subject(name, spec, network, build_feature_engine(network, spec.size_px))


def settings_around(settings: SearchSettings, subject: Subject) -> SearchSettings:
    """The paper's set moved so that the truth lies in it where x20 does."""
    factor = PAPER_MPP / (subject.spec.training_mpp or PAPER_MPP)
    return replace(settings, scales=tuple(scale * factor for scale in settings.scales))


class Examination:
    """One slide under one classifier.

    Args:
        case: the slide.
        subject: the classifier.
        folder: for the features.
        settings: of the search; criterion and aggregation are varied.
    """

    def __init__(self, case: Case, subject: Subject, folder: Path, settings: SearchSettings) -> None:
        self.case, self.subject, self.settings = case, subject, settings
        stem = case.path.stem.rpartition("_")[0]
        self.bank = FeatureBank(folder / f"{stem}_{subject.spec.weights_sha256[:12]}.npz")

    def run(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows about slides and, for plain slides, rows about points."""
        with open_slide(self.case.path) as slide:
            _, tissue = preprocess(slide)
            rows = list(self._slide_rows(slide, tissue))
            points = list(self._point_rows(slide, tissue)) if self.case.condition == "plain" else []
        self.bank.save()
        return rows, points

    def _search(self, slide: Slide, tissue: np.ndarray, settings: SearchSettings) -> SearchResult:
        inferer = BankedInferer(settings, self.subject.spec, self.bank)
        return inferer(slide, self.subject.network, engine=self.subject.engine, tissue=tissue)

    def _combinations(self) -> Iterator[SearchSettings]:
        criteria: Sequence[str] = tuple(CRITERIA)
        if self.case.condition in FEATURE_FREE:
            criteria = (self.settings.criterion,)
        for criterion in criteria:
            for aggregation in AGGREGATIONS:
                yield replace(self.settings, criterion=criterion, aggregation=aggregation)

    def _slide_rows(self, slide: Slide, tissue: np.ndarray) -> Iterator[dict[str, Any]]:
        for settings in self._combinations():
            if self.case.condition != AT_THE_END:
                settings = settings_around(settings, self.subject)
            result = self._search(slide, tissue, settings)
            yield self._describe(slide, settings, result)

    def _describe(self, slide: Slide, settings: SearchSettings, result: SearchResult) -> dict[str, Any]:
        verdict, gathered = result.verdict, result.gathered
        doctor = examine_resolution(slide.resolution, result, self.subject.spec.training_mpp)
        off = (
            None
            if verdict.index is None
            else int(self.subject.steps_off(gathered.downsamples)[verdict.index])
        )
        return {
            "condition": self.case.condition,
            "slide": self.case.path.name,
            "classifier": self.subject.name,
            "criterion": settings.criterion,
            "aggregation": settings.aggregation,
            "decision": verdict.decision,
            "direction": verdict.direction or "",
            "steps_off": off,
            "is_right": verdict.decision == DECIDED and off is not None and abs(off) <= 1,
            "widenings": result.widenings,
            "content_agrees": doctor["content"]["agrees"],
            "content_mpp": doctor["content"]["estimated_mpp"],
            "contradictions": len(doctor["contradictions"]),
        }

    def _point_rows(self, slide: Slide, tissue: np.ndarray) -> Iterator[dict[str, Any]]:
        around = replace(settings_around(self.settings, self.subject), max_widenings=0)
        for criterion in CRITERIA:
            result = self._search(slide, tissue, replace(around, criterion=criterion))
            off = self.subject.steps_off(result.gathered.downsamples)[result.margins.proposed]
            names = self.case.classes_at(result.gathered.xy_px)
            for number, (steps, name) in enumerate(zip(off.tolist(), names, strict=True)):
                yield {
                    "slide": self.case.path.name,
                    "classifier": self.subject.name,
                    "criterion": criterion,
                    "point": number,
                    "class": name,
                    "shape": result.curves.shapes[number],
                    "steps_off": steps,
                    "curve": " ".join(f"{value:.4g}" for value in result.margins.curves[number]),
                }
