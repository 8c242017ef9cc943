"""Table 1 of the MMBCD paper on your data: MMBCD beside CLIP and LLaVA-1.5, on one split.

    python3 tools/experiment/mmbcd_table1.py --datalist DATALIST.json --output out/table1 \
        --detector detector.safetensors --mmbcd mmbcd.safetensors --vision FILE --text FOLDER

The rows stand in mmbcd_peers.json, in the paper's order. They are trained on the datalist's training part;
CLIP's best weights are chosen on its validation part. CLIP sees the regions that MMBCD sees, LLaVA the
complete mammogram; all get the history that concerns the breast. Nothing is downloaded: a row whose files
are not there is left out and named. Writes table1.csv, .md and .png, and one folder for each row with
scores.csv and metrics.json; a finished row is not repeated.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from experiment.command import ROOT, format_rows, run_command

if TYPE_CHECKING:
    from experiment.mmbcd_peers.rows import Row, Table
    from experiment.mmbcd_peers.run import Result
    from mmbcd.evaluate import EvaluationMaterial

CONFIG = Path(__file__).with_name("mmbcd_peers.json")
BUNDLE = ROOT / "bundles" / "mmbcd_mammo"


def main(arguments: list[str]) -> None:
    """Run and write. Raises BundleError."""
    options = parse(arguments)
    from common.training.processes import local_device
    from experiment.mmbcd_peers.rows import find_missing, name_files, read_table
    from experiment.mmbcd_peers.run import RowRunner
    from experiment.mmbcd_peers.views import ViewSource
    from experiment.peer_rows import choose_rows
    from mmbcd.evaluate import EvaluationMaterial
    from mmbcd.regions import build_regions

    given = {"epochs": options.epochs, "seed": options.seed}
    table = read_table(options.config, {key: value for key, value in given.items() if value is not None})
    material = EvaluationMaterial(str(options.datalist), options.part)
    source = ViewSource(
        build_regions(options.detector, options.boxes, **table.regions), options.output / "views"
    )
    runner = RowRunner(material, table, source, options.output, options.device or local_device(), ROOT)
    files = {"weights": options.mmbcd, "vision": options.vision, "text": options.text}
    rows = [name_files(row, files) for row in choose_rows(table.rows, options.peers)]
    results: dict[str, Result] = {}
    left_out: dict[str, str] = {}
    for row in rows:
        missing = find_missing(row, ROOT)
        if missing is None:
            print(f"{row.name}, {row.weights} ...", flush=True)
            results[row.id] = runner.run(row)
        else:
            print(f"{row.name}, {row.weights} is left out: {missing}")
            left_out[f"{row.name}, {row.weights}"] = missing
    publish(options.output, table, [row for row in rows if row.id in results], results, left_out, material)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="MMBCD beside its peers (Table 1).", allow_abbrev=False)
    parser.add_argument("--datalist", type=Path, required=True, help="training, validation and test patients")
    parser.add_argument("--output", type=Path, required=True, help="folder for rows, table and figure")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--detector", type=Path, metavar="FILE", help="finds the regions, the same for all")
    where.add_argument("--boxes", type=Path, help="COCO JSON or text rows in the detector's place")
    parser.add_argument("--peers", nargs="+", metavar="ID", help="rows of the config; all if left out")
    parser.add_argument("--mmbcd", type=Path, metavar="WEIGHTS", help="MMBCD's row, trained on this split")
    parser.add_argument("--vision", type=Path, metavar="FILE", help="MMBCD's vision encoder")
    parser.add_argument("--text", type=Path, metavar="FOLDER", help="MMBCD's text encoder")
    parser.add_argument("--epochs", type=int, help="of every row that is trained (config: 100, LLaVA 3)")
    parser.add_argument("--config", type=Path, default=CONFIG, help="rows and settings (mmbcd_peers.json)")
    parser.add_argument("--part", default="test", help="test, validation or training")
    parser.add_argument("--device", help="of the rows that are trained (the first GPU, else cpu)")
    parser.add_argument("--seed", type=int, help="of training and bootstrap")
    return parser.parse_args(arguments)


def publish(
    out: Path,
    table: Table,
    rows: Sequence[Row],
    results: Mapping[str, Result],
    left_out: Mapping[str, str],
    material: EvaluationMaterial,
) -> None:
    """CSV, Markdown and figure.

    Raises:
        ConfigError: no row could be run.
        OutputError: the folder cannot be written.
    """
    from common.errors import ConfigError
    from common.io.files import write_text
    from experiment.mmbcd_peers.figure import plot_methods
    from experiment.mmbcd_peers.ours import describe_weights
    from experiment.mmbcd_peers.rows import OURS
    from experiment.mmbcd_peers.table import NOTE, make_lines, shorten
    from experiment.peer_rows import format_left_out

    if not rows:
        raise ConfigError(
            f"peers: expected at least one row whose files are there, got none of {len(left_out)}: put them "
            "where the config says, or name MMBCD's with --mmbcd"
        )
    header = material.entries[0].header
    notes = [f"{header.name}, {material.part} part, {header.history} histories."]
    notes += [describe_weights(row.files["weights"]) for row in rows if row.family == OURS]
    lines = make_lines(rows, results, table, material.entries)
    (content, _), (_, text) = format_rows(lines), format_rows(shorten(lines))
    write_text(out / "table1.csv", content)
    write_text(out / "table1.md", f"{text}\n{NOTE} {' '.join(notes)}\n\n{format_left_out(left_out, {})}")
    methods = {f"{row.name}, {row.weights}": results[row.id].figures for row in rows}
    ours = next((f"{row.name}, {row.weights}" for row in rows if row.family == OURS), None)
    plot_methods(out / "table1.png", methods, ours, " ".join([*notes, "Not for diagnosis."]))
    print(text)


if __name__ == "__main__":
    sys.exit(run_command(main, BUNDLE))
