"""The check runs every kind, whatever fails, and its status is that of the first failure."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import check
import pytest
from _base import ROOT


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`run(arguments, statuses)` -> exit status and commands, with every command replaced by a status."""
    monkeypatch.setattr(check._venv, "enter_venv", lambda: None)

    def start(arguments: list[str], statuses: dict[str, int]) -> tuple[int, dict[str, list[str]]]:
        commands: dict[str, list[str]] = {}

        def fake(command: list[str], cwd: Path, **_: Any) -> subprocess.CompletedProcess[bytes]:
            kind = command[2] if command[1] == "-m" else "weights"
            kind = command[-1] if command[-1].startswith("tests/") and not arguments else kind
            commands[kind] = command[1:]
            assert cwd == ROOT
            return subprocess.CompletedProcess(command, statuses.get(kind, 0), b"what pytest said\n")

        monkeypatch.setattr(check.subprocess, "run", fake)
        return check.main(arguments), commands

    return start


def test_all_green(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    status, commands = run([], {})
    assert status == 0
    parts = {name: commands.pop(name) for name in [*commands] if name.startswith("tests/")}
    assert commands == {
        "ruff": ["-m", "ruff", "check", "."],
        "mypy": ["-m", "mypy"],
        "weights": ["tools/weights.py", "get", "--all"],
    }
    assert sorted(parts) == sorted(part[-1] for part in check.list_parts())
    assert parts["tests/common"] == ["-m", "pytest", "-rs", "tests/common"]
    out = capsys.readouterr().out
    assert out.count(" s  ok\n") == 4
    assert out.count("what pytest said") == len(parts)


def test_first_failure_gives_the_status_and_all_run(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    status, commands = run([], {"mypy": 2, "tests/tools": 1})
    assert status == 2
    assert {"ruff", "mypy", "weights", "tests/common", "tests/tools"} <= set(commands)
    summary = capsys.readouterr().out.partition("== summary\n")[2]
    assert [line.split(" s  ")[1] for line in summary.splitlines()] == [
        "ok",
        "failed (2)",
        "ok",
        "failed (1)",
    ]


@pytest.mark.parametrize(("weights", "expected"), [(75, 0), (1, 1)])
def test_only_unreachable_weights_are_forgiven(run: Any, weights: int, expected: int) -> None:
    status, commands = run([], {"weights": weights})
    assert status == expected
    assert "tests/common" in commands


def test_slow_and_arguments_for_pytest(run: Any) -> None:
    _, commands = run(["--slow", "tests/tools", "-k", "clock", "--", "-x"], {})
    assert commands["pytest"] == ["-m", "pytest", "-rs", "-m", "", "tests/tools", "-k", "clock", "-x"]


def test_commands_really_run() -> None:
    assert check.run_kind("version", ["-c", "import sys; sys.exit(3)"]).status == 3


def test_every_test_file_is_in_one_part() -> None:
    """Parts are folders and files; each test file lies in exactly one."""
    parts = [ROOT / name for part in check.list_parts() for name in part]
    files = list((ROOT / "tests").rglob("test_*.py"))
    assert [sum(file == part or part in file.parents for part in parts) for file in files] == [1] * len(files)
