"""What a run is for: the trained part with its prompt bank as a delta, and a card that says what it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.io.files import write_json
from common.networks.card import WeightsCard
from common.training.datalist import hash_patient

from .averaging import WeightAverage
from .delta import read_delta, save_delta
from .frame import build_frame
from .knowledge_sam import KSam
from .material import TrainingMaterial, finest_task
from .prompts import load_task
from .templates import Task

DELTA = "delta.safetensors"
CARD = "delta.json"


class DeltaWriter:
    """Writes `delta.safetensors` and `delta.json` into a run's folder whenever the run keeper says so.

    The delta holds templates as its prompt bank, its purpose, the licence of the
    training data, and hashes of the patients that were used, so that an evaluation on them is refused.

    Args:
        output_dir: the run's folder; its name becomes the delta's.
        network: KSam in training.
        material: brings patients, templates and licence.
        average: its weights are written, if it has any.
        purpose: "research", "demonstration", ...; stands in every result.
        start_from: delta that the run went on from; its patients stay known.
        fp16: half the size.
        bank: task folder whose templates become the prompt bank, so that weights trained on many structures
            answer with a few; None draws them from training patients for every structure.

    Raises:
        InputError: no such task.
    """

    def __init__(
        self,
        output_dir: str,
        network: KSam,
        material: TrainingMaterial,
        average: WeightAverage,
        purpose: str = "research",
        start_from: str | None = None,
        fp16: bool = True,
        bank: str | None = None,
    ) -> None:
        self.folder, self.network, self.material = Path(output_dir), network, material
        self.bank = None if bank is None else load_task(bank)
        self.average = average
        self.purpose, self.start_from, self.fp16 = purpose, start_from, fp16

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Raises OutputError: no room; ClassifierError: a weight that is not finite."""
        material, task = self.material, self.material.task
        fill_bank(self.network, self.bank_task)
        own = {hash_patient(case.patient) for case in (*material.training, *material.validation)}
        patients = sorted(own | set(read_training_patients(self.start_from)))
        card = WeightsCard(
            name=self.folder.resolve().name,
            version=str(int(history[-1]["epoch"])),
            purpose=self.purpose,
            training_data=f"{task.name} (licence: {task.licence}), {len(own)} patients",
        )
        notes = {"training_patients": json.dumps(patients), "datalist": task.name}
        with self.average.in_use():
            card = save_delta(self.network, self.folder / DELTA, card, self.fp16, notes)
        write_json(self.folder / CARD, self._describe(card, history[-1]))

    @property
    def bank_task(self) -> Task:
        """What the bank holds."""
        return self.bank or self.material.task

    def _describe(self, card: WeightsCard, row: Mapping[str, float]) -> dict[str, Any]:
        return {
            "weights": card.as_json(),
            "network": self.network.options.as_json(),
            "base": {"name": self.network.base_name, "sha256": self.network.base_sha256},
            "structures": list(self.bank_task.structure_names),
            "licence": self.material.task.licence,
            "templates": [template.id for template in self.bank_task.templates],
            "validation": dict(row),
        }


def read_training_patients(weights: str | None) -> list[str]:
    """Hashes of the patients that a delta was trained on; none where the file does not say.

    Raises:
        ClassifierError: the delta cannot be read.
    """
    if weights is None or Path(weights).suffix != ".safetensors":
        return []
    return list(json.loads(read_delta(Path(weights)).notes.get("training_patients", "[]")))


def fill_bank(network: KSam, task: Task) -> None:
    """Put the task's templates into the network's bank, equally many for each structure.

    Raises:
        InputError: a structure without template.
    """
    task = finest_task(task)
    groups = [task.templates_of(name) for name in task.structure_names]
    count = min(len(group) for group in groups)
    images, masks = [], []
    for name, group in zip(task.structure_names, groups, strict=True):
        for template in group[:count]:
            frame = build_frame(template.image, task.crop, network.image_size)
            images.append(frame.to_network(template.image, task.window))
            masks.append(frame.mask_to_network(template.masks[name])[None])
    size = (len(groups), count)
    pictures, maps = (torch.from_numpy(np.stack(part)).unflatten(0, size) for part in (images, masks))
    network.set_bank(pictures, maps, task.structure_names)
