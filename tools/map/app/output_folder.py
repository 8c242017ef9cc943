"""The output folder: results come in as a whole, the run log last, and an earlier run's go first."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from outcome import BAD_INPUT, BAD_SETTING, NO_OUTPUT, Refusal

LOG = "run.json"
STAGING = ".run-"
PLAN = ".run.plan.json"
"""What is being moved to its place: the next run removes it where this one is killed before its log."""


@contextmanager
def staging(output_dir: Path) -> Iterator[Path]:
    """A folder inside the output folder for results that are not complete; gone afterwards, whatever happens.

    Leftovers of a run that was killed go too.

    Raises:
        Refusal: the output folder cannot be made or written to, or another run is at work in it.
    """
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        handle = occupy(output_dir)
        for old in output_dir.glob(f"{STAGING}*"):
            shutil.rmtree(old)
        remove_earlier(output_dir)
        folder = Path(tempfile.mkdtemp(prefix=STAGING, dir=output_dir))
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise Refusal(
            NO_OUTPUT, f"expected an output folder that can be written, got '{reason}': check it"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def occupy(output_dir: Path) -> int:
    """Lock the folder until the descriptor is closed; where a file system knows no locks, nothing happens.

    Raises:
        Refusal: another run has it.
    """
    handle = os.open(output_dir, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            os.close(handle)
            message = "expected an output folder of its own, got one that another run writes to: wait for it"
            raise Refusal(NO_OUTPUT, message) from error
    return handle


def remove_earlier(output_dir: Path) -> None:
    """Remove what log or plan of an earlier run name: otherwise two cases' results would stand together."""
    for record in (output_dir / LOG, output_dir / PLAN):
        try:
            names = json.loads(record.read_text(encoding="utf-8"))["files"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            names = []
        for name in map(str, names):
            path = output_dir / name
            if path.resolve().is_relative_to(output_dir.resolve()):
                path.unlink(missing_ok=True)
                drop_empty(path.parent, output_dir)
        record.unlink(missing_ok=True)


def drop_empty(folder: Path, root: Path) -> None:
    """Remove a folder below `root` and those above it, as far as they are empty."""
    while folder != root and folder.is_relative_to(root) and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def list_results(folder: Path) -> list[Path]:
    """Every visible file, relative to the folder, by name."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.parts))


def publish(folder: Path, output_dir: Path, names: list[Path]) -> list[Path]:
    """Move results from the staging folder to their places; each appears whole, and all or none stay."""
    plan = json.dumps({"files": [name.as_posix() for name in names]})
    (output_dir / PLAN).write_text(plan, encoding="utf-8")
    try:
        for name in names:
            (output_dir / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder / name, output_dir / name)
    except BaseException:
        with suppress(OSError):
            remove_earlier(output_dir)
        raise
    return [output_dir / name for name in names]


def write_log(folder: Path, log: dict[str, Any]) -> None:
    """run.json, whole or not at all."""
    temporary = folder / f".{LOG}"
    try:
        temporary.write_text(json.dumps(log, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(temporary, folder / LOG)
        (folder / PLAN).unlink(missing_ok=True)
    finally:
        temporary.unlink(missing_ok=True)


def check_places(input_dir: Path, output_dir: Path) -> None:
    """Raises Refusal: the output lies in the input, which is read only."""
    if output_dir.resolve().is_relative_to(input_dir.resolve()):
        raise Refusal(BAD_SETTING, "expected an output outside the input, got one in it: choose another")


def check_sources(bundle_root: Path, input_dir: Path) -> None:
    """Raises Refusal: no bundle, or no input folder."""
    if not (bundle_root / "configs" / "inference.json").is_file():
        raise Refusal(BAD_SETTING, "expected a bundle with configs/inference.json, got none: check its place")
    if not input_dir.is_dir():
        raise Refusal(BAD_INPUT, "expected an input folder, got no such folder: check its place")
