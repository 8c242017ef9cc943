"""Do neighbouring slices help? Dice of every kind of 3D consistency beside slice after slice.

    python3 tools/experiment/ksam_consistency.py --base BASE --delta DELTA --datalist FILE --output FILE
    python3 tools/experiment/ksam_consistency.py --base BASE --delta DELTA --image CT --masks kidney=FILE ...

The option goes on by default only if it wins here, over volumes and structures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "bundles" / "ksam_kidney_seg")]
import _venv  # noqa: E402

if __name__ == "__main__":
    _venv.enter_venv()

import numpy as np  # noqa: E402

from common.errors import BundleError  # noqa: E402
from common.io.files import write_json  # noqa: E402
from experiment.ksam_volumes import Case, EncodeOnce, add_arguments, build_network, dice, read_cases  # noqa: E402
from ksam.consistency import Consistency  # noqa: E402
from ksam.inferer import KnowledgePromptInferer  # noqa: E402
from ksam.structures import mask_of  # noqa: E402

PLAIN = "slice by slice"
VARIANTS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "smooth 1.5 mm": {"consistency": Consistency(smooth_mm=1.5)},
    "smooth 3 mm": {"consistency": Consistency(smooth_mm=3.0)},
    "smooth 5 mm": {"consistency": Consistency(smooth_mm=5.0)},
    "neighbours": {"consistency": Consistency(neighbours=True)},
    "neighbours, accept 0.8": {"consistency": Consistency(neighbours=True, accept=0.8)},
    "neighbours, smooth 3 mm": {"consistency": Consistency(neighbours=True, smooth_mm=3.0)},
    "carried": {"carry": True},
}
"""Settings of `KnowledgePromptInferer`; "carried" acts with slices of the volume itself (--own, --image)."""


def main(arguments: list[str]) -> int:
    """Run all variants on all volumes. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Measures 3D consistency.")
    add_arguments(parser)
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        default=list(VARIANTS),
        metavar="NAME",
        help='besides "slice by slice"',
    )
    options = parser.parse_args(arguments)
    try:
        network = build_network(options)
        rows: list[dict[str, Any]] = []
        variants = list(dict.fromkeys([PLAIN, *options.variants]))
        for case in read_cases(options):
            rows += measure(case, network, options.templates, variants)
            write_json(options.output, rows)
            network.forget()
        print(describe(rows))
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def measure(case: Case, network: EncodeOnce, templates: int, variants: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each variant and structure: Dice over the volume, expected Dice."""
    rows = []
    for name in variants:
        inferer = KnowledgePromptInferer(case.task, templates=templates, cache=False, **VARIANTS[name])
        found = inferer.predict_volume(case.voxels, network, slice_mm=case.slice_mm)
        for place, structure in enumerate(found.structures):
            mask = mask_of(found.labels, structure, found.structures)[:, :, case.counted]
            truth = case.masks[structure.name][:, :, case.counted]
            score, expected = dice(mask, truth), float(found.expected_dice[place])
            row = {"case": case.name, "variant": name, "structure": structure.name}
            rows.append({**row, "dice": score, "expected_dice": expected})
            print(f"{case.name}  {name}  {structure.name}  {score:.3f}", flush=True)
    return rows


def describe(rows: list[dict[str, Any]]) -> str:
    """Markdown: mean Dice of each variant, and its difference from slice by slice (mean, wins of all)."""
    plain = {(r["case"], r["structure"]): r["dice"] for r in rows if r["variant"] == PLAIN}
    lines = ["| variant | mean Dice | difference | better in |", "|---|---|---|---|"]
    for name in dict.fromkeys(row["variant"] for row in rows):
        mine = [row for row in rows if row["variant"] == name]
        gains = np.array([row["dice"] - plain[row["case"], row["structure"]] for row in mine])
        mean = np.mean([row["dice"] for row in mine])
        lines.append(f"| {name} | {mean:.3f} | {gains.mean():+.3f} | {(gains > 0).sum()} of {len(gains)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
