"""A service beside a PACS: takes each new study through a command once and stores the results in it.

    python3 tools/map/watch_pacs.py --state DIR --url http://127.0.0.1:8042/dicom-web --modality CT \\
        (--bundle FOLDER | --command 'PROGRAM ... {input} ... {output}') [--once] [options]
    python3 tools/map/watch_pacs.py --state DIR --list
    python3 tools/map/watch_pacs.py --state DIR --retry STUDY

It asks a DICOMweb server for studies of a modality, waits until one is quiet, fetches that modality's series,
runs the command, and stores the DICOM files of {output}/dicom in the same study. It may be killed at any
moment. Options may stand in a file, one word a line: `watch_pacs.py @FILE`. See tools/map/README.md.
"""

import argparse
import datetime
import logging
import os
import re
import shlex
import signal
import sqlite3
import sys
import time
import warnings
from pathlib import Path
from typing import Any, NoReturn

sys.path.append(str(Path(__file__).resolve().parents[1]))

import _venv
from _base import ROOT, UNREACHABLE_STATUS, ToolError, lock, run_tool


def main(arguments: list[str]) -> int:
    """Watch, list or retry. Returns the exit status."""
    options = build_parser().parse_args(arguments)
    _venv.enter_venv()
    try:
        if options.list or options.retry:
            return ask(options)
        return watch(options)
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    except (OSError, sqlite3.Error) as error:  # before or between looks: one of the folders
        from pacs.watcher import describe_trouble

        print(f"error: {describe_trouble(error)}", file=sys.stderr)
        return UNREACHABLE_STATUS


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        description="Runs a command once for each new study of a DICOMweb server.",
        fromfile_prefix_chars="@",
        allow_abbrev=False,
    )
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="folder of state and work")
    todo = parser.add_mutually_exclusive_group()
    todo.add_argument("--once", action="store_true", help="look once, do what is due, end")
    todo.add_argument("--list", action="store_true", help="print what is known of the studies")
    todo.add_argument("--retry", metavar="STUDY", help="take a study again: UID, or its key of --list")
    _add_server(parser.add_argument_group("server"))
    _add_study(parser.add_argument_group("studies and command"))
    _add_times(parser.add_argument_group("times and limits"))
    return parser


def _add_server(group: Any) -> None:
    group.add_argument("--url", help="root of the DICOMweb server")
    group.add_argument("--user", help="for basic authentication")
    group.add_argument("--password-file", type=Path, metavar="FILE", help="or WATCH_PACS_PASSWORD")
    group.add_argument("--token-file", type=Path, metavar="FILE", help="bearer token, or WATCH_PACS_TOKEN")
    group.add_argument("--ca", type=Path, metavar="FILE.pem", help="authorities to trust, not the usual")
    group.add_argument("--http-timeout", type=positive, default=60, metavar="S", help="longest silence (60)")


def _add_study(group: Any) -> None:
    group.add_argument("--modality", help="of the studies and of the series that are fetched: CT, MG, SM ...")
    group.add_argument("--description", metavar="PATTERN", help="that StudyDescription has to contain")
    group.add_argument(
        "--since", type=day, metavar="YYYY-MM-DD", help="first StudyDate (the day of the first start)"
    )
    group.add_argument(
        "--late-days",
        type=positive,
        default=7,
        metavar="N",
        help="longest way of a study to here (7)",
    )
    what = group.add_mutually_exclusive_group()
    what.add_argument("--bundle", type=Path, metavar="FOLDER", help="runs tools/map/app with this bundle")
    what.add_argument("--command", metavar="TEMPLATE", help="another command, with {input} and {output}")


def _add_times(group: Any) -> None:
    group.add_argument("--quiet", type=seconds, default=60, metavar="S", help="without new images (60)")
    group.add_argument("--interval", type=positive, default=30, metavar="S", help="between two looks (30)")
    group.add_argument("--attempts", type=positive, default=6, metavar="N", help="then parked (6)")
    group.add_argument("--first-wait", type=seconds, default=60, metavar="S", help="doubles each time (60)")
    group.add_argument("--time-limit", type=positive, default=3600, metavar="S", help="of the command (3600)")
    group.add_argument("--min-free-gb", type=seconds, default=5, metavar="GB", help="free on the disk (5)")


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got '{text}'")
    return int(text)


