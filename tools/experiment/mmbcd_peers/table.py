"""Table 1 as lines for CSV and Markdown, in the paper's order and beside the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmbcd.datalist import Entry
from mmbcd.statistics import Interval

from .rows import OURS, Row, Table
from .run import DRAWS, Result
from .scoring import AUC, compare, to_cases

SETS = ("AIIMS 1", "AIIMS 2")
DIFFERENCE, UNANSWERED = "AUC of ours minus this", "without an answer"
SHOWN = {"accuracy": "accuracy", "f1": "F1", AUC: "AUC"}
Line = dict[str, Any]
"""Column -> text, number or None."""

NOTE = (
    "Single mammograms, called malignant from a score of 0.5 on (the likelier of the two classes, prompts or "
    "answers, as in the paper), with 95 % intervals by a bootstrap over patients. Mammograms without "
    "an answer (no region was found, or words other than Yes and No) count as not malignant. LLaVA answers "
    "in words and has no AUC. Columns named paper are the paper's own figures on its own data."
)


def make_lines(
    rows: Sequence[Row], results: Mapping[str, Result], table: Table, entries: Sequence[Entry]
) -> list[Line]:
    """All lines of the table.

    Args:
        rows: that were run, in order.
        results: of each row's id.
        table: for the paper's figures.
        entries: the mammograms that were scored.
    """
    ours = next((results[row.id] for row in rows if row.family == OURS), None)
    lines = []
    for row in rows:
        found, difference = results[row.id], None
        if ours is not None and ours is not found and AUC in found.figures:
            own, other = (to_cases(one.scores, entries) for one in (ours, found))
            difference = compare(own, other, DRAWS, seed=0)
        lines.append(make_line(row, found, table, difference))
    return lines


def make_line(row: Row, result: Result, table: Table, difference: Interval | None) -> Line:
    """One line of the table.

    Args:
        row: the method.
        result: its figures.
        table: for the paper's figures.
        difference: our AUC minus this one's; None for ourselves, without ours, or without an AUC.
    """
    line: Line = {"model": row.name, "weights": row.weights}
    for name, shown in SHOWN.items():
        line |= _spread(shown, result.figures.get(name))
    line |= {name: result.figures[name].value for name in ("sensitivity", "specificity")}
    line |= _spread(DIFFERENCE, difference)
    line[UNANSWERED] = result.unanswered
    line |= list_paper(row, table.paper)
    return {key: None if value != value else value for key, value in line.items()}


def shorten(lines: Sequence[Line]) -> list[Line]:
    """Lines for Markdown: every interval beside its value, the paper's three figures in one place."""
    found: list[Line] = []
    for line in lines:
        short: Line = {key: line[key] for key in ("model", "weights")}
        short |= {name: _join(line, name) for name in (*SHOWN.values(), DIFFERENCE)}
        short[UNANSWERED] = line[UNANSWERED]
        for name in SETS:
            figures = (line[f"{shown} on {name} (paper)"] for shown in SHOWN.values())
            short[f"{name} (paper)"] = " / ".join("-" if x is None else f"{x:g}" for x in figures)
        found.append(short)
    return found


def _join(line: Line, name: str) -> str | None:
    """A value with its interval."""
    value, low, high = (line[key] for key in (name, f"{name} from", f"{name} to"))
    if value is None or low is None or high is None:
        return None if value is None else f"{value:.3f}"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def list_paper(row: Row, paper: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Line:
    """The paper's six figures of a row, None where it has none."""
    own = paper.get(row.paper or "", {})
    return {
        f"{shown} on {name} (paper)": own.get(name, {}).get(key)
        for name in SETS
        for key, shown in SHOWN.items()
    }


def _spread(name: str, found: Interval | None) -> Line:
    value, low, high = found or (None, None, None)
    return {name: value, f"{name} from": low, f"{name} to": high}
