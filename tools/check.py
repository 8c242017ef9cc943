"""Everything that has to be green: ruff, mypy, pytest. Makes `.venv` first when it is not there.

    python3 tools/check.py [--slow] [arguments for pytest ...]

All kinds run, whatever the first says; the exit status is that of the first kind that failed.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import _base
import _venv

AT_A_TIME = 2
"""Parts of the tests that run beside each other, each on one core."""


@dataclass(frozen=True)
class Outcome:
    """How one kind of check ended: its exit status and its seconds."""

    kind: str
    status: int
    seconds: float
    remark: str = ""


def main(arguments: list[str]) -> int:
    """Run all kinds and sum up. Returns the exit status."""
    options, pytest_arguments = parse(arguments)
    _venv.enter_venv()
    outcomes = [
        run_kind("ruff", ["-m", "ruff", "check", "."]),
        run_kind("mypy", ["-m", "mypy"]),
        fetch_weights(),
        run_tests(["-m", "pytest", "-rs", *(["-m", ""] if options.slow else [])], pytest_arguments),
    ]
    print_summary(outcomes)
    return next((outcome.status for outcome in outcomes if outcome.status), 0)


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own options, and the rest for pytest in its order."""
    parser = argparse.ArgumentParser(
        description="Runs ruff, mypy and pytest.", epilog="The rest goes to pytest.", allow_abbrev=False
    )
    parser.add_argument("--slow", action="store_true", help="also run the tests marked slow (minutes)")
    options, rest = parser.parse_known_args(arguments)
    return options, [argument for argument in rest if argument != "--"]


def run_kind(kind: str, command: list[str]) -> Outcome:
    """Run `python <command>` at the repository's root with its output passed through."""
    _base.say(f"== {kind}")
    started_s = time.monotonic()
    status = subprocess.run([sys.executable, *command], cwd=_base.ROOT).returncode
    return Outcome(kind, status, time.monotonic() - started_s)


def run_tests(command: list[str], arguments: list[str]) -> Outcome:
    """Run pytest with these arguments; without any, once for every part of `tests`, two at a time.

    A process per part keeps the native libraries that one bundle loads away from the others.
    """
    if arguments:
        return run_kind("pytest", [*command, *arguments])
    started_s = time.monotonic()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        statuses = list(pool.map(lambda part: run_part([*command, *part]), list_parts()))
    return Outcome("pytest", next(filter(None, statuses), 0), time.monotonic() - started_s)


def run_part(command: list[str]) -> int:
    """Run one part with one thread; its output appears whole when it is done."""
    _base.say(f"== pytest {command[-1]}")
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=_base.ROOT,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    sys.stdout.write(f"== pytest {command[-1]}: done\n{done.stdout.decode(errors='replace')}")
    sys.stdout.flush()
    return done.returncode


def list_parts() -> list[list[str]]:
    """The folders of `tests` that hold tests, one by one, and the files beside them together.

    The folders with most files come first, so that the two cores end at about the same time.
    """
    tests = _base.ROOT / "tests"
    counts = Counter(path.relative_to(tests).parts[0] for path in tests.glob("*/**/test_*.py"))
    folders = [name for name, _ in counts.most_common()]
    files = sorted(f"tests/{path.name}" for path in tests.glob("test_*.py"))
    return [*([f"tests/{folder}"] for folder in folders), files]


def fetch_weights() -> Outcome:
    """Get what tests marked `weights` need. Without a connection those skip; a wrong file is a failure."""
    outcome = run_kind("weights", ["tools/weights.py", "get", "--all"])
    if outcome.status == _base.UNREACHABLE_STATUS:
        return Outcome("weights", 0, outcome.seconds, "not reachable: tests marked `weights` skip")
    return outcome


def print_summary(outcomes: list[Outcome]) -> None:
    """One line per kind: its name, how it ended, its seconds."""
    _base.say("== summary")
    for outcome in outcomes:
        verdict = f"failed ({outcome.status})" if outcome.status else "ok"
        _base.say(f"{outcome.kind:8} {outcome.seconds:7.1f} s  {outcome.remark or verdict}")


if __name__ == "__main__":
    _base.run_tool(main)
