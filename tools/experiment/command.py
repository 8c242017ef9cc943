"""What every experiment of a bundle needs: to be started as a command, and to write one table twice."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def run_command(main: Callable[[list[str]], None], bundle: Path) -> int:
    """Run an experiment as a command: one line on standard error for a refusal. Returns the exit status.

    Args:
        main: takes the words of the command line.
        bundle: whose package `main` imports.
    """
    sys.path[:0] = [str(ROOT), str(ROOT / "tools"), str(bundle)]
    import _venv

    _venv.enter_venv()
    from common.errors import BundleError

    try:
        main(sys.argv[1:])
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def format_rows(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The same rows as CSV and as Markdown; numbers with three digits in the latter."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    lines = [f"| {' | '.join(rows[0])} |", f"|{'---|' * len(rows[0])}"]
    lines += [f"| {' | '.join(_cell(value) for value in row.values())} |" for row in rows]
    return stream.getvalue(), "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
