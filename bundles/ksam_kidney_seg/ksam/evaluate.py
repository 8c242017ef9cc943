"""The parts of `configs/evaluate.json`: Dice and HD95 of a delta on labelled cases, template by template."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common.errors import ConfigError, InputError
from common.io.ct_volume import read_ct
from common.io.files import write_json, write_text
from common.networks.sam_weights import hash_file
from common.report.score_figures import plot_scores
from common.report.wording import weights_note
from common.training.datalist import PARTS, hash_patient

from .datalist import Case, LabelledSlice, load_datalist
from .delta_writer import read_training_patients
from .descriptions import describe_network
from .engines import build_ksam_engines
from .evaluation_table import ENSEMBLE, MEAN, arrange, format_csv, format_markdown, summarize
from .frame import Frame
from .inferer import KnowledgePromptInferer
from .knowledge_sam import KSam
from .material import frame_case
from .prompts import load_task
from .remembered import RememberedNetwork
from .scores import Score, measure
from .structures import mask_of
from .template_choice import choose_structures, draw_task, restrict_task, single_template_tasks
from .templates import Task

KEPT_BYTES = 2 * 2**30
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationMaterial:
    """Which cases are evaluated, with which prompts; read when they are first needed.

    Attributes:
        datalist: JSON, see `datalist`.
        part: "test", "validation" or "training".
        prompts: task folder, whose templates are all used; None draws templates from the training part.
        structures: names that are evaluated; None for all that the datalist and the prompts share.
        templates: drawn for each structure where `prompts` is None; five or more tell the spread.
        seed: of the templates' choice.
    """

    datalist: str
    part: str = "test"
    prompts: str | None = None
    structures: Sequence[str] | None = None
    templates: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ConfigError(f"part: expected one of {', '.join(PARTS)}, got '{self.part}': choose one")

    @cached_property
    def cases(self) -> list[Case]:
        """Raises InputError: see `load_datalist`."""
        return load_datalist(self.datalist, self.part)

    @cached_property
    def task(self) -> Task:
        """Structures and templates.

        Raises:
            InputError: the task cannot be read, shares no structure with the datalist, lacks one that is
                asked for, or is of another modality.
        """
        header = self.cases[0].header
        if self.prompts is None:
            return draw_task(
                load_datalist(self.datalist, "training"), self.templates, self.seed, self.structures
            )
        task = load_task(self.prompts)
        task.check_input(header.modality)
        known = [structure.name for structure in choose_structures(header, self.structures)]
        wanted = [name for name in known if self.structures is not None or name in task.structure_names]
        if not wanted:
            raise InputError(
                f"prompts: expected one of the datalist's structures {', '.join(known)}, got "
                f"{', '.join(task.structure_names)}: name them alike"
            )
        return restrict_task(task, wanted)

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)


def refuse_training_patients(cases: Sequence[Case], patients: Sequence[str], name: str) -> None:
    """Refuse cases of patients that the weights were trained or chosen on.

    Args:
        cases: to be evaluated.
        patients: hashes, see `hash_patient`.
        name: of the weights.

    Raises:
        InputError: how many there are (no names).
    """
    common = {case.patient for case in cases if hash_patient(case.patient) in set(patients)}
    if common:
        raise InputError(
            f"evaluation data: expected patients that {name} has not seen, got {len(common)} that it was "
            "trained on: take others, or say --allow_training_patients True"
        )


def count_scored_templates(cases: Sequence[Case], task: Task) -> int:
    """Files that are scored and are templates too, told by their sha256: their Dice says nothing.

    Args:
        cases: to be evaluated.
        task: with templates that `tools/prompts.py make` cut out of files; of others nothing is known.
    """
    known = {template.provenance.get("sha256") for template in task.templates} - {None}
    return sum(case.image.is_file() and hash_file(case.image) in known for case in cases) if known else 0


class CaseEvaluator:
    """Segments every case with each template by itself and with all of them, and writes what came out.

    Files: `metrics.json`, `metrics.md`, `cases.csv` (a line per case, structure and template), `scores.png`.

    Args:
        dataset: cases and prompts.
        network: KSam.
        inferer: retrieval, averaging and consistency; its task is not used.
        output_dir: where the files go.
        weights: file of the network; a delta names the patients that it was trained on.
        allow_training_patients: evaluate on those too.
        hd95: measure distances; they take longer than Dice in volumes.
        ensemble: also let the templates answer together, as inference does.
        bootstrap: draws for the intervals.
        seed: of the draws.
        engine, precision, device: how the network is run, see `common.engines`.
    """

    def __init__(
        self,
        dataset: EvaluationMaterial,
        network: KSam,
        inferer: KnowledgePromptInferer,
        output_dir: str,
        weights: str | None = None,
        allow_training_patients: bool = False,
        hd95: bool = True,
        ensemble: bool = True,
        bootstrap: int = 2000,
        seed: int = 0,
        engine: str = "auto",
        precision: str = "auto",
        device: str = "cpu",
    ) -> None:
        self.material, self.inferer, self.folder = dataset, inferer, Path(output_dir)
        self.network, self.choice = network, (engine, precision, device)
        self.weights, self.allow_training_patients = weights, allow_training_patients
        self.hd95, self.ensemble, self.bootstrap, self.seed = hd95, ensemble, bootstrap, seed

    def run(self) -> dict[str, Any]:
        """Evaluate and write; returns the content of `metrics.json`. Raises BundleError."""
        started = time.perf_counter()
        material, task = self.material, self.material.task
        if not self.allow_training_patients:
            refuse_training_patients(
                material.cases, read_training_patients(self.weights), self.network.card.name
            )
        scored_templates = count_scored_templates(material.cases, task)
        if scored_templates:
            logger.warning(
                "%d of the scored files are templates too: these scores say nothing", scored_templates
            )
        tasks = single_template_tasks(task)
        if self.ensemble and len(tasks) > 1:
            tasks[ENSEMBLE] = task
        cases = tqdm(material, "evaluating", unit="case", total=len(material))
        scores = [score for case in cases for score in self._score_case(case, tasks)]
        rows = summarize(scores, task.structure_names, self.bootstrap, self.seed)
        content = self._describe(rows, tasks) | {"seconds": time.perf_counter() - started}
        content["prompts"]["scored_too"] = scored_templates
        self._write(content, scores, rows)
        return content

    @cached_property
    def engine(self) -> RememberedNetwork:
        """What runs the network; a slice is encoded once for all templates. Raises ConfigError."""
        return RememberedNetwork(build_ksam_engines(self.network, *self.choice), KEPT_BYTES)

    def _score_case(self, case: Case, tasks: Mapping[str, Task]) -> Iterator[Score]:
        """Every structure with every template."""
        entries = list(case.slices())
        frame = frame_case(entries, self.material.task.crop, self.network.image_size)
        spacing = read_spacing(case) if self.hd95 or self.inferer.consistency.is_on else None
        for template, task in tasks.items():
            labels = self._segment(entries, frame, task, None if spacing is None else spacing[2])
            for structure in task.structures:
                truth = stack_truth(entries, structure.name)
                predicted = mask_of(labels, structure, task.structures)
                dice, distance = measure(predicted, truth, spacing, self.hd95)
                sizes = int(predicted.sum()), int(truth.sum())
                yield Score(case.patient, case.name, structure.name, template, dice, distance, *sizes)

    def _segment(
        self, entries: Sequence[LabelledSlice], frame: Frame, task: Task, slice_mm: float | None
    ) -> np.ndarray:
        """Label map (r, c) of a picture or (R, C, Z) of a volume, as inference makes it."""
        if task.modality == "picture":
            return self.inferer.predict_slice(entries[0].image, self.engine, frame=frame, task=task).labels()
        voxels = np.stack([entry.image for entry in entries], axis=2)
        return self.inferer.predict_volume(voxels, self.engine, frame, task, slice_mm).labels

    def _describe(self, rows: Mapping[str, Any], tasks: Mapping[str, Task]) -> dict[str, Any]:
        material, task = self.material, self.material.task
        return {
            "datalist": {
                "name": material.cases[0].header.name,
                "licence": material.cases[0].header.licence,
                "part": material.part,
                "cases": len(material),
                "patients": len({case.patient for case in material}),
            },
            **describe_network(self.network, self.engine),
            "prompts": {
                "task": task.name,
                "drawn_from_training": material.prompts is None,
                "templates": [{"id": t.id, "image_sha256": t.image_sha256} for t in task.templates],
            },
            "mean_dice": rows[MEAN]["dice"],
            "structures": dict(rows),
            "hd95_unit": self._unit,
            "settings": {
                **self.inferer.describe(),
                "bootstrap": self.bootstrap,
                "seed": self.seed,
                "allow_training_patients": self.allow_training_patients,
            },
        }

    def _write(self, content: dict[str, Any], scores: Sequence[Score], rows: Mapping[str, Any]) -> None:
        card, task = self.network.card, self.material.task
        warning = weights_note(card.as_json())
        note = f"{card.name}: {warning}" if warning else ""
        table = format_markdown(rows, self._unit, len(task.templates))
        groups = [
            (structure.name, structure.color, arrange(scores, structure.name, "dice")[0])
            for structure in task.structures
        ]
        write_text(self.folder / "cases.csv", format_csv(scores))
        write_text(self.folder / "metrics.md", f"{table}\n{note}\n" if note else table)
        plot_scores(self.folder / "scores.png", groups, "Dice", note)
        write_json(self.folder / "metrics.json", content)
        print(table)

    @property
    def _unit(self) -> str:
        return "px" if self.material.task.modality == "picture" else "mm"


def read_spacing(case: Case) -> list[float] | None:
    """mm of rows, columns and slices of a volume; None for a picture."""
    if case.header.modality == "picture":
        return None
    return [float(v) for v in read_ct(case.image, case.series).to_axial().spacing_mm]


def stack_truth(entries: Sequence[LabelledSlice], name: str) -> np.ndarray:
    """(r, c) of a picture, (R, C, Z) of a volume."""
    if entries[0].image.ndim == 3:
        return entries[0].masks[name]
    return np.stack([entry.masks[name] for entry in entries], axis=2)
