"""How far two results of the same input lie apart: KSAM's label maps, MMBCD's scores.

python -m monai.bundle run ... --precision fp32 --output_dir out/fp32
python -m monai.bundle run ... --precision bf16 --output_dir out/bf16
python3 tools/benchmark/precision.py out/fp32 out/bf16
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _base
import _venv
from _base import ToolError, say

if __name__ == "__main__":
    _venv.enter_venv()

import nibabel as nib
import numpy as np


def main(arguments: list[str]) -> int:
    """Print one line for each structure and each score. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Compares two results of the same input.")
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    options = parser.parse_args(arguments)
    try:
        lines = [
            *compare_masks(options.first, options.second),
            *compare_scores(options.first, options.second),
        ]
        if not lines:
            raise ToolError(
                f"expected label maps or result.json in {options.first}, got none: name an output_dir"
            )
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    for line in lines:
        say(line)
    return 0


def find_pairs(first: Path, second: Path, pattern: str) -> Iterator[tuple[Path, Path]]:
    """Files of that name in both folders. Raises ToolError: one is missing in the second."""
    for file in sorted(first.rglob(pattern)):
        other = second / file.relative_to(first)
        if not other.is_file():
            raise ToolError(f"expected {other}, got no file: run the same input into both folders")
        yield file, other


def compare_masks(first: Path, second: Path) -> Iterator[str]:
    """Dice of every value of every label map. Raises ToolError."""
    for pair in find_pairs(first, second, "*_seg.nii.gz"):
        one, other = (np.asarray(nib.load(file).dataobj) for file in pair)
        for value in sorted({*np.unique(one), *np.unique(other)} - {0}):
            masks = one == value, other == value
            dice = 2 * (masks[0] & masks[1]).sum() / (masks[0].sum() + masks[1].sum())
            sizes = f"{masks[0].sum()} and {masks[1].sum()}"
            yield f"{pair[0].name}: value {value}: Dice {dice:.4f} of {sizes} voxels"


def compare_scores(first: Path, second: Path) -> Iterator[str]:
    """Difference of every score of every study. Raises ToolError."""
    for pair in find_pairs(first, second, "result.json"):
        one, other = (list_scores(json.loads(file.read_text(encoding="utf-8"))) for file in pair)
        for name, score in one.items():
            if None in (score, other.get(name)):
                yield f"{pair[0].parent.name} {name}: {score} and {other.get(name)}"
            else:
                yield f"{pair[0].parent.name} {name}: {score:.4f}, differs by {abs(score - other[name]):.4f}"


def list_scores(record: dict[str, Any]) -> dict[str, Any]:
    """Raw scores of study, breasts and views by name."""
    rows = {"study": record["study"]}
    rows |= {f"breast {row['laterality']}": row for row in record["breasts"]}
    rows |= {row["name"]: row for row in record["images"]}
    return {name: row["score"] for name, row in rows.items()}


if __name__ == "__main__":
    _base.run_tool(main)
