"""Fig. 6 of the KSAM paper on your data: from one task to another, and what is kept of the first.

    python3 tools/experiment/ksam_move.py --first FUNDUS.json --second KIDNEY.json --out out/move \
        --train epochs=100 backbone=lite --evaluate templates=5

Trains on the first datalist, goes on from there with the same settings on the second, and evaluates both on
their validation patients every `val_interval` epochs (10, as the paper). At the end both deltas are evaluated
on both test sets, each with templates of its own training patients. Writes move.csv, .md, .png and
move_curves.csv. What is finished is not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from experiment.command import format_rows
from experiment.ksam_runs import HISTORY, RUNS, add_common, read_settings, start

INTERVAL = 10
NOTE = "Mean Dice of validation patients, templates of training patients; epochs on the second task."


def main(arguments: list[str]) -> None:
    """Run and write. Raises BundleError."""
    parser = argparse.ArgumentParser(description="Moving KSAM to another task.", allow_abbrev=False)
    parser.add_argument("--first", type=Path, required=True, help="datalist of the first task")
    parser.add_argument("--second", type=Path, required=True, help="datalist of the task to move to")
    add_common(parser)
    options = parser.parse_args(arguments)
    shared, testing = read_settings(options.train), read_settings(options.evaluate)
    interval = int(shared.get("val_interval", INTERVAL))
    first = RUNS.train(options.out / "first", {**shared, "datalist": options.first})
    moving = {"start_from": str(first), "watch": [str(options.first)], "watch_interval": interval}
    second = RUNS.train(options.out / "second", {**shared, **moving, "datalist": options.second})
    rows = []
    for stage, delta in (("before the move", first), ("after the move", second)):
        for task, datalist in (("first", options.first), ("second", options.second)):
            folder = options.out / f"{task}_{stage.partition(' ')[0]}"
            result = RUNS.evaluate(folder, delta, datalist, testing)
            rows.append(describe(stage, result))
    publish(options.out, rows, read_curves(options.out / "second" / HISTORY))


def describe(stage: str, result: dict[str, Any]) -> dict[str, Any]:
    """One row of the table."""
    mean = result["structures"]["mean"]
    return {
        "weights": stage,
        "task": result["datalist"]["name"],
        "mean Dice": mean["dice"],
        "sd over templates": mean["dice_sd"],
        "patients": result["datalist"]["patients"],
    }


def read_curves(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Mean Dice by epoch of the second task ("second") and of every watched one, by its name."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in json.loads(path.read_text(encoding="utf-8")):
        for key, value in row.items():
            if key == "mean_dice" or key.endswith("_mean_dice"):
                name = key.removesuffix("mean_dice").rstrip("_") or "second task"
                curves.setdefault(name, []).append((row["epoch"], value))
    return curves


def publish(out: Path, rows: list[dict[str, Any]], curves: dict[str, list[tuple[float, float]]]) -> None:
    """Tables and figure. Raises OutputError."""
    from common.io.files import write_text
    from common.report.score_figures import plot_curves

    table, text = format_rows(rows)
    points = [
        {"task": name, "epoch": epoch, "mean_dice": value}
        for name, curve in curves.items()
        for epoch, value in curve
    ]
    write_text(out / "move.csv", table)
    write_text(out / "move.md", f"{text}\n{format_rows(points)[1]}\n{NOTE}\n")
    write_text(out / "move_curves.csv", format_rows(points)[0])
    plot_curves(out / "move.png", curves, "mean Dice", NOTE)
    print(text)


if __name__ == "__main__":
    sys.exit(start(main))
