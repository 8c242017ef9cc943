"""From rows to Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from scale_selector.verdict import DECIDED, EQUIVALENT, NO_FIT, WIDEN

Row = dict[str, Any]
PAPER_SHARES = (0.56, 0.85)  # within one and two steps, 100 points of one class (Penkin et al. 2023, Fig. 5)


def point_table(points: Sequence[Row], key: str, keep: Callable[[Row], bool] = lambda row: True) -> str:
    """Share of points near the truth, one line per value of `key`, two columns per classifier."""
    classifiers = sorted({row["classifier"] for row in points})
    head = [f"{name}: {what}" for name in classifiers for what in ("1 step", "2 steps", "mean step")]
    lines = []
    for value in dict.fromkeys(row[key] for row in points if keep(row)):
        cells = []
        for name in classifiers:
            mine = [r for r in points if keep(r) and r["classifier"] == name and r[key] == value]
            cells += _near(np.array([row["steps_off"] for row in mine]))
        lines.append([str(value) or "(border)", *cells])
    return table([key, *head], lines)


def _near(off: np.ndarray) -> list[str]:
    if not len(off):
        return ["-", "-", "-"]
    return [percent(np.abs(off) <= 1), percent(np.abs(off) <= 2), f"{off.mean():+.1f}"]


def verdict_table(rows: Sequence[Row], classifier: str, condition: str = "plain") -> str:
    """One line per criterion and aggregation: right, off, and the abstentions by kind."""
    mine = [row for row in rows if row["condition"] == condition and row["classifier"] == classifier]
    groups = dict.fromkeys((row["criterion"], row["aggregation"]) for row in mine)
    lines = []
    for criterion, aggregation in groups:
        part = [r for r in mine if (r["criterion"], r["aggregation"]) == (criterion, aggregation)]
        decided = [row for row in part if row["decision"] == DECIDED]
        off = np.array([abs(row["steps_off"]) for row in decided], dtype=int)
        kinds = Counter(row["decision"] for row in part)
        named = [row for row in part if row["steps_off"] is not None]
        best = np.array([abs(row["steps_off"]) <= 1 for row in named])
        counts = [int((off <= 1).sum()), int((off == 2).sum()), int((off > 2).sum())]
        counts += [kinds[kind] for kind in (WIDEN, EQUIVALENT, NO_FIT)]
        shares = [f"{count / len(part):.0%}" for count in counts]
        lines.append([criterion, aggregation, *shares, f"{best.sum() / len(part):.0%}"])
    head = [
        "criterion",
        "aggregation",
        "right (1 step)",
        "2 steps off",
        "wrong",
        "widen",
        "equivalent",
        "no fit",
    ]
    return table([*head, "named within 1 step"], lines)


def condition_table(rows: Sequence[Row], criterion: str, aggregation: str) -> str:
    """What the default says about slides with other metadata and other content."""
    chosen = [row for row in rows if (row["criterion"], row["aggregation"]) == (criterion, aggregation)]
    lines = []
    for condition, classifier in dict.fromkeys((row["condition"], row["classifier"]) for row in chosen):
        part = [r for r in chosen if (r["condition"], r["classifier"]) == (condition, classifier)]
        agrees = Counter(str(row["content_agrees"]) for row in part)
        estimates = [row["content_mpp"] for row in part if row["content_mpp"] is not None]
        lines.append(
            [
                condition,
                classifier,
                str(len(part)),
                _counts(
                    row["decision"] + (f" ({row['direction']})" if row["direction"] else "") for row in part
                ),
                f"{agrees['True']} / {agrees['False']} / {agrees['None']}",
                f"{np.median(estimates):.3f}" if estimates else "-",
                str(sum(row["contradictions"] > 0 for row in part)),
            ]
        )
    head = ["slides", "classifier", "n", "verdicts", "content agrees yes / no / no opinion"]
    return table([*head, "median estimate (um/px)", "doctor contradicts"], lines)


def _counts(values: Iterable[str]) -> str:
    return ", ".join(f"{count} {value}" for value, count in Counter(values).most_common())


def percent(hits: np.ndarray) -> str:
    """Share with a 95 % Wald interval's half width."""
    share = float(np.mean(hits))
    return f"{share:.0%} ± {1.96 * np.sqrt(share * (1 - share) / len(hits)):.0%}"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
