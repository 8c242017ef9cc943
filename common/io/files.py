"""Results appear whole or not at all: write to a temporary name, then rename."""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OutputError


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it on success, remove it on any error.

    The temporary name keeps the suffixes of the target, because writers choose their format by them.

    Raises:
        OutputError: the folder cannot be made, or writing or renaming failed (permissions, disk full).
    """
    target = Path(target)
    temporary = target.with_name(f".{secrets.token_hex(4)}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(
            f"{target.name}: expected a writable place, got '{reason}': free space or change output_dir"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text. Raises OutputError."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, payload: Any) -> None:
    """Write standard JSON: numpy values become Python's, NaN and infinities null. Raises OutputError."""
    write_text(path, json.dumps(plain_json(payload), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def plain_json(value: Any) -> Any:
    """The same as values of standard JSON: numpy's as Python's, paths as text, NaN and infinities as null."""
    if isinstance(value, dict):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain_json(value.tolist())
    if isinstance(value, np.generic):
        return plain_json(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
