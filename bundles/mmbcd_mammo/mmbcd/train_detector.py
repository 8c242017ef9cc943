"""The parts of `configs/train_detector.json`: network, data, and what a run leaves behind.

Published for COCO: AdamW, 1e-4, backbone 1e-5, gradients clipped at 0.1, 12 epochs with one step down; here
the rate falls along a cosine (choice). The paper starts from COCO weights (section 4): `start_from`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from monai.utils import set_determinism

from common.errors import ClassifierError, ConfigError
from common.networks.card import WeightsCard
from common.networks.focalnet_dino.build import build_focalnet_dino
from common.networks.focalnet_dino.convert import load_detector
from common.networks.focalnet_dino.model import FocalNetDino
from common.training.datalist import hash_file_text, hash_patient
from common.training.optimisation import build_optimizer
from common.training.run_keeper import RunKeeper
from common.training.tracking import build_tracker

from .detector_data import Breasts, DetectorMaterial
from .detector_training import METRIC
from .detector_weights import read_detector, save_detector

WEIGHTS = "detector.safetensors"
logger = logging.getLogger(__name__)

__all__ = ["build_optimizer"]


def build_start(
    size: str = "tiny",
    start_from: str | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> FocalNetDino:
    """The detector before training.

    Args:
        size: "tiny" or "large_fl4".
        start_from: a detector of this project, or an official checkpoint of FocalNet-DINO; class heads of
            another number of classes keep their start values.
        seed: of the weights that no file brings.
        options: of `DinoSizes`.

    Raises:
        ConfigError: an unknown size or option, or one that differs from the file's.
        ClassifierError: the file is missing or does not fit.
    """
    set_determinism(seed)
    network = build_focalnet_dino(size, 1, **dict(options or {}))
    if start_from is None:
        return network
    path = Path(start_from)
    if not path.is_file():
        raise ClassifierError(
            f"start_from: expected a file with weights, got '{path.name}', which is not there: correct it"
        )
    if path.suffix == ".safetensors":
        trained = read_detector(path)
        if trained.sizes != network.sizes:
            raise ConfigError(
                f"size: expected the sizes that {trained.card.name} was trained with, got others: "
                f"{_first_difference(asdict(trained.sizes), asdict(network.sizes))}"
            )
        return trained.build()
    kept = load_detector(network, path)
    logger.info("%d tensors keep their start values: another number of classes", len(kept))
    return network


def _first_difference(wanted: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    key = next(key for key, value in wanted.items() if own[key] != value)
    return f"set {key} to {wanted[key]}"


def build_breasts(
    material: DetectorMaterial, part: str, image_size: int | Sequence[int], cache_dir: str
) -> Breasts:
    """`Breasts` of one part of the material, nothing read yet. Raises ConfigError."""
    return Breasts(lambda: getattr(material, part), material.boxes_of, image_size, cache_dir)


class DetectorWriter:
    """Writes `detector.safetensors` into a run's folder whenever validation has improved.

    Args:
        output_dir: the run's folder; its name becomes that of the weights.
        network: detector in training.
        material: brings patients and licence.
        breasts: says the size of the pictures.
        purpose: "research", "demonstration", ...; stands in every result.
        start_from: weights that the run went on from; their patients stay known.
    """

    def __init__(
        self,
        output_dir: str,
        network: FocalNetDino,
        material: DetectorMaterial,
        breasts: Breasts,
        purpose: str = "research",
        start_from: str | None = None,
    ) -> None:
        self.folder, self.network, self.material = Path(output_dir), network, material
        self.breasts, self.purpose, self.start_from = breasts, purpose, start_from

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Raises OutputError: no room; ClassifierError: a weight that is not finite."""
        entries = [*self.material.training, *self.material.validation]
        patients = {hash_patient(entry.patient) for entry in entries}
        header = entries[0].header
        card = WeightsCard(
            name=self.folder.resolve().name,
            version=str(int(history[-1]["epoch"])),
            purpose=self.purpose,
            training_data=f"{header.name} (licence: {header.licence}), {len(patients)} patients",
        )
        notes = {
            "training_patients": sorted(patients | self._earlier_patients()),
            "lesions": self.material.lesions,
            "validation": dict(history[-1]),
        }
        save_detector(self.network, self.folder / WEIGHTS, card, self.breasts.image_size, notes=notes)

    def _earlier_patients(self) -> set[str]:
        if self.start_from is None or Path(self.start_from).suffix != ".safetensors":
            return set()
        return set(read_detector(self.start_from).training_patients)


def build_run_keeper(
    output_dir: str,
    network_def: FocalNetDino,
    datalist: str,
    tracker: str = "none",
    settings: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> RunKeeper:
    """A `RunKeeper` of the detector, the mean recall of the validation lesions as its metric.

    Args:
        output_dir: the run's folder.
        network_def: detector.
        datalist: a resumed run must have the same.
        tracker: "none", "tensorboard" or "mlflow", see `build_tracker`.
        settings: further values that a resumed run must share.
        arguments: further arguments of `RunKeeper`.

    Raises:
        ConfigError: see `RunKeeper` and `build_tracker`.
    """
    shared = {"datalist": hash_file_text(datalist), **(settings or {})}
    shown = build_tracker(tracker, output_dir, shared)
    return RunKeeper(output_dir, network_def, metric=METRIC, tracker=shown, settings=shared, **arguments)
