"""The rows of Table 1: read from a JSON config, chosen by name, built from what is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import ConfigError
from experiment.peer_rows import check_arguments, check_entry, read_rows

from .base import Context, Peer
from .knowledge import build_knowledge
from .persam import build_persam
from .prompt_free import build_prompt_free
from .prompted import build_prompted
from .prototypes import build_prototypes
from .sam2 import build_medsam2
from .traditional import build_traditional
from .training import TrainingSettings, read_training_settings

FAMILIES: Mapping[str, Callable[..., Peer]] = {
    "prompted": build_prompted,
    "medsam2": build_medsam2,
    "prompt_free": build_prompt_free,
    "traditional": build_traditional,
    "prototypes": build_prototypes,
    "persam": build_persam,
    "ksam": build_knowledge,
}
ALWAYS_TRAINED = ("prompt_free", "traditional")
INPUTS = ("oracle", "template", "none")
_ROW_KEYS = {"id", "name", "type", "input", "family", "weights", "arguments", "paper"}


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        id: short name for the command line and the folder.
        name: as the table shows it.
        type: group of the paper's table.
        input: what the method is told at test time: "oracle" (a prompt from the truth), "template" (a
            labelled slice of a training patient) or "none".
        family: of `FAMILIES`.
        weights: file that it needs, None where it needs none.
        arguments: of the family's builder.
        paper: the paper's row to compare with, None where it has none.
    """

    id: str
    name: str
    type: str
    input: str
    family: str
    weights: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    paper: str | None = None

    @property
    def is_trained(self) -> bool:
        """Whether it is trained on the datalist before it is scored."""
        return self.family in ALWAYS_TRAINED or bool(self.arguments.get("train"))


@dataclass(frozen=True)
class Table:
    """The config.

    Attributes:
        rows: in the paper's order.
        training: of every trainable row.
        absent: rows of the paper without a peer here -> why.
        paper: the paper's figures: row -> {"KAS": {structure: Dice, "mean": ...}, "REFUGE": {...}}.
    """

    rows: tuple[Row, ...]
    training: TrainingSettings
    absent: Mapping[str, str]
    paper: Mapping[str, Mapping[str, Mapping[str, float]]]


def read_table(path: Path, changes: Mapping[str, Any] | None = None) -> Table:
    """Read the config.

    Args:
        path: JSON with "training", "peers", "absent", "paper".
        changes: settings of training given on the command line.

    Raises:
        ConfigError: not readable, an unknown key or family, or an id twice.
    """
    content, rows = read_rows(path, _read_row)
    training = read_training_settings({**content.get("training", {}), **(changes or {})})
    return Table(rows, training, content.get("absent", {}), content.get("paper", {}))


def _read_row(entry: Mapping[str, Any], name: str) -> Row:
    check_entry(entry, _ROW_KEYS, ("id", "name", "type", "input", "family"), name)
    row = Row(**entry)
    if row.family not in FAMILIES or row.input not in INPUTS:
        raise ConfigError(
            f"{name}: expected a family of {', '.join(FAMILIES)} and an input of {', '.join(INPUTS)}, got "
            f"'{row.family}' and '{row.input}': correct {row.id}"
        )
    return row


def find_missing(row: Row, root: Path) -> str | None:
    """Why a row cannot be run: a file of weights, or a delta, that is not there; None where all is.

    Args:
        row: of the table.
        root: that relative paths start from.
    """
    if row.family == "ksam" and not row.arguments.get("delta"):
        option = "--one-prompt" if row.id == "one_prompt" else "--ksam"
        return f"no delta was given: name one with {option}"
    for path in (row.weights, row.arguments.get("delta")):
        if path is not None and not (root / path).is_file():
            return f"{Path(path).name} is not there: tools/weights.py get, or put it where the config says"
    return None


def build_peer(row: Row, context: Context, root: Path) -> Peer:
    """The row's method, untrained where it is to be trained.

    Raises:
        ConfigError: arguments that the family does not take, or their values.
        ClassifierError: weights that do not fit.
    """
    builder = FAMILIES[row.family]
    weights = None if row.weights is None else str(root / row.weights)
    check_arguments(builder, 2, row.arguments, row.id, row.family)
    return builder(context, weights, **row.arguments)