def seconds(text: str) -> float:
    """A number from 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number from 0, got '{text}'")
    return value


def day(text: str) -> datetime.date:
    """2026-11-22."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected YYYY-MM-DD, got '{text}'") from None


def say(line: str) -> None:
    """One line of the log."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)


def stop(*_: object) -> NoReturn:
    """SIGTERM: the study under way is put back, its attempt is not counted."""
    raise SystemExit(0)


def ask(options: argparse.Namespace) -> int:
    """Print the list, or take a study again. Raises ToolError."""
    from pacs.listing import describe_studies, open_state, retry_study

    state = open_state(options.state)
    print(retry_study(state, options.retry) if options.retry else "\n".join(describe_studies(state)))
    return 0


def prepare_process() -> None:
    """Files for the owner alone, an orderly end, and silence of libraries: they quote headers."""
    os.umask(0o077)
    signal.signal(signal.SIGTERM, stop)
    warnings.simplefilter("ignore")
    logging.disable()


def watch(options: argparse.Namespace) -> int:
    """Watch until the process is ended, or once. Raises ToolError before it begins."""
    from pacs.watcher import Watcher

    prepare_process()
    options.state.mkdir(parents=True, exist_ok=True)
    busy = "another watcher, or a command that a killed one left, is at work here: waiting until it ends"
    with lock(options.state / "watch.lock", busy) as handle:
        watcher = Watcher(build_runner(options, handle), build_rules(options), say)
        if options.once:
            return 0 if watcher.try_cycle() else UNREACHABLE_STATUS
        say(f"watching {options.url} for {options.modality}")
        watcher.watch()
    return 0


def build_runner(options: argparse.Namespace, lock_handle: int) -> Any:
    """Everything that a study needs, as the options say. Raises SettingError."""
    from pacs.access import choose_secret, open_session
    from pacs.command import Command, parse_template
    from pacs.dicomweb import DicomWeb
    from pacs.errors import SettingError
    from pacs.state import State
    from pacs.study import StudyRunner

    for name in ("url", "modality"):
        if not getattr(options, name):
            raise SettingError(f"--{name}: expected one, got none: give it")
    if not re.fullmatch(r"[A-Z][A-Z0-9]{1,15}", options.modality):
        raise SettingError("--modality: expected a DICOM modality such as CT, got another text: correct it")
    template = parse_template(options.command or bundle_command(options.bundle))
    secret = choose_secret(options.user, options.password_file, options.token_file)
    return StudyRunner(
        server=DicomWeb(options.url, open_session(options.url, secret, options.ca), options.http_timeout),
        state=State(options.state / "state.sqlite"),
        command=Command(template, options.time_limit, lock_handle),
        modality=options.modality,
        work=options.state / "work",
        min_free_gb=options.min_free_gb,
    )


def bundle_command(bundle: Path | None) -> str:
    """The application on this machine, with a bundle. Raises SettingError."""
    from pacs.errors import SettingError

    if bundle is None or not (bundle / "configs" / "inference.json").is_file():
        raise SettingError("expected --command, or --bundle with a bundle's folder, got none: give one")
    program = [sys.executable, str(ROOT / "tools" / "map" / "app"), "--plain"]
    folders = ["--bundle", str(bundle.resolve()), "--input", "{input}", "--output", "{output}"]
    return shlex.join([*program, *folders])


def build_rules(options: argparse.Namespace) -> Any:
    """When what is done. Raises SettingError."""
    from pacs.errors import SettingError
    from pacs.watcher import Rules

    try:
        description = re.compile(options.description, re.IGNORECASE) if options.description else None
    except re.error:
        raise SettingError("--description: expected a regular expression, got another text") from None
    return Rules(
        description=description,
        since=options.since,
        late_days=options.late_days,
        quiet_s=options.quiet,
        interval_s=options.interval,
        attempts=options.attempts,
        first_wait_s=options.first_wait,
    )


if __name__ == "__main__":
    run_tool(main)
