"""What travels with a trained classifier: `classifier.json`, checked at the door."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from common.errors import ClassifierError

SOURCES = ("monai", "torchvision", "timm", "module", "torchscript", "keras_densenet121")
PURPOSES = ("research", "demonstration", "clinical")
_REQUIRED = ("name", "version", "purpose", "network", "weights", "labels", "input")
_OPTIONAL = ("head", "outputs", "training_mpp", "reference")
_ADVICE = "correct classifier.json"
# Okabe and Ito's colours, then Tol's muted ones: for labels that name no colour of their own
_PALETTE = tuple(
    tuple(bytes.fromhex(code))
    for code in (
        "E69F00",
        "56B4E9",
        "009E73",
        "F0E442",
        "0072B2",
        "D55E00",
        "CC79A7",
        "b15928",
        "882255",
        "332288",
    )
)


@dataclass(frozen=True)
class Label:
    """A class: its output index, its name, its colour (0..255) and its coded concept, if one exists."""

    value: int
    name: str
    color: tuple[int, int, int]
    code: dict[str, str] | None


@dataclass(frozen=True)
class ClassifierSpec:
    """`classifier.json` as read and checked.

    Attributes:
        path: the file itself; relative paths in it start from its folder.
        source: where the architecture comes from, one of `SOURCES`.
        architecture: its name there ("" where the file of weights holds the network itself).
        arguments: keyword arguments of the architecture.
        weights_path: the file of weights.
        expected_sha256: what that file must hash to, None: unchecked.
        head: dotted name of the last linear layer, None: found by running the network.
        outputs: the head's outputs that are used, in the labels' order; None: all.
        size_px: edge e of a patch.
        scale, mean, std: the network sees (RGB 0..255 * scale - mean) / std, one value a channel.
        training_mpp: microns per pixel of the training patches, None: unknown.
        reference: margins seen on known patches, {"margin_quantiles": {"0.05": ...}, "source": ...}, or None.
    """

    path: Path
    name: str
    version: str
    purpose: str
    source: str
    architecture: str
    arguments: dict[str, Any]
    weights_path: Path
    expected_sha256: str | None
    head: str | None
    outputs: tuple[int, ...] | None
    labels: tuple[Label, ...]
    size_px: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    training_mpp: float | None
    reference: dict[str, Any] | None

    @cached_property
    def weights_sha256(self) -> str:
        """Hash of the file that is really there. Raises ClassifierError when it cannot be read."""
        try:
            return hashlib.sha256(self.weights_path.read_bytes()).hexdigest()
        except OSError as error:
            raise ClassifierError(
                f"{self.name}: expected weights in {self.weights_path.name}, got '{error.strerror}': "
                "run `python3 tools/weights.py get --bundle wsi_scale_selector` or correct weights.file"
            ) from error

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names in the order of the outputs."""
        return tuple(label.name for label in self.labels)

    @property
    def margin_quantiles(self) -> dict[str, float] | None:
        """Quantiles of the distances of known patches by name, None if the classifier brings none."""
        return (self.reference or {}).get("margin_quantiles")

    def describe(self) -> dict[str, Any]:
        """What a result says about the classifier that made it."""
        keys = ("name", "version", "purpose", "size_px", "training_mpp")
        described = {key: getattr(self, key) for key in keys}
        return described | {"sha256": self.weights_sha256, "labels": list(self.label_names)}


