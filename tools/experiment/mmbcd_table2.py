"""Table 2 of the MMBCD paper on your data: vision alone, with text, with attention, with masked words.

    python3 tools/experiment/mmbcd_table2.py --datalist DATALIST.json --out out/table2 \
        --train preset=paper vision_weights=DINO.pth text_folder=roberta-base epochs=100 \
        --evaluate vision_weights=DINO.pth text_folder=roberta-base

Four trainings on the same split, seed and regions, then four evaluations on the test patients. A row that is
finished is not repeated; an interrupted one goes on where it stopped. Writes table2.csv, .md and .png.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from experiment.mmbcd_runs import Paper, publish, read_command, run_row, start, to_row

MASK_RATE = 0.2
ROWS: dict[str, dict[str, Any]] = {
    "vision": {"use_text": False, "mask_rate": 0.0},
    "vision + text": {"use_attention": False, "mask_rate": 0.0},
    "vision + text + attention": {"mask_rate": 0.0},
    "vision + text + attention + mask": {"mask_rate": MASK_RATE},
}
PAPER: dict[str, Paper] = {
    "vision": (0.94, 0.69, 0.928, 0.96, 0.66, 0.900),
    "vision + text": (0.96, 0.79, 0.968, 0.94, 0.60, 0.943),
    "vision + text + attention": (0.96, 0.82, 0.973, 0.95, 0.68, 0.950),
    "vision + text + attention + mask": (0.96, 0.77, 0.970, 0.96, 0.71, 0.946),
}


def main(arguments: list[str]) -> None:
    """Run and write. Raises BundleError."""
    options = read_command("Table 2 of MMBCD.", arguments)
    rows = []
    for name, switches in ROWS.items():
        folder = options.out / name.replace(" ", "").replace("+", "_")
        rows.append(to_row(name, run_row(folder, options, switches, {}), options.level, PAPER[name]))
    remarks = f"Figures of each {options.level} of the test patients; the paper's are of other patients."
    publish(options.out, "table2", rows, remarks)


if __name__ == "__main__":
    sys.exit(start(main))
