"""The parts of `configs/evaluate.json`: scores of a trained network on labelled mammograms, with intervals.

Calibration and operating points are fitted on the validation part and written as `calibration.json`, which
inference takes; everything is measured on another part.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from common.errors import ConfigError, InputError
from common.io.files import write_json, write_text
from common.training.datalist import PARTS, hash_patient

from .calibration import METHODS, Calibration, fit_level, write_calibration
from .case_scores import CaseScore, combine_levels, format_csv, to_case, to_scores
from .classifier import Mmbcd
from .datalist import Entry, check_both_classes, load_datalist
from .evaluation_figures import plot_evaluation
from .evaluation_table import format_groups, format_levels, summarize_groups, summarize_level
from .inferer import MmbcdInferer
from .regions import Regions
from .roi_store import keep_features
from .samples import build_store, clean_history
from .scores import LEVELS, check_rule
from .train import read_training_patients

HISTORIES = ("own", "missing", "shuffled")
NOT_CLINICAL = "{name}: {purpose} weights, not for diagnosis"
_CHUNK = 64


@dataclass(frozen=True)
class EvaluationMaterial:
    """Which mammograms are evaluated, read when they are first needed.

    Attributes:
        datalist: JSON, see `datalist`.
        part: "test", "validation" or "training".

    Raises:
        ConfigError: an unknown part.
    """

    datalist: str
    part: str = "test"

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ConfigError(f"part: expected one of {', '.join(PARTS)}, got '{self.part}': choose one")

    @cached_property
    def entries(self) -> list[Entry]:
        """Raises InputError: see `load_datalist`; one class only."""
        return self.load(self.part)

    def load(self, part: str) -> list[Entry]:
        """Another part of the same datalist. Raises InputError."""
        entries = load_datalist(self.datalist, part)
        check_both_classes(entries, part)
        return entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)


class MammoEvaluator:
    """Scores a part of a datalist; the `evaluator` of evaluate.json.

    Args:
        dataset: what is evaluated.
        network: MMBCD.
        regions: finds and cuts the regions.
        inferer: runs the network, as in inference.
        output_dir: metrics.json, metrics.md, cases.csv, calibration.json and pictures stand here.
        weights: path of the weights; their training patients, and the detector's, are refused.
        cache_dir: where regions and their features are kept, so that a second evaluation (other histories,
            another trained part) takes seconds.
        calibrate: "temperature" or "isotonic", fitted on the validation part; None for none.
        sensitivity: that the operating point reaches on the validation part.
        specificity: at which the sensitivity is stated.
        breast_rule, study_rule: see `scores.RULES`.
        histories: "own"; "missing" leaves all out; "shuffled" gives each patient another's (a test of what
            the network makes of them).
        bootstrap: draws of patients.
        seed: of bootstrap and shuffling.
        allow_training_patients: evaluate them all the same.

    Raises:
        ConfigError: a setting outside its range.
    """

    def __init__(
        self,
        dataset: EvaluationMaterial,
        network: Mmbcd,
        regions: Regions,
        inferer: MmbcdInferer,
        output_dir: str,
        weights: str | None = None,
        cache_dir: str = "regions",
        calibrate: str | None = "temperature",
        sensitivity: float = 0.9,
        specificity: float = 0.9,
        breast_rule: str = "max",
        study_rule: str = "max",
        histories: str = "own",
        bootstrap: int = 2000,
        seed: int = 0,
        allow_training_patients: bool = False,
    ) -> None:
        if calibrate is not None and calibrate not in METHODS:
            raise ConfigError(
                f"calibrate: expected one of {', '.join(METHODS)} or null, got '{calibrate}': choose one"
            )
        if histories not in HISTORIES:
            raise ConfigError(
                f"histories: expected one of {', '.join(HISTORIES)}, got '{histories}': own is usual"
            )
        for name, value in (("sensitivity", sensitivity), ("specificity", specificity)):
            if not 0 < value <= 1:
                raise ConfigError(f"{name}: expected above 0 up to 1, got {value}: 0.9 is usual")
        self.material, self.network = dataset, network.eval()
        self.regions, self.inferer = regions, inferer
        self.folder, self.cache_dir = Path(output_dir), Path(cache_dir)
        self.weights, self.allow_training_patients = weights, allow_training_patients
        self.calibrate, self.sensitivity, self.specificity = calibrate, sensitivity, specificity
        self.rules = check_rule(breast_rule, "breast_rule"), check_rule(study_rule, "study_rule")
        self.histories, self.bootstrap, self.seed = histories, bootstrap, seed

    def run(self) -> dict[str, Any]:
        """Evaluate and write; returns the content of `metrics.json`. Raises BundleError."""
        started = time.perf_counter()
        entries = self.material.entries
        if not self.allow_training_patients:
            self.refuse_known(entries)
        levels = combine_levels(self.score(entries, self.material.part), *self.rules)
        calibration = self._fit()
        settings = self.specificity, self.bootstrap, self.seed
        rows = {level: summarize_level(levels[level], level, calibration, *settings) for level in LEVELS}
        groups = summarize_groups(levels["image"], calibration, self.bootstrap, self.seed)
        content = self._describe(rows, groups) | {"seconds": time.perf_counter() - started}
        self._write(content, levels, calibration)
        return content

    def refuse_known(self, entries: Sequence[Entry]) -> None:
        """Raises InputError: patients of the network's training, or of the detector's."""
        refuse_training_patients(entries, read_training_patients(self.weights), self.network.card.name)
        name = str(self.regions.describe()["name"])
        refuse_training_patients(entries, self.regions.training_patients, f"the detector {name}")

    def score(self, entries: Sequence[Entry], part: str) -> list[CaseScore]:
        """Scores of mammograms, as inference gives them. Raises InputError, OutputError."""
        store = build_store(entries, self.regions, self.network.image_size, self.cache_dir / part).fill()
        features = keep_features(store, lambda crops: self.inferer.encode(crops, self.network))
        regions = [
            torch.from_numpy(np.array(kept[:n])) for kept, n in zip(features, store.counts, strict=True)
        ]
        texts = self._choose_histories(entries)
        cases: list[CaseScore] = []
        for start in tqdm(range(0, len(entries), _CHUNK), "scoring", leave=False):
            chunk = slice(start, start + _CHUNK)
            found = self.inferer.fuse(regions[chunk], [text or None for text in texts[chunk]], self.network)
            cases += map(to_case, entries[chunk], texts[chunk], found)
        return cases

    def _choose_histories(self, entries: Sequence[Entry]) -> list[str]:
        """What concerns each breast; "" where there is nothing, or the network reads no text."""
        if self.histories == "missing" or self.network.text is None:
            return [""] * len(entries)
        if self.histories == "shuffled":
            given = {entry.patient: entry.history for entry in entries}
            order = np.random.default_rng(self.seed).permutation(list(given)).tolist()
            others = dict(zip(order, [*order[1:], order[0]], strict=True))
            entries = [entry.with_history(given[others[entry.patient]]) for entry in entries]
        return [clean_history(entry) for entry in entries]

    def _fit(self) -> Calibration:
        """Raises InputError: no validation part with both classes."""
        breast_rule, study_rule = self.rules
        if self.calibrate is None:
            return Calibration(breast_rule=breast_rule, study_rule=study_rule)
        cases = self.score(self.material.load("validation"), "validation")
        levels = combine_levels(cases, *self.rules)
        fitted = {}
        for level in LEVELS:
            scores = to_scores(levels[level])
            if scores.has_both_classes:
                labels = scores.labels.astype(int).tolist()
                fitted[level] = fit_level(scores.scores.tolist(), labels, self.calibrate, self.sensitivity)
        header = self.material.entries[0].header
        sha256, name = self.network.card.sha256, f"{header.name}, validation part"
        return Calibration(fitted, sha256, breast_rule, study_rule, name)

    def _describe(self, rows: dict[str, Any], groups: list[dict[str, Any]]) -> dict[str, Any]:
        material, header = self.material, self.material.entries[0].header
        return {
            "datalist": {
                "name": header.name,
                "licence": header.licence,
                "histories": header.history,
                "part": material.part,
                "images": len(material),
                "patients": len({entry.patient for entry in material}),
            },
            "weights": self.network.card.as_json(),
            "network": self.network.options.as_json(),
            "regions": self.regions.describe(),
            "engine": self.inferer.describe(self.network),
            "levels": rows,
            "subgroups": groups,
            "settings": {
                "calibrate": self.calibrate,
                "sensitivity": self.sensitivity,
                "specificity": self.specificity,
                "breast_rule": self.rules[0],
                "study_rule": self.rules[1],
                "histories": self.histories,
                "bootstrap": self.bootstrap,
                "seed": self.seed,
                "allow_training_patients": self.allow_training_patients,
            },
        }

    def _write(
        self, content: dict[str, Any], levels: dict[str, list[CaseScore]], calibration: Calibration
    ) -> None:
        card = self.network.card
        note = "" if card.purpose == "clinical" else NOT_CLINICAL.format(name=card.name, purpose=card.purpose)
        table = format_levels(content["levels"], self.specificity)
        groups = format_groups(content["subgroups"])
        if calibration.levels:
            write_calibration(calibration, self.folder / "calibration.json")
        fitted, scores = calibration.levels.get("image"), to_scores(levels["image"]).scores
        probabilities = {} if fitted is None else {"probability": fitted(scores)}
        write_text(self.folder / "cases.csv", format_csv(levels["image"], probabilities))
        write_text(self.folder / "metrics.md", "\n".join(filter(None, (table, groups, note))) + "\n")
        curves = {level: (to_scores(levels[level]), calibration.levels.get(level)) for level in LEVELS}
        plot_evaluation(self.folder / "scores.png", curves, note)
        write_json(self.folder / "metrics.json", content)
        print(table)


def refuse_training_patients(entries: Sequence[Entry], patients: Sequence[str], name: str) -> None:
    """Refuse mammograms of patients that the weights were trained or chosen on.

    Args:
        entries: to be evaluated.
        patients: hashes, see `hash_patient`.
        name: of the weights.

    Raises:
        InputError: how many they are.
    """
    known = set(patients)
    seen = {entry.patient for entry in entries if hash_patient(entry.patient) in known}
    if seen:
        raise InputError(
            f"datalist: expected patients that {name} was not trained on, got {len(seen)} of its own: take "
            "another part, or set allow_training_patients"
        )
