"""Table 1 as CSV and Markdown, in the paper's order and beside the paper's figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ksam.evaluation_table import MEAN

from .rows import Row, Table

PAPER_MEAN = "mean"
INPUT_WORDS = {
    "oracle": "oracle: prompts taken from the truth",
    "template": "labelled slices of training patients",
    "none": "nothing",
}
NOTE = (
    "Dice of the test patients: the mean over answers (templates, or drawn prompts) of the mean over "
    "patients; sd over answers; 95 % interval by a bootstrap over patients. Oracle rows are told where the "
    "truth is and that it is there: they are not comparable with rows that are not. Columns named paper are "
    "the paper's own figures on its own data, KAS or REFUGE."
)


def choose_paper_set(table: Table, structures: Sequence[str]) -> str | None:
    """The paper's data set that has these structures, None where neither has one of them."""
    counts: dict[str, int] = {}
    for figures in table.paper.values():
        for name, values in figures.items():
            counts[name] = max(counts.get(name, 0), len(set(values) & set(structures)))
    best = max(counts, key=lambda name: counts[name], default=None)
    return best if best is not None and counts[best] else None


def make_line(
    row: Row, rows: Mapping[str, Mapping[str, Any]], table: Table, unit: str
) -> dict[str, str | float | None]:
    """One line of the table.

    Args:
        row: the method.
        rows: of `summarize`: structure and "mean" -> scores.
        table: for the paper's figures.
        unit: of distances.
    """
    names = [name for name in rows if name != MEAN]
    paper = table.paper.get(row.paper or "", {})
    own = paper.get(choose_paper_set(table, names) or "", {})
    mean = rows[MEAN]
    low, high = mean["dice_interval"] or (math.nan, math.nan)
    line: dict[str, str | float | None] = {"type": row.type, "method": row.name}
    line["told at test time"] = INPUT_WORDS[row.input]
    line |= {name: rows[name]["dice"] for name in names}
    line |= {"mean": mean["dice"], "sd": mean["dice_sd"], "from": low, "to": high}
    line |= {f"HD95 {name} ({unit})": rows[name]["hd95"] for name in names}
    line["all templates together"] = mean["ensemble_dice"]
    line["the paper's row"] = row.paper
    line |= {f"{name} (paper)": own.get(name) for name in names if _is_known(table, name)}
    for data in ("KAS", "REFUGE"):
        line[f"mean on {data} (paper)"] = paper.get(data, {}).get(PAPER_MEAN)
    return {key: None if value != value else value for key, value in line.items()}


def _is_known(table: Table, structure: str) -> bool:
    return any(structure in values for row in table.paper.values() for values in row.values())