def load_classifier_spec(path: str | Path) -> ClassifierSpec:
    """Read and check `classifier.json` and the labels that it names.

    Raises:
        ClassifierError: not readable, a key missing, unknown or of the wrong kind.
    """
    path = Path(path)
    row = _read_json(path)
    if not isinstance(row, Mapping):
        raise ClassifierError(f"{path.name}: expected a JSON object, got {type(row).__name__}: {_ADVICE}")
    _check_keys(row, path.name)
    network, weights, image = (_section(row, key) for key in ("network", "weights", "input"))
    labels = read_labels(row["labels"], path)
    return ClassifierSpec(
        path=path,
        name=str(row["name"]),
        version=str(row["version"]),
        purpose=_one_of(row["purpose"], PURPOSES, "purpose"),
        source=_one_of(network.get("source"), SOURCES, "network.source"),
        architecture=str(network.get("name", "")),
        arguments=dict(network.get("args", {})),
        weights_path=path.parent / str(weights.get("file", "")),
        expected_sha256=weights.get("sha256"),
        head=row.get("head"),
        outputs=_read_outputs(row.get("outputs"), len(labels)),
        labels=labels,
        size_px=int(_positive(image.get("size_px"), "input.size_px")),
        scale=_positive(image.get("scale", 1 / 255), "input.scale"),
        mean=_triple(image.get("mean", [0.0] * 3), "input.mean"),
        std=tuple(
            _positive(value, "input.std") for value in _triple(image.get("std", [1.0] * 3), "input.std")
        ),
        training_mpp=_positive(mpp, "training_mpp") if (mpp := row.get("training_mpp")) is not None else None,
        reference=_read_reference(row.get("reference")),
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror
    except ValueError as error:
        reason = str(error)
    raise ClassifierError(f"{path.name}: expected a readable JSON file, got '{reason}': {_ADVICE}")


def _check_keys(row: Mapping[str, Any], name: str) -> None:
    known = (*_REQUIRED, *_OPTIONAL)
    for key in sorted(set(row) - set(known)):
        near = difflib.get_close_matches(key, known, 1, 0.0)[0]
        raise ClassifierError(f"{name}: expected known keys, got '{key}': did you mean '{near}'?")
    missing = [key for key in _REQUIRED if key not in row]
    if missing:
        raise ClassifierError(
            f"{name}: expected {', '.join(_REQUIRED)}, got no {', '.join(missing)}: {_ADVICE}"
        )


def _section(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    if not isinstance(row[key], Mapping):
        raise ClassifierError(f"{key}: expected an object, got {row[key]!r}: {_ADVICE}")
    return row[key]


def _one_of(value: Any, allowed: Sequence[str], key: str) -> str:
    if value not in allowed:
        raise ClassifierError(f"{key}: expected one of {', '.join(allowed)}, got {value!r}: {_ADVICE}")
    return str(value)


def _positive(value: Any, key: str) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise ClassifierError(f"{key}: expected a number above 0, got {value!r}: {_ADVICE}")
    return float(value)


def _triple(value: Any, key: str) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(v, (int, float)) for v in value):
        raise ClassifierError(f"{key}: expected three numbers, one a channel, got {value!r}: {_ADVICE}")
    return tuple(float(channel) for channel in value)


def _read_outputs(value: Any, count: int) -> tuple[int, ...] | None:
    if value is None:
        return None
    whole = isinstance(value, list) and all(isinstance(index, int) and index >= 0 for index in value)
    if not whole or len(set(value)) != len(value) or len(value) != count:
        raise ClassifierError(
            f"outputs: expected {count} different indices, one a label, got {value!r}: {_ADVICE}"
        )
    return tuple(value)


def _read_reference(value: Any) -> dict[str, Any] | None:
    """`reference` as it is, its quantiles (if it has any) being numbers. Raises ClassifierError."""
    if value is None:
        return None
    quantiles = value.get("margin_quantiles", {}) if isinstance(value, Mapping) else None
    numbers = isinstance(quantiles, Mapping) and all(
        isinstance(x, (int, float)) and math.isfinite(x) for x in quantiles.values()
    )
    if not numbers:
        raise ClassifierError(
            "reference: expected an object whose margin_quantiles are finite numbers, or null, got "
            f"{str(value)[:80]}: {_ADVICE}"
        )
    return dict(value)


def read_labels(value: Any, path: Path) -> tuple[Label, ...]:
    rows = _read_json(path.parent / value) if isinstance(value, str) else value
    if not isinstance(rows, list) or len(rows) < 2 or not all(isinstance(row, Mapping) for row in rows):
        raise ClassifierError(
            "labels: expected a list of at least two labels, got another thing: correct them"
        )
    labels = tuple(_read_label(row, position) for position, row in enumerate(rows))
    if len({label.name for label in labels}) < len(labels):
        raise ClassifierError(
            f"labels: expected different names, got {[x.name for x in labels]}: rename them"
        )
    return labels


def _read_label(row: Mapping[str, Any], position: int) -> Label:
    name, color = row.get("name"), row.get("color", list(_PALETTE[position % len(_PALETTE)]))
    if row.get("value") != position or not isinstance(name, str) or not name:
        raise ClassifierError(
            f"labels: expected value {position} and a name at place {position}, got {dict(row)}: "
            "correct the labels"
        )
    if len(color) != 3 or not all(isinstance(part, int) and 0 <= part <= 255 for part in color):
        raise ClassifierError(
            f"labels: expected a colour [r, g, b] of 0..255 for {name}, got {color}: correct it"
        )
    return Label(position, name, (color[0], color[1], color[2]), row.get("code"))
