"""Plain words that the pictures and reports of all bundles share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def weights_note(weights: Mapping[str, Any]) -> str:
    """What must stand in plain sight beside a result, "" for weights of clinical purpose."""
    if weights["purpose"] == "clinical":
        return ""
    return f"{weights['purpose']} weights, not for diagnosis"


def join_words(words: Sequence[str], last: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def capitalise(text: str) -> str:
    """First letter large, the others as they are."""
    return text[:1].upper() + text[1:]


def describe_details(record: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The technical part of a report: titles with names and values.

    Args:
        record: of a result, with "weights", "engine", "settings", "versions" and perhaps "seconds".
    """
    groups = {
        "Weights": record["weights"],
        "Engine": record["engine"],
        "Settings": record["settings"],
        "Seconds": record.get("seconds", {}),
        "Versions": record["versions"],
    }
    return [
        (title, [(key, to_plain(value)) for key, value in rows.items()])
        for title, rows in groups.items()
        if rows
    ]


def to_plain(value: Any) -> str:
    """A value of a record as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {to_plain(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(to_plain, value))
    if value is None:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
