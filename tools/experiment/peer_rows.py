"""Tables of peers, whatever the bundle: rows from a JSON config, chosen by name, what is missing named."""

from __future__ import annotations

import difflib
import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from common.errors import ConfigError


class Named(Protocol):
    """A row; its id is short and its own."""

    @property
    def id(self) -> str: ...


RowT = TypeVar("RowT", bound=Named)


def read_rows(
    path: Path, read_row: Callable[[Mapping[str, Any], str], RowT]
) -> tuple[dict[str, Any], tuple[RowT, ...]]:
    """Read a config.

    Args:
        path: JSON object with "peers", a list.
        read_row: makes a row of an entry, given the file's name for messages.

    Returns:
        The whole content, and its rows.

    Raises:
        ConfigError: not readable, or an id twice.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(read_row(entry, path.name) for entry in content["peers"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{path.name}: expected a JSON object with peers, got '{type(error).__name__}': correct the file"
        ) from error
    ids = [row.id for row in rows]
    if len(set(ids)) < len(ids):
        raise ConfigError(f"{path.name}: expected an id of its own for every peer, got one twice: rename it")
    return content, rows


def check_entry(entry: Mapping[str, Any], known: Collection[str], needed: Collection[str], name: str) -> None:
    """Raises ConfigError: an entry of the config with an unknown key, or without one that is needed."""
    unknown, lacking = sorted(set(entry) - set(known)), sorted(set(needed) - set(entry))
    if unknown or lacking:
        raise ConfigError(
            f"{name}: expected peers with {', '.join(sorted(known))}, got one with unknown {unknown} and "
            f"without {lacking}: correct it"
        )


def choose_rows(rows: Sequence[RowT], wanted: Sequence[str] | None) -> list[RowT]:
    """The rows with these ids, in the table's order; None for all.

    Raises:
        ConfigError: an unknown id; the nearest one is named.
    """
    known = [row.id for row in rows]
    for name in wanted or ():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"peers: expected ids of the config, got '{name}': {hint}")
    return [row for row in rows if wanted is None or row.id in wanted]


def check_arguments(
    builder: Callable[..., Any], fixed: int, arguments: Mapping[str, Any], row: str, family: str
) -> None:
    """Refuse arguments that a family's builder does not take.

    Args:
        builder: of the family.
        fixed: how many positional arguments it is given besides.
        arguments: of the row.
        row: its id, for the message.
        family: its name, for the message.

    Raises:
        ConfigError: an unknown argument, or one that lacks.
    """
    try:
        inspect.signature(builder).bind(*[None] * fixed, **arguments)
    except TypeError as error:
        raise ConfigError(
            f"{row}: expected arguments of {family}, got '{error}': correct arguments"
        ) from error


def format_left_out(left_out: Mapping[str, str], absent: Mapping[str, str]) -> str:
    """Markdown lists of what was not run, and of what the paper has and we have not."""
    parts = []
    for title, entries in (("Not run", left_out), ("Rows of the paper without a peer here", absent)):
        if entries:
            parts += [f"{title}:", "", *(f"- {name}: {reason}" for name, reason in entries.items()), ""]
    return "\n".join(parts)
