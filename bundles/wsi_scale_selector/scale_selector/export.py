"""From a trained network to a `classifier.json` that inference takes as it is."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import monai.networks.nets
import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from torch import nn

from common.errors import ClassifierError
from common.io.files import atomic_path, write_json

from .classifier import ClassifierSpec
from .data import Patch, hash_group
from .network import PatchClassifier, build_network

WEIGHTS = "model.pt"
CLASSIFIER = "classifier.json"
QUANTILES = (0.05, 0.25, 0.5, 0.95)
_CLASS_ARGUMENTS = ("num_classes", "out_channels", "n_classes", "classes")


def with_class_count(spec: ClassifierSpec) -> ClassifierSpec:
    """The same architecture for as many classes as the spec has labels.

    Raises:
        ClassifierError: a TorchScript file, or an architecture without an argument for the number of classes.
    """
    if spec.source == "torchscript":
        raise ClassifierError(
            f"{spec.name}: expected an architecture that can be trained, got a TorchScript file: name the "
            "network (monai, torchvision, timm, module) and its state dict in classifier.json"
        )
    names = [name for name in _CLASS_ARGUMENTS if name in spec.arguments]
    if spec.source in ("torchvision", "timm", "keras_densenet121"):
        names = ["num_classes"]
    elif spec.source == "monai" and not names:
        names = _class_arguments_of(getattr(monai.networks.nets, spec.architecture, None))
    if not names:
        raise ClassifierError(
            f"network '{spec.architecture}': expected an argument {', '.join(_CLASS_ARGUMENTS)}, got "
            f"{', '.join(spec.arguments) or 'none'}: write the new number of classes into network.args of a "
            "classifier.json and train that with --pretrained False"
        )
    return replace(spec, arguments=spec.arguments | {names[0]: len(spec.labels)}, outputs=None)


def _class_arguments_of(architecture: Callable[..., nn.Module] | None) -> list[str]:
    known = inspect.signature(architecture).parameters if architecture else {}
    passes_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    return [name for name in _CLASS_ARGUMENTS if name in known] or ["num_classes"] * passes_on


def adapt_head(network: PatchClassifier, old: ClassifierSpec, new: ClassifierSpec) -> PatchClassifier:
    """The network itself, or one with a fresh head where the labels have changed.

    Raises:
        ClassifierError: see `with_class_count`.
    """
    if new.label_names == old.label_names:
        return network
    adapted = build_network(new, pretrained=False)
    kept = {k: v for k, v in network.state_dict().items() if k not in ("weight", "bias")}
    adapted.load_state_dict(kept, strict=False)
    return adapted


def hyperplane_margins(logits: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Largest signed distance to a hyperplane: max over c of <Phi, w_c> / ||w_c|| (Algorithm 1, line 4).

    Args:
        logits: (B, C) = Phi W + b.
        weight: (M, C).
        bias: (C,).

    Returns:
        (B,)
    """
    return ((logits - bias) / weight.norm(dim=0)).amax(dim=1)


class MarginCollector:
    """Validator handler: the margins of all validation patches, for the reference in `classifier.json`.

    Args:
        network: the network in training.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = unwrap(network)
        self.parts: list[torch.Tensor] = []
        self.margins = torch.empty(0)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self.parts.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._gather)

    def quantiles(self) -> dict[str, float]:
        """{"0.05": ..., "0.25": ..., "0.5": ..., "0.95": ...} of the last validation."""
        values = torch.quantile(self.margins, torch.tensor(QUANTILES))
        return {f"{q:g}": round(float(v), 6) for q, v in zip(QUANTILES, values, strict=True)}

    def _add(self, engine: Engine) -> None:
        output: Any = engine.state.output
        logits = output["pred"]
        self.parts.append(
            hyperplane_margins(logits, self.network.weight, self.network.bias).detach().float().cpu()
        )

    def _gather(self, _: Engine) -> None:
        own = torch.cat(self.parts)
        parts: list[Any] = [own]
        if dist.is_initialized():
            parts = [None] * dist.get_world_size()
            dist.all_gather_object(parts, own)
        self.margins = torch.cat(parts)


class ClassifierWriter:
    """Writes `model.pt` and the `classifier.json` that belongs to it into a run's folder.

    The JSON names the file's sha256, the training scale, the margins of the validation patches (by which a
    slide is recognised that the classifier does not fit), and hashes of the patients or slides that were used
    (so that an evaluation on them is refused).

    Args:
        output_dir: the run's folder; its name becomes the classifier's.
        network: the network in training.
        spec: the classifier as it shall become.
        patches: all patches of training and validation.
        margins: collects the validation's margins.
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: nn.Module,
        spec: ClassifierSpec,
        patches: Iterable[Patch],
        margins: MarginCollector,
    ) -> None:
        self.folder = Path(output_dir)
        self.network, self.spec, self.margins = unwrap(network), spec, margins
        self.groups = sorted({hash_group(patch.group) for patch in patches})

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Raises OutputError."""
        state = {k: v.detach().cpu().contiguous() for k, v in self.network.state_dict().items()}
        with atomic_path(self.folder / WEIGHTS) as temporary:
            torch.save(state, temporary)
            sha256 = hashlib.sha256(temporary.read_bytes()).hexdigest()
        write_json(self.folder / CLASSIFIER, self._content(sha256, history[-1]))

    def _content(self, sha256: str, row: Mapping[str, float]) -> dict[str, Any]:
        spec = self.spec
        network = {"source": spec.source, "name": spec.architecture, "args": spec.arguments}
        labels = [{"value": x.value, "name": x.name, "color": x.color, "code": x.code} for x in spec.labels]
        reference = {
            "margin_quantiles": self.margins.quantiles(),
            "source": f"{len(self.margins.margins)} validation patches of other patients or slides",
            "training_groups": self.groups,
            "validation": row,
        }
        return {
            "name": self.folder.resolve().name,
            "version": "1",
            "purpose": "research",
            "network": network,
            "weights": {"file": WEIGHTS, "sha256": sha256},
            "head": spec.head,
            "outputs": spec.outputs,
            "labels": labels,
            "input": {"size_px": spec.size_px, "scale": spec.scale, "mean": spec.mean, "std": spec.std},
            "training_mpp": spec.training_mpp,
            "reference": reference,
        }


def unwrap(network: nn.Module) -> PatchClassifier:
    """The classifier inside what training wraps around it."""
    while not isinstance(network, PatchClassifier):
        network = network.get_submodule("module" if hasattr(network, "module") else "network")
    return network
