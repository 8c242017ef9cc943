"""The wheels of an image: which are there, which are not wanted, what pip's failures mean."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
from _base import ToolError, UnreachableError
from map_image import wheels
from map_image.wheels import fetch_wheels, find_pip, list_unwanted, list_wheels

PINS = {"numpy": "2.4.6", "torch": "2.14.1", "pip": "26.3"}
NAMES = {
    "numpy": "numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.whl",
    "torch": "torch-2.14.1+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
    "pip": "pip-26.3-py3-none-any.whl",
}
PIP = """#!{python}
import sys
from pathlib import Path
words = sys.argv[1:]
Path({log!r}).write_text(" ".join(words))
if {error!r}:
    sys.exit({error!r})
for name in [word for word in words if "==" in word]:
    (Path(words[words.index("--dest") + 1]) / (name.replace("==", "-") + "-py3-none-any.whl")).touch()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for wheels, with three packages wanted."""
    monkeypatch.setattr(wheels, "read_pins", lambda base: PINS)
    (tmp_path / "wheels").mkdir()
    return tmp_path / "wheels"


def replace_pip(monkeypatch: pytest.MonkeyPatch, folder: Path, error: str = "") -> Path:
    """Let a small program be the Python that runs pip. Returns the file with the words it was called with."""
    program, log = folder / "python", folder / "words.txt"
    program.write_text(PIP.format(python=sys.executable, log=str(log), error=error))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(wheels.sys, "executable", str(program))
    return log


def test_only_what_is_missing_is_fetched_for_the_images_python(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = replace_pip(monkeypatch, tmp_path)
    (folder / NAMES["torch"]).touch()
    (folder / "numpy-2.0.0-cp311-cp311-linux_x86_64.whl").touch()
    fetch_wheels("cpu", folder)
    words = log.read_text()
    assert (
        words.endswith("numpy==2.4.6 pip==26.3") and "--no-deps" in words and "--python-version 3.11" in words
    )
    assert "--platform manylinux_2_36_x86_64" in words and "manylinux_2_37" not in words
    assert set(list_wheels(folder)) == set(PINS.items())


def test_nothing_is_fetched_when_all_is_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = replace_pip(monkeypatch, tmp_path)
    for name in NAMES.values():
        (folder / name).touch()
    fetch_wheels("cpu", folder)
    assert not log.exists() and find_pip(folder) == NAMES["pip"]


@pytest.mark.parametrize(
    ("said", "kind", "expected"),
    [
        (
            "ERROR: No matching distribution found for numpy==2.4.6",
            ToolError,
            "as a wheel, pip says 'No matching",
        ),
        (
            "ERROR: Max retries exceeded with url",
            UnreachableError,
            "wheels from the index, pip says 'Max retries",
        ),
        ("killed", ToolError, "pip says 'no message'"),
    ],
)
def test_a_failure_of_pip_is_one_line(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    kind: type[ToolError],
    expected: str,
) -> None:
    replace_pip(monkeypatch, tmp_path, said)
    with pytest.raises(kind, match=expected) as caught:
        fetch_wheels("cpu", folder)
    assert type(caught.value) is kind


def test_other_versions_and_other_files_are_not_wanted(folder: Path) -> None:
    for name in (NAMES["torch"], "torch-2.13.0-cp311-cp311-linux_x86_64.whl", "notes.txt"):
        (folder / name).touch()
    unwanted = {file.name for file in list_unwanted(folder, PINS)}
    assert unwanted == {"torch-2.13.0-cp311-cp311-linux_x86_64.whl", "notes.txt"}


def test_pip_itself_must_be_among_them(folder: Path) -> None:
    with pytest.raises(ToolError, match="expected pip among the wheels, got none"):
        find_pip(folder)
