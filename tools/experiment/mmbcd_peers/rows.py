"""The rows of Table 1: read from a JSON config, built from the local files that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from common.errors import ConfigError
from experiment.peer_rows import check_arguments, check_entry, read_rows

from .base import Peer
from .training import TrainingSettings, read_training_settings

FAMILIES = {"clip": "clip.build_clip", "llava": "llava.build_llava", "mmbcd": "ours.build_ours"}
"""Builders, imported when a row needs them: not every machine has peft."""

OURS = "mmbcd"
_FILES = {"clip": ("vision", "text"), "llava": ("folder",), OURS: ("weights",)}
_ROW_KEYS = {"id", "name", "weights", "family", "files", "arguments", "paper"}


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        id: short name for the command line and the folder.
        name: as the table shows it.
        weights: what it starts from, as the table shows it.
        family: of `FAMILIES`.
        files: what its builder reads: name -> file or folder.
        arguments: of the family's builder.
        paper: the paper's row to compare with, None where it has none.
    """

    id: str
    name: str
    weights: str
    family: str
    files: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    paper: str | None = None


@dataclass(frozen=True)
class Table:
    """The config.

    Attributes:
        rows: in the paper's order.
        training: family -> settings of its rows; a family without any is not trained.
        regions: arguments of `build_regions`: rois, iou, context, square.
        paper: the paper's figures: row -> {"AIIMS 1": {"accuracy", "f1", "auc"}, "AIIMS 2": ...}.
    """

    rows: tuple[Row, ...]
    training: Mapping[str, TrainingSettings]
    regions: Mapping[str, Any]
    paper: Mapping[str, Mapping[str, Mapping[str, float]]]


def read_table(path: Path, changes: Mapping[str, Any] | None = None) -> Table:
    """Read the config.

    Args:
        path: JSON with "training", "regions", "peers" and "paper".
        changes: settings of training given on the command line, for every family.

    Raises:
        ConfigError: not readable, an unknown key or family, or an id twice.
    """
    content, rows = read_rows(path, _read_row)
    training = {
        family: read_training_settings({**settings, **(changes or {})})
        for family, settings in content.get("training", {}).items()
    }
    lacking = sorted({row.family for row in rows} - set(training) - {OURS})
    if lacking:
        raise ConfigError(
            f"{path.name}: expected training of every family, got none of {', '.join(lacking)}: add it"
        )
    return Table(rows, training, content.get("regions", {}), content.get("paper", {}))


def _read_row(entry: Mapping[str, Any], name: str) -> Row:
    check_entry(entry, _ROW_KEYS, ("id", "name", "weights", "family"), name)
    row = Row(**entry)
    if row.family not in FAMILIES:
        raise ConfigError(
            f"{name}: expected a family of {', '.join(FAMILIES)}, got '{row.family}': correct {row.id}"
        )
    return row


def name_files(row: Row, given: Mapping[str, Path | None]) -> Row:
    """MMBCD's row with the files of the command line; other rows as they are.

    Args:
        row: of the table.
        given: "weights", "vision", "text"; None where it was not given.
    """
    if row.family != OURS:
        return row
    named = {name: str(path.resolve()) for name, path in given.items() if path is not None}
    return replace(row, files={**row.files, **named})


def find_missing(row: Row, root: Path) -> str | None:
    """Why a row cannot be run: a file or folder that is not there; None where all are.

    Args:
        row: of the table.
        root: that relative paths start from.
    """
    for name in _FILES[row.family]:
        if name not in row.files:
            return f"no {name} was given: " + ("--mmbcd" if row.family == OURS else "name it in the config")
    for path in row.files.values():
        if not (root / path).exists():
            return f"{Path(path).name} is not there: nothing is downloaded, put it where the config says"
    return None


def build_peer(row: Row, root: Path) -> Peer:
    """The row's method, untrained where it is to be trained.

    Args:
        row: whose files are there.
        root: that relative paths start from.

    Raises:
        ConfigError: arguments that the family does not take, or their values.
        ClassifierError: weights that do not fit.
    """
    module, _, function = FAMILIES[row.family].partition(".")
    builder: Callable[..., Peer] = getattr(import_module(f".{module}", __package__), function)
    check_arguments(builder, 1, row.arguments, row.id, row.family)
    return builder({name: str(root / path) for name, path in row.files.items()}, **row.arguments)
