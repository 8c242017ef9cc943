"""Table 2 of the KSAM paper on your data: the prompt alone, with Prompt Merge, Knowledge Merge, and both.

    python3 tools/experiment/ksam_ablation.py --datalist DATALIST.json --out out/ablation \
        --train epochs=300 backbone=lite cache_features=8 --evaluate templates=5

Four trainings on the same split, seed and settings, then four evaluations on the test patients. A row that is
finished is not repeated; an interrupted one goes on where it stopped. Writes ablation.csv, .md and .png.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from experiment.command import format_rows
from experiment.ksam_runs import RUNS, add_common, read_settings, start

ROWS = {
    "KP": {"km": False, "pm": False},
    "KP+PM": {"km": False, "pm": True},
    "KP+KM": {"km": True, "pm": False},
    "KP+KM+PM": {"km": True, "pm": True},
}
PAPER_KAS = {"KP": 0.304, "KP+PM": 0.385, "KP+KM": 0.672, "KP+KM+PM": 0.893}
NOTE = "Mean Dice of the test patients; the bar's line is the sd over templates."


def main(arguments: list[str]) -> None:
    """Run and write. Raises BundleError."""
    parser = argparse.ArgumentParser(description="Ablation of KSAM.", allow_abbrev=False)
    parser.add_argument("--datalist", type=Path, required=True, help="training, validation and test patients")
    add_common(parser)
    options = parser.parse_args(arguments)
    training = {"cache_dir": options.out / "features", **read_settings(options.train)}
    testing = read_settings(options.evaluate)
    found: dict[str, dict[str, Any]] = {}
    for name, switches in ROWS.items():
        folder = options.out / name.lower().replace("+", "_")
        delta = RUNS.train(folder / "run", {**training, **switches, "datalist": options.datalist})
        found[name] = RUNS.evaluate(folder / "evaluation", delta, options.datalist, testing)
    publish(options.out, found)


def publish(out: Path, found: dict[str, dict[str, Any]]) -> None:
    """CSV, Markdown and figure. Raises OutputError."""
    from common.io.files import write_text
    from common.report.score_figures import plot_variants

    rows = []
    for name, result in found.items():
        structures = {key: row["dice"] for key, row in result["structures"].items() if key != "mean"}
        mean = result["structures"]["mean"]
        spread = math.nan if mean["dice_sd"] is None else mean["dice_sd"]
        rows.append(
            {"row": name, **structures, "mean": mean["dice"], "sd": spread, "paper (KAS)": PAPER_KAS[name]}
        )
    table, text = format_rows(rows)
    write_text(out / "ablation.csv", table)
    write_text(out / "ablation.md", f"{text}\n{NOTE}\n")
    plot_variants(out / "ablation.png", {r["row"]: (r["mean"], r["sd"]) for r in rows}, "mean Dice", NOTE)
    print(text)


if __name__ == "__main__":
    sys.exit(start(main))
