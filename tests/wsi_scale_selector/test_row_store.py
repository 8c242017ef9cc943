"""Rows survive an interruption; nothing else does."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from common.errors import OutputError
from scale_selector.row_store import RowStore

KEY = {"slide": "a", "grid": [1, 2.5]}


def rows(count: int, start: int = 0) -> np.ndarray:
    return np.arange(start * 6, (start + count) * 6, dtype=np.float32).reshape(count, 2, 3)


def test_rows_are_found_again(tmp_path: Path) -> None:
    RowStore(tmp_path / "new" / "folder", KEY, (2, 3)).append(rows(4))
    again = RowStore(tmp_path / "new" / "folder", {**KEY, "grid": (1, 2.5)}, (2, 3))
    assert again.finished == 4
    again.append(rows(1, start=4))
    np.testing.assert_array_equal(again.read(), rows(5))


def test_uncounted_rows_are_cut_off(tmp_path: Path) -> None:
    store = RowStore(tmp_path, KEY, (2, 3))
    store.append(rows(2))
    with store.rows_path.open("ab") as file:
        file.write(b"half a row")
    again = RowStore(tmp_path, KEY, (2, 3))
    assert again.finished == 2 and again.rows_path.stat().st_size == 2 * 24


def test_lost_bytes_lose_their_rows(tmp_path: Path) -> None:
    store = RowStore(tmp_path, KEY, (2, 3))
    store.append(rows(3))
    os.truncate(store.rows_path, 2 * 24 + 5)
    again = RowStore(tmp_path, KEY, (2, 3))
    assert again.finished == 2
    np.testing.assert_array_equal(again.read(), rows(2))


@pytest.mark.parametrize(
    "state",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"key": null, "finished": 3}',
        json.dumps({"key": {**KEY, "slide": "b"}, "finished": 3}),
    ],
)
def test_stale_or_damaged_state_is_discarded(tmp_path: Path, state: str) -> None:
    store = RowStore(tmp_path, KEY, (2, 3))
    store.append(rows(3))
    store.state_path.write_text(state)
    again = RowStore(tmp_path, KEY, (2, 3))
    assert again.finished == 0 and again.rows_path.stat().st_size == 0


def test_full_disk_is_a_refusal_and_keeps_the_rows_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RowStore(tmp_path, KEY, (2, 3))
    store.append(rows(2))

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OutputError, match="No space left on device.*finished rows are kept"):
            store.append(rows(1, start=2))
    assert RowStore(tmp_path, KEY, (2, 3)).finished == 2


def test_folder_must_be_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="class map: expected room"):
        RowStore(tmp_path / "file", KEY, (2, 3))
