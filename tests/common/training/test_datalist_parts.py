"""What every datalist refuses, and the names that stand for patients."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from common.errors import InputError
from common.training.datalist import (
    check_apart,
    hash_file_text,
    hash_patient,
    read_datalist_json,
    relative_to,
)

KEYS = ("name", "training")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "d.json: expected a JSON object, got list"),
        ("name: x", "d.json: expected a datalist in JSON, got other text"),
        ('{"nam": 1}', "expected known keys, got 'nam': did you mean name"),
        ('{"zzz": 1}', "got 'zzz': did you mean one of name, training"),
    ],
)
def test_what_is_no_datalist_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_datalist_json(path, KEYS)


def test_a_datalist_is_read(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text('{"name": "x"}')
    assert read_datalist_json(str(tmp_path / "d.json"), KEYS) == {"name": "x"}
    with pytest.raises(InputError, match="none.json: expected a datalist, got no such file"):
        read_datalist_json(tmp_path / "none.json", KEYS)


def test_parts_share_nothing() -> None:
    check_apart({"training": [("a", "p"), ("b", "p")], "test": [("c", "q")]}, "d.json")
    with pytest.raises(InputError, match="expected every image once, got 1 listed again"):
        check_apart({"training": [("a", "p"), ("a", "p")]}, "d.json")
    with pytest.raises(InputError, match="expected every patient in one part, got 1 in several") as refusal:
        check_apart({"training": [("a", "p")], "test": [("b", "p"), ("c", "q")]}, "d.json")
    assert "'p'" not in str(refusal.value)


def test_hashes(tmp_path: Path) -> None:
    assert hash_patient("somebody") == hashlib.sha256(b"somebody").hexdigest()[:16]
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file_text(tmp_path / "a") == "ba7816bf8f01cfea" and hash_file_text("none") == "missing"


def test_paths_are_relative(tmp_path: Path) -> None:
    assert relative_to(tmp_path / "data" / "a.png", tmp_path / "lists" / "d.json") == "../data/a.png"
