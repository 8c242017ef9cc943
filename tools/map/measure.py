"""What an application needs, measured: memory, processor time, time, size of the output.

    python3 tools/map/measure.py NAME --input DIR [--label TEXT] [--largest N] [--output DIR]
                                    [--set KEY=VALUE ...]

Runs `tools/map/app --plain` on the input, prints a row, and keeps it in app/resources.json with the requests
that follow from the bundle's largest row; the image's manifest and the workflow definitions take them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOOLS))
import _base  # noqa: E402
import _venv  # noqa: E402
from _base import ROOT, ToolError, say  # noqa: E402

APP = Path(__file__).with_name("app")
RESOURCES = APP / "resources.json"
KB, MB, GB = 1024, 2**20, 2**30
CORES = 2
"""Requested; the bundles use as many as there are, more of them shorten a run."""

STEP_GB = 0.5
LIMIT_SHARE = 1.5
"""The limit of memory, in parts of the measured peak: larger studies than the measured one come."""

TIMEOUT_SHARE, TIMEOUT_STEP_S = 10, 600
"""The time limit, in parts of the measured processor time, rounded up; for slow and shared machines."""


@dataclass(frozen=True)
class Measured:
    """What one run took.

    Attributes:
        input: what it was given, in words.
        input_mb, output_mb: of the folders.
        peak_memory_mb: largest resident set of the process and its children.
        cpu_seconds: of all threads.
        seconds: wall clock, on a machine that did other work too.
        threads: processors that the run could use.
        largest: how many times this input the largest that is expected is; counts for the time limit only.
        command: that reproduces the row.
    """

    input: str
    input_mb: float
    output_mb: float
    peak_memory_mb: int
    cpu_seconds: float
    seconds: float
    threads: int
    largest: float
    command: str


def main(arguments: list[str]) -> int:
    """Measure one run. Returns the exit status."""
    options = parse(arguments)
    _venv.enter_venv()
    try:
        row = measure(
            options.name, options.input, options.label, options.largest, options.output, options.set
        )
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    keep(options.name, row)
    say(
        f"{options.name}: {row.input} ({row.input_mb} MB): {row.peak_memory_mb} MB memory, "
        f"{row.cpu_seconds} s CPU, {row.seconds} s on {row.threads} processors, {row.output_mb} MB output"
    )
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures what a bundle's application needs.")
    parser.add_argument("name", help="folder name in bundles/")
    parser.add_argument("--input", type=Path, required=True, metavar="DIR")
    parser.add_argument("--label", default="", help="what the input is, in words (default: its name)")
    parser.add_argument(
        "--largest", type=float, default=1.0, metavar="N", help="time limit for N times this input"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="keep the results here")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args(arguments)


def measure(
    name: str, source: Path, label: str, largest: float, kept: Path | None, settings: list[str]
) -> Measured:
    """Run the application in a process of its own. Raises ToolError: it did not end well."""
    pairs = [word for pair in settings for word in ("--set", pair)]
    shown = ["python3 tools/map/measure.py", name, "--input", source.name]
    with tempfile.TemporaryDirectory() as folder:
        output = kept or Path(folder) / "out"
        command = [sys.executable, str(APP), "--plain", "--bundle", str(ROOT / "bundles" / name)]
        command += ["--input", str(source), "--output", str(output), *pairs]
        started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, stdin=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise ToolError(f"expected a run that ends with 0, got {done.returncode}: its message is above")
        return Measured(
            input=label or source.name,
            input_mb=count_mb(source),
            output_mb=count_mb(output),
            peak_memory_mb=after.ru_maxrss // KB,
            cpu_seconds=round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
            seconds=round(time.monotonic() - started, 1),
            threads=len(os.sched_getaffinity(0)),
            largest=largest,
            command=" ".join([*shown, "--largest", f"{largest:g}", *pairs]),
        )


def count_mb(folder: Path) -> float:
    """Size of the files below a folder."""
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MB, 1)


def keep(name: str, row: Measured) -> None:
    """Put the row into resources.json, in place of the bundle's earlier row of the same input."""
    rows = json.loads(RESOURCES.read_text(encoding="utf-8")) if RESOURCES.is_file() else {}
    bundles = rows.setdefault("bundles", {})
    others = [one for one in bundles.get(name, {}).get("measured", []) if one["input"] != row.input]
    bundles[name] = request([*others, asdict(row)])
    rows["bundles"] = dict(sorted(bundles.items()))
    RESOURCES.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def request(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """What a run should be given, from the largest of what was measured."""
    peak_gb = max(row["peak_memory_mb"] for row in measured) * MB / GB
    cpu_s = max(row["cpu_seconds"] * row["largest"] for row in measured)
    return {
        "cpu": CORES,
        "memory": f"{round_up(peak_gb, STEP_GB):g}Gi",
        "memoryLimit": f"{round_up(peak_gb * LIMIT_SHARE, STEP_GB):g}Gi",
        "timeout_s": int(round_up(cpu_s * TIMEOUT_SHARE, TIMEOUT_STEP_S)),
        "measured": measured,
    }


def round_up(value: float, step: float) -> float:
    """The next multiple of `step`."""
    return math.ceil(value / step) * step


if __name__ == "__main__":
    _base.run_tool(main)
