"""A sheet of mammograms as they were read, with the box of the breast, to be checked by eye.

    python3 tools/experiment/mmbcd_reading.py STUDIES [--output FILE.png]

STUDIES is a study or a folder or zip of studies; each is a row, the right breast left of the left one.
bundles/mmbcd_mammo/docs/reading.png was written from the sample `mammograms` of tools/weights.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiment.command import ROOT, run_command

if TYPE_CHECKING:
    import numpy as np

    from common.io.mammogram import Mammogram

BUNDLE = ROOT / "bundles" / "mmbcd_mammo"
HEIGHT_PX = 260


def main(words: list[str]) -> None:
    """Read and draw. Raises InputError, OutputError."""
    parser = argparse.ArgumentParser(description="Mammograms as they were read, with the breast's box.")
    parser.add_argument("studies", type=Path, help="a study, or a folder or zip of studies")
    parser.add_argument("--output", type=Path, default=BUNDLE / "docs" / "reading.png", metavar="FILE.png")
    options = parser.parse_args(words)
    from common.io.mammogram import find_studies, open_study

    rows = []
    for case in find_studies(options.studies):
        study = open_study(case)
        rows.append([draw(one) for one in study.stream()])
        for name, reason in study.left_out:
            print(f"{case.name}: left out {name}: {reason}")
    write_sheet(rows, options.output)
    print(options.output)


def draw(mammogram: Mammogram) -> np.ndarray:
    """(HEIGHT_PX, W) uint8: the small picture with the box's outline in white."""
    import cv2
    import numpy as np

    factor = HEIGHT_PX / mammogram.pixels.shape[0]
    width = round(mammogram.pixels.shape[1] * factor)
    small = cv2.resize(mammogram.pixels, (width, HEIGHT_PX), interpolation=cv2.INTER_AREA)
    y0, x0, y1, x1 = (round(edge * factor) for edge in mammogram.breast_px)
    cv2.rectangle(small, (x0, y0), (x1 - 1, y1 - 1), 1.0, 1)
    return np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)


def write_sheet(rows: list[list[np.ndarray]], path: Path) -> None:
    """Rows of pictures side by side on grey. Raises OutputError: cannot be written."""
    import numpy as np
    from PIL import Image

    from common.io.files import atomic_path

    gap = 8
    widths = [sum(one.shape[1] + gap for one in row) - gap for row in rows]
    sheet = np.full((len(rows) * (HEIGHT_PX + gap) - gap, max(widths)), 96, np.uint8)
    for number, row in enumerate(rows):
        left, top = 0, number * (HEIGHT_PX + gap)
        for one in row:
            sheet[top : top + HEIGHT_PX, left : left + one.shape[1]] = one
            left += one.shape[1] + gap
    with atomic_path(path) as temporary:
        Image.fromarray(sheet).save(temporary, optimize=True)


if __name__ == "__main__":
    sys.exit(run_command(main, BUNDLE))
