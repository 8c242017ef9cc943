"""The parts of `configs/evaluate.json`: how well a classifier knows annotated tissue at each scale."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from ignite.engine import Engine as Workflow
from ignite.engine import Events
from monai.inferers import Inferer
from torch.utils.data import DataLoader
from tqdm import tqdm

from common.engines import Engine, build_feature_engine
from common.errors import ConfigError, InputError
from common.geometry import magnification_from_mpp, parse_scale
from common.io.files import write_json, write_text
from common.report.figures import plot_confusion_matrix
from common.report.wording import weights_note

from .classifier import ClassifierSpec, load_classifier_spec
from .data import (
    Patch,
    PatchSettings,
    check_groups_apart,
    class_areas,
    hash_group,
    open_at_mpp,
    picture_patch,
)
from .dataset import PatchDataset
from .evaluation_table import format_csv, format_markdown, summarize
from .material import Source, find_material
from .network import PatchClassifier
from .sampling import grid_centers
from .search import split_scales


@dataclass(frozen=True)
class EvaluationMaterial:
    """What is evaluated.

    Attributes:
        spec: the classifier.
        scales: names as they were given, e.g. "x20".
        mpps: their microns per patch pixel.
        patches: all patches of all scales.
    """

    spec: ClassifierSpec
    scales: tuple[str, ...]
    mpps: tuple[float, ...]
    patches: list[Patch]


def build_material(
    classifier: str,
    dataset_dir: str,
    scales: str | float | Sequence[str | float],
    split: str | None,
    stride: float,
    max_patches: int | None,
    allow_training_groups: bool,
    group_pattern: str | None = None,
    **taking: Any,
) -> EvaluationMaterial:
    """Tile the annotated areas at every scale, or take the ready patches.

    Args:
        classifier: `classifier.json`.
        dataset_dir: see `material`.
        scales: for annotated slides; patch pictures are evaluated at the classifier's training scale.
        split: "train", "val" or "test"; None takes "test" where the material has one, else everything.
        stride: step of the tiles as a share of their edge; 1 tiles without overlap.
        max_patches: at most this many patches per slide, class and scale, chosen at random; None takes all.
        allow_training_groups: evaluate on patients or slides that the classifier was trained on.
        group_pattern: takes the patient from a file's name, see `find_material`.
        taking: further arguments of `PatchSettings`.

    Raises:
        ClassifierError, ConfigError, InputError: see the functions used; training data are refused.
    """
    if not 0 < stride <= 1:
        raise ConfigError(f"stride: expected a share in (0, 1], got {stride}: 1 tiles without overlap")
    spec = load_classifier_spec(classifier)
    sources = _choose_split(find_material(dataset_dir, group_pattern), split)
    if not allow_training_groups:
        refuse_training_groups(sources, spec)
    slides = [source for source in sources if source.annotation is not None]
    if slides:
        names, mpps = _read_scales(scales)
    else:
        mpps = (_training_mpp(spec, taking.get("patch_mpp")),)
        names = (f"x{magnification_from_mpp(mpps[0]):.3g}",)
    patches: list[Patch] = []
    for mpp in mpps:
        settings = PatchSettings(spec.label_names, spec.size_px, mpp, **taking)
        pictures = [picture_patch(s, settings) for s in sources if s.annotation is None]
        patches += [patch for patch in pictures if patch is not None]
        for source in tqdm(slides, f"tiling {names[mpps.index(mpp)]}", leave=False):
            patches += _tile_slide(source, settings, stride, max_patches)
    if not patches:
        raise InputError(
            f"{Path(dataset_dir).name}: expected patches, got none: check --min_inside and --scales"
        )
    return EvaluationMaterial(spec, names, mpps, patches)


def refuse_training_groups(sources: Iterable[Source], spec: ClassifierSpec) -> None:
    """Refuse patients or slides that the classifier was trained or chosen on.

    Raises:
        InputError: how many there are (no names).
    """
    trained = set((spec.reference or {}).get("training_groups", ()))
    common = {source.group for source in sources if hash_group(source.group) in trained}
    if common:
        raise InputError(
            f"evaluation data: expected patients or slides that {spec.name} has not seen, got {len(common)} "
            "that it was trained on: take others, or say --allow_training_groups True"
        )


def build_dataset(material: EvaluationMaterial) -> PatchDataset:
    """All patches of all scales, read when they are needed."""
    return PatchDataset(material.patches, material.spec.size_px, cache_gb=0)


def build_loader(dataset: PatchDataset, batch_size: int, num_workers: int) -> DataLoader:
    """Batches in order."""
    return DataLoader(dataset, batch_size, num_workers=num_workers)


class EngineInferer(Inferer):
    """Features by an engine of `common.engines`, logits by the hyperplanes in fp32.

    Args:
        engine: "auto", "torch" or "openvino".
        precision: "auto", "fp32" or "bf16".
        device: "cpu", "cuda", "cuda:0".
    """

    def __init__(self, engine: str = "auto", precision: str = "auto", device: str = "cpu") -> None:
        self.choice = {"engine": engine, "precision": precision, "device": device}
        self.engine: Engine | None = None

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """uint8 (B, 3, e, e) -> float32 logits (B, C) on the CPU."""
        classifier = cast(PatchClassifier, network)
        if self.engine is None:
            self.engine = build_feature_engine(classifier, inputs.shape[-1], **self.choice)
        features = torch.from_numpy(self.engine(inputs.cpu().numpy()))
        return features @ classifier.weight.detach().cpu() + classifier.bias.detach().cpu()

    def describe(self) -> dict[str, str]:
        """What the results were computed with."""
        return self.engine.describe() if self.engine else dict(self.choice)


class EvaluationReport:
    """Evaluator handler: counts, and at the end writes evaluation.json, .csv, .md and the confusion matrices.

    Args:
        material: what is evaluated.
        inferer: says which engine was used.
        output_dir: where the files go.
        bootstrap: draws for the intervals.
        seed: of the draws.
        settings: copied into evaluation.json.
    """

    def __init__(
        self,
        material: EvaluationMaterial,
        inferer: EngineInferer,
        output_dir: str,
        bootstrap: int = 2000,
        seed: int = 0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.material, self.inferer, self.folder = material, inferer, Path(output_dir)
        self.bootstrap, self.seed, self.settings = bootstrap, seed, dict(settings or {})
        self.groups = sorted({patch.group for patch in material.patches})
        classes = len(material.spec.labels)
        self.counts = np.zeros((len(material.mpps), len(self.groups), classes, classes), dtype=np.int64)
        self.start_s = 0.0
        self.bar = tqdm(disable=True)

    def attach(self, engine: Workflow) -> None:
        engine.logger.setLevel("WARNING")
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _start(self, _: Workflow) -> None:
        self.counts[:] = 0
        self.start_s = time.perf_counter()
        self.bar = tqdm(total=len(self.material.patches), desc="evaluating", unit="patch")

    def _count(self, engine: Workflow) -> None:
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        for index, predicted in zip(batch["index"].tolist(), output["pred"].argmax(1).tolist(), strict=True):
            patch = self.material.patches[index]
            place = self.material.mpps.index(patch.mpp), self.groups.index(patch.group)
            self.counts[(*place, patch.label, predicted)] += 1
            self.bar.update()

    def _write(self, _: Workflow) -> None:
        self.bar.close()
        spec, names = self.material.spec, self.material.spec.label_names
        scales = [
            {"scale": s, "mpp": mpp} for s, mpp in zip(self.material.scales, self.material.mpps, strict=True)
        ]
        rows = summarize(self.counts, scales, names, self.bootstrap, self.seed)
        note = weights_note(spec.describe())
        table = format_markdown(rows, len(self.groups))
        content = {
            "classifier": spec.describe(),
            "weights": {"name": spec.name, "sha256": spec.weights_sha256, "purpose": spec.purpose},
            "engine": self.inferer.describe(),
            "settings": self.settings | {"bootstrap": self.bootstrap, "seed": self.seed},
            "groups": len(self.groups),
            "scales": rows,
            "seconds": time.perf_counter() - self.start_s,
        }
        for row in rows:
            title = f"{row['scale']} ({row['mpp']:.3g} um/px), {row['patches']} patches"
            name = "".join(c if c.isalnum() or c in ".-" else "_" for c in row["scale"])
            path = self.folder / f"confusion_matrix_{name}.png"
            plot_confusion_matrix(path, np.array(row["confusion"]), names, title, note)
        write_text(self.folder / "evaluation.csv", format_csv(rows))
        write_text(self.folder / "evaluation.md", f"{table}\n{note}\n" if note else table)
        write_json(self.folder / "evaluation.json", content)
        print(table)


def _choose_split(sources: Sequence[Source], split: str | None) -> list[Source]:
    check_groups_apart(sources)
    splits = {source.split for source in sources}
    wanted = split or ("test" if "test" in splits else None)
    if split is not None and split not in splits:
        known = ", ".join(sorted(str(s) for s in splits if s)) or "none"
        raise ConfigError(f"split: expected one that the material has ({known}), got '{split}': leave it out")
    return [source for source in sources if wanted is None or source.split == wanted]


def _read_scales(scales: str | float | Sequence[str | float]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Names as they were given, and their microns per pixel. Raises ConfigError."""
    given = split_scales(scales)
    names = tuple(f"x{s:g}" if isinstance(s, (int, float)) else s.strip() for s in given)
    mpps = tuple(parse_scale(scale) for scale in given)
    if not mpps or len(set(mpps)) < len(mpps):
        raise ConfigError(
            f"scales: expected different scales, got {', '.join(names) or 'none'}: correct them"
        )
    return names, mpps


def _training_mpp(spec: ClassifierSpec, patch_mpp: float | None) -> float:
    mpp = spec.training_mpp or patch_mpp
    if mpp is None:
        raise ConfigError(
            "patch_mpp: expected the resolution of the patches, got none: give microns per pixel"
        )
    return mpp


def _tile_slide(
    source: Source, settings: PatchSettings, stride: float, max_patches: int | None
) -> list[Patch]:
    size, downsample = open_at_mpp(source, settings)
    side = settings.size_px * downsample
    patches: list[Patch] = []
    for value, shape in class_areas(source, settings).items():
        centers = grid_centers(shape, side, side * stride, size, settings.min_inside)
        if max_patches is not None and len(centers) > max_patches:
            rng = np.random.default_rng([settings.seed, zlib.crc32(source.image.name.encode()), value])
            centers = centers[np.sort(rng.choice(len(centers), max_patches, replace=False))]
        patches += [
            Patch(source.image, value, source.group, source.split, downsample, (x, y), settings.mpp)
            for x, y in centers.tolist()
        ]
    return patches
