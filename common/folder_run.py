"""A command over a folder of cases: one bad case does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BundleError, ConfigError, InputError, OutputError
from .io.files import write_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What the result of a case says.

    Attributes:
        case: its name.
        headline: one line of plain words, nothing about the patient's identity.
        empty: the result is valid and says that nothing was found.
    """

    case: str
    headline: str
    empty: bool


def run_folder(
    names: Sequence[str], run: Callable[[int, Path], list[Path]], output_dir: Path, noun: str = "cases"
) -> list[Path]:
    """Run every case into a folder of its own; summary.json grows with each.

    Args:
        names: of the cases, and of their folders below `output_dir`.
        run: takes the number of a case and its folder, returns the files written.
        output_dir: of all.
        noun: what the cases are, for the message.

    Returns:
        All files written, summary.json last.

    Raises:
        InputError: after all were tried, some were refused.
        OutputError: results or summary.json cannot be written; the cases after that are not tried.
    """
    written: list[Path] = []
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(names):
        try:
            files = run(number, output_dir / name)
            rows.append({"case": name, "status": "done", "files": len(files)})
            written += files
        except OutputError:
            raise  # the next case could not be written either
        except BundleError as error:
            logger.error("%s", error)
            rows.append({"case": name, "status": "refused", "reason": str(error)})
        write_json(output_dir / "summary.json", rows)
    refused = [row for row in rows if row["status"] == "refused"]
    if refused:
        others = " (the others are in summary.json)" if len(refused) > 1 else ""
        raise InputError(
            f"expected {len(rows)} readable {noun}, {len(refused)} were refused: "
            f"{refused[0]['case']}: {refused[0]['reason']}{others}"
        )
    return [*written, output_dir / "summary.json"]


def check_output_dir(output_dir: Path, source: Path) -> None:
    """Results must not stand among the input: a second run would read them as cases.

    Raises:
        ConfigError: the output folder is the input's, or lies in it.
    """
    inside = source.resolve() if source.is_dir() else source.resolve().parent
    target = output_dir.resolve()
    if target == inside or (source.is_dir() and target.is_relative_to(inside)):
        raise ConfigError(
            f"output_dir: expected a folder outside the input, got '{output_dir.name}' in it: choose another"
        )
