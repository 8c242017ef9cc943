"""Runs of MMBCD by its configs, and their results as rows of the paper's tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiment.command import ROOT, format_rows, run_command
from experiment.config_runs import BundleRuns, Overrides, add_common, read_settings

BUNDLE = ROOT / "bundles" / "mmbcd_mammo"
RUNS = BundleRuns(BUNDLE, "mmbcd.safetensors")
LEVELS = ("image", "breast", "study")
NOTE = "Test patients; the bar's line is half of the 95 % interval over patients (bootstrap)."
Paper = tuple[float, float, float, float, float, float]
"""Accuracy, F1 and AUC of the paper, on AIIMS 1 and on AIIMS 2."""


def start(main: Callable[[list[str]], None]) -> int:
    """Run an experiment as a command; see `run_command`."""
    return run_command(main, BUNDLE)


def read_command(description: str, arguments: Sequence[str], *more: tuple[str, str]) -> argparse.Namespace:
    """The command line of a table: datalist, out, settings, the level of its figures, and what is its own.

    Args:
        description: of the command.
        arguments: its words.
        more: further lists of words, name and help.
    """
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--datalist", type=Path, required=True, help="training, validation and test patients")
    parser.add_argument(
        "--level", choices=LEVELS, default="image", help="whose figures the table shows (paper: image)"
    )
    for name, text in more:
        parser.add_argument(f"--{name}", nargs="*", default=[], help=text)
    add_common(parser)
    return parser.parse_args(arguments)


def run_row(
    folder: Path, options: argparse.Namespace, switches: Overrides, testing: Overrides
) -> dict[str, Any]:
    """Train and evaluate one row; the regions are cut once for all rows. Raises BundleError."""
    shared = {"cache_dir": options.out / "regions"}
    training = {**shared, **read_settings(options.train), **switches, "datalist": options.datalist}
    weights = RUNS.train(folder / "run", training)
    given = {**shared, **read_settings(options.evaluate), **testing}
    return RUNS.evaluate(folder / "evaluation", weights, options.datalist, given)


def to_row(name: str, found: Mapping[str, Any], level: str, paper: Paper | None) -> dict[str, Any]:
    """One line of a table: our figures, and the paper's beside them."""
    figures = found["levels"][level]
    row: dict[str, Any] = {"row": name}
    for figure, title in (("accuracy", "accuracy"), ("f1", "F1"), ("auc", "AUC")):
        row[title] = figures[figure][0]
    row["AUC low"], row["AUC high"] = figures["auc"][1:]
    row["AUC image only"] = figures["auc_image_only"][0]
    titles = [f"paper {title} {place}" for place in ("AIIMS 1", "AIIMS 2") for title in ("acc.", "F1", "AUC")]
    return row | dict(zip(titles, paper or [None] * len(titles), strict=True))


def publish(out: Path, name: str, rows: Sequence[Mapping[str, Any]], remarks: str) -> None:
    """CSV, Markdown and a figure of the AUCs. Raises OutputError."""
    from common.io.files import write_text
    from common.report.score_figures import plot_variants

    table, text = format_rows(rows)
    write_text(out / f"{name}.csv", table)
    write_text(out / f"{name}.md", f"{text}\n{remarks}\n")
    bars = {row["row"]: (row["AUC"], _half(row)) for row in rows}
    plot_variants(out / f"{name}.png", bars, "AUC", NOTE)
    print(text)


def _half(row: Mapping[str, Any]) -> float:
    low, high = row["AUC low"], row["AUC high"]
    return float("nan") if low is None or high is None else (high - low) / 2
