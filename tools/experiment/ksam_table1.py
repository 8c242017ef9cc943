"""Table 1 and Fig. 5 of the KSAM paper on your data: KSAM beside its peers, on one split.

    python3 tools/experiment/ksam_table1.py --datalist DATALIST.json --output out/table1 \
        --ksam run/delta.safetensors [--peers persam litemedsam_box20 unet] [--epochs 300]

The rows stand in ksam_peers.json, in the paper's order. Rows that are trained are trained on the datalist's
training part, with KSAM's frames, augmentation, loss and number of pictures; templates come from the training
part too, the same ones for every row. Rows called oracle take points or boxes from the truth. A row whose
weights are not there is left out and named. Writes table1.csv, .md and .png (Fig. 5), and one folder for each
row with cases.csv and metrics.json; a finished row is not repeated.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from experiment.command import ROOT, format_rows
from experiment.ksam_runs import start

if TYPE_CHECKING:
    from experiment.ksam_peers.rows import Row, Table
    from experiment.ksam_peers.run import Result

CONFIG = Path(__file__).with_name("ksam_peers.json")
FIGURE_NOTE = "The same test slices in every column, the first answer of each method; not for diagnosis."


def main(arguments: list[str]) -> None:
    """Run and write. Raises BundleError."""
    options = parse(arguments)
    from experiment.ksam_peers.rows import find_missing, read_table
    from experiment.ksam_peers.run import RowRunner, read_material
    from experiment.peer_rows import choose_rows

    given = {"epochs": options.epochs, "seed": options.seed}
    table = read_table(options.config, {key: value for key, value in given.items() if value is not None})
    material = read_material(options.datalist, options.part, options.templates, table.training.seed)
    runner = RowRunner(material, table.training, options.output, not options.no_hd95, options.pictures)
    results: dict[str, Result] = {}
    left_out: dict[str, str] = {}
    rows = [name_delta(row, options) for row in choose_rows(table.rows, options.peers)]
    for row in rows:
        missing = find_missing(row, ROOT)
        if missing is None:
            print(f"{row.name} ...", flush=True)
            results[row.id] = runner.run(row, ROOT)
        else:
            print(f"{row.name} is left out: {missing}")
            left_out[row.name] = missing
    publish(options.output, table, [row for row in rows if row.id in results], results, left_out, material)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="KSAM beside its peers (Table 1).", allow_abbrev=False)
    parser.add_argument("--datalist", type=Path, required=True, help="training, validation and test patients")
    parser.add_argument("--output", type=Path, required=True, help="folder for rows, table and figure")
    parser.add_argument("--peers", nargs="+", metavar="ID", help="rows of the config; all if left out")
    parser.add_argument("--epochs", type=int, help="of every row that is trained (config: 300, the paper's)")
    parser.add_argument("--ksam", type=Path, metavar="DELTA", help="KSAM's own row")
    parser.add_argument("--one-prompt", type=Path, metavar="DELTA", help="the ablation row KP+PM")
    parser.add_argument("--base", type=Path, help="backbone's weights of both deltas (config: LiteMedSAM's)")
    parser.add_argument("--config", type=Path, default=CONFIG, help="rows and settings (ksam_peers.json)")
    parser.add_argument("--part", default="test", help="test, validation or training")
    parser.add_argument("--templates", type=int, default=5, help="for each structure; prompts of oracle rows")
    parser.add_argument("--pictures", type=int, default=4, help="cases in the figure")
    parser.add_argument("--no-hd95", action="store_true", help="spare the distances")
    parser.add_argument("--seed", type=int, help="of templates, prompts and training")
    return parser.parse_args(arguments)


def name_delta(row: Row, options: argparse.Namespace) -> Row:
    """KSAM's rows with the deltas of the command line."""
    if row.family != "ksam":
        return row
    delta = options.one_prompt if row.id == "one_prompt" else options.ksam
    named = {} if delta is None else {"delta": str(delta.resolve())}
    base = row.weights if options.base is None else str(options.base.resolve())
    return replace(row, weights=base, arguments={**row.arguments, **named})


def publish(
    out: Path,
    table: Table,
    rows: list[Row],
    results: dict[str, Result],
    left_out: dict[str, str],
    material: Any,
) -> None:
    """CSV, Markdown and figure.

    Raises:
        ConfigError: no row could be run.
        OutputError: the folder cannot be written.
    """
    from common.errors import ConfigError
    from common.io.files import write_text
    from experiment.ksam_peers.figure import plot_methods
    from experiment.ksam_peers.table import NOTE, make_line
    from experiment.peer_rows import format_left_out

    if not rows:
        raise ConfigError(
            f"peers: expected at least one row whose weights are there, got none of {len(left_out)}: "
            "python3 tools/weights.py get lite-medsam"
        )
    unit = "px" if material.task.modality == "picture" else "mm"
    lines = [make_line(row, results[row.id].rows, table, unit) for row in rows]
    content, text = format_rows(lines)
    write_text(out / "table1.csv", content)
    write_text(out / "table1.md", f"{text}\n{NOTE}\n\n{format_left_out(left_out, table.absent)}")
    columns = {row.name: results[row.id].shown for row in rows}
    plot_methods(out / "table1.png", columns, material.task.structures, FIGURE_NOTE)
    print(text)


if __name__ == "__main__":
    sys.exit(start(main))
