"""Finished rows on disk: what an interrupted class map need not compute again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import OutputError
from common.io.files import atomic_path

ROWS_FILE = "rows.f32"
STATE_FILE = "state.json"


class RowStore:
    """Rows of float32 numbers, appended to one file; `state.json` holds the key and how many count.

    The rows reach the disk (fsync) before the state says so. Whatever stands behind the counted rows, or
    belongs to another key, is discarded. They are written plainly, not through a memory map, so that a full
    disk is an error and not a crash.

    Args:
        folder: made if it is missing; nobody else's files are touched.
        key: what the rows depend on (JSON values).
        row_shape: shape of one row.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], row_shape: tuple[int, ...]) -> None:
        self.folder = folder
        self.row_shape = row_shape
        self.key = json.loads(json.dumps(key))
        self.row_bytes = 4 * int(np.prod(row_shape))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.finished = self._recover()
            with self.rows_path.open("ab") as file:
                file.truncate(self.finished * self.row_bytes)
        except OSError as error:
            raise self._refusal(error) from error

    @property
    def rows_path(self) -> Path:
        return self.folder / ROWS_FILE

    @property
    def state_path(self) -> Path:
        return self.folder / STATE_FILE

    def append(self, rows: np.ndarray) -> None:
        """Add finished rows, (n, *row_shape). Raises OutputError (disk full); the rows before it stay."""
        try:
            with self.rows_path.open("ab") as file:
                file.write(np.ascontiguousarray(rows, dtype=np.float32).tobytes())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._refusal(error) from error
        self.finished += len(rows)
        self._save_state()

    def read(self) -> np.ndarray:
        """All finished rows, (n, *row_shape), as a read-only memory map."""
        shape = (self.finished, *self.row_shape)
        return np.memmap(self.rows_path, dtype=np.float32, mode="r", shape=shape)

    def _recover(self) -> int:
        try:
            state = json.loads(self.state_path.read_text(encoding="utf-8"))
            counted = int(state["finished"]) if state["key"] == self.key else 0
            return min(counted, self.rows_path.stat().st_size // self.row_bytes)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return 0

    def _save_state(self) -> None:
        with atomic_path(self.state_path) as temporary, temporary.open("w", encoding="utf-8") as file:
            json.dump({"key": self.key, "finished": self.finished}, file)
            file.flush()
            os.fsync(file.fileno())

    def _refusal(self, error: OSError) -> OutputError:
        reason = error.strerror or type(error).__name__
        return OutputError(
            f"class map: expected room for its rows in output_dir, got '{reason}': free space and start "
            "again; finished rows are kept"
        )
