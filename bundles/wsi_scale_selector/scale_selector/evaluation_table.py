"""Per-class accuracy at several scales, as in the paper's Table 1, with its uncertainty."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

INTERVAL = (2.5, 97.5)


def class_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share of each class's patches that are recognised; NaN for a class without patches.

    Args:
        confusion: (..., C, C) counts, rows are the truth.

    Returns:
        (..., C)
    """
    totals = confusion.sum(-1)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.divide(hits, totals, out=np.full(hits.shape, np.nan), where=totals > 0)


def class_f1(confusion: np.ndarray) -> np.ndarray:
    """F1 = 2 TP / (2 TP + FP + FN) of each class; NaN for a class without patches.

    Args:
        confusion: (..., C, C) counts, rows are the truth.

    Returns:
        (..., C)
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    truths, votes = confusion.sum(-1), confusion.sum(-2)
    return np.divide(2 * hits, truths + votes, out=np.full(hits.shape, np.nan), where=truths > 0)


def mean_over_classes(values: np.ndarray) -> np.ndarray:
    """Mean of (..., C) over the classes that have patches; NaN where none has."""
    present = ~np.isnan(values)
    count = present.sum(-1)
    total = np.where(present, values, 0).sum(-1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def resample_groups(counts: np.ndarray, times: int, seed: int) -> np.ndarray:
    """Bootstrap: confusion matrices of slides drawn with replacement, the same draw at every scale.

    Args:
        counts: (S, G, C, C) for S scales and G groups.
        times: number of draws.
        seed: same seed, same draws.

    Returns:
        (times, S, C, C)
    """
    groups = counts.shape[1]
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=times)
    return np.einsum("tg,sgij->tsij", drawn, counts)


def summarize(
    counts: np.ndarray, scales: Sequence[Mapping[str, Any]], names: Sequence[str], times: int, seed: int
) -> list[dict[str, Any]]:
    """One row per scale.

    Args:
        counts: (S, G, C, C) int, confusion of every scale and group; rows are the truth.
        scales: (S,) what to copy into each row ("scale", "mpp").
        names: (C,) class names.
        times: bootstrap draws; intervals are None with fewer than two groups.
        seed: of the bootstrap.

    Returns:
        Rows with patches, mean_accuracy, macro_f1, their intervals, best_share (share of the draws in which
        the scale had the highest mean accuracy), classes and confusion.
    """
    total = counts.sum(1)
    accuracy, f1 = class_accuracy(total), class_f1(total)
    draws = resample_groups(counts, times, seed) if counts.shape[1] > 1 else None
    means = mean_over_classes(class_accuracy(draws)) if draws is not None else None
    rows = []
    for i, scale in enumerate(scales):
        own = draws[:, i] if draws is not None else None
        rows.append(
            {
                **scale,
                "patches": int(total[i].sum()),
                "mean_accuracy": float(mean_over_classes(accuracy[i])),
                "mean_accuracy_interval": _interval(means[:, i] if means is not None else None),
                "macro_f1": float(mean_over_classes(f1[i])),
                "macro_f1_interval": _interval(mean_over_classes(class_f1(own)) if own is not None else None),
                "best_share": _best_share(means, i),
                "classes": {
                    name: {
                        "patches": int(total[i, c].sum()),
                        "accuracy": float(accuracy[i, c]),
                        "accuracy_interval": _interval(
                            class_accuracy(own)[:, c] if own is not None else None
                        ),
                        "f1": float(f1[i, c]),
                    }
                    for c, name in enumerate(names)
                },
                "confusion": total[i].tolist(),
            }
        )
    return rows


def format_markdown(rows: Sequence[Mapping[str, Any]], groups: int) -> str:
    """The table as people read it: accuracy in percent, a row per scale, as the paper's Table 1."""
    names = [name for name in rows[0]["classes"] if any(row["classes"][name]["patches"] for row in rows)]
    head = ["scale", *names, "mean", "95 % interval", "macro F1", "patches"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = [_percent(row["classes"][name]["accuracy"]) for name in names]
        low, high = row["mean_accuracy_interval"] or (float("nan"), float("nan"))
        interval = f"{_percent(low)} to {_percent(high)}"
        tail = [_percent(row["mean_accuracy"]), interval, _percent(row["macro_f1"]), str(row["patches"])]
        lines.append(f"| {' | '.join([row['scale'], *cells, *tail])} |")
    note = f"Accuracy per class in percent; the interval is over {groups} patients or slides (bootstrap)."
    return "\n".join([*lines, "", note, ""])


def format_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per scale and class."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["scale", "mpp", "class", "patches", "accuracy", "low", "high", "f1"])
    for row in rows:
        for name, entry in row["classes"].items():
            low, high = entry["accuracy_interval"] or (float("nan"),) * 2
            numbers = [f"{v:.6f}" if v == v else "" for v in (entry["accuracy"], low, high, entry["f1"])]
            writer.writerow([row["scale"], row["mpp"], name, entry["patches"], *numbers])
    return stream.getvalue()


def _interval(values: np.ndarray | None) -> list[float] | None:
    if values is None or np.isnan(values).all():
        return None
    return [float(v) for v in np.nanpercentile(values, INTERVAL)]


def _best_share(means: np.ndarray | None, scale: int) -> float | None:
    if means is None:
        return None
    best = np.where(np.isnan(means), -np.inf, means).argmax(1)
    return float((best == scale).mean())


def _percent(value: float) -> str:
    return f"{100 * value:.2f}" if value == value else "-"
