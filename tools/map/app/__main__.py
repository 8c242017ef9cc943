"""Command of the image and of the host: run a bundle on the case of an input folder.

    python tools/map/app --bundle BUNDLE --input DIR --output DIR [--set KEY=VALUE ...] [--plain]

Exit codes: see outcome.py. One line on standard error says how it ended.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from outcome import BAD_SETTING, FAULT, STATUS, Outcome, Refusal
from run_case import read_setting, run_case

SETTINGS = "BUNDLE_SETTINGS"
"""Environment variable with KEY=VALUE pairs, for callers that cannot change the command."""


def main(arguments: list[str]) -> int:
    """Run, and say in one line how it ended. Returns the exit code."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        options = parse(arguments)
        outcome = start(options, *read_options(options))
    except Refusal as error:
        outcome = Outcome(error.exit_code, STATUS[error.exit_code], str(error))
    line = f"{outcome.status}: {outcome.message}"
    print(line if outcome.exit_code == 0 else f"error: {line}", file=sys.stderr, flush=True)
    return outcome.exit_code


class Parser(argparse.ArgumentParser):
    """Refuses as everything else here: one line, exit code 14 and not argparse's 2."""

    def error(self, message: str) -> NoReturn:
        """Raises Refusal; what was written stays out of the line."""
        raise Refusal(BAD_SETTING, "expected the options that --help lists, got others: correct the command")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line; what it leaves out is in the environment that the MAP specification names.

    Raises:
        Refusal: other options.
    """
    parser = Parser(
        prog="app", description="Runs a bundle on the case of an input folder.", allow_abbrev=False
    )
    for name in ("bundle", "input", "output"):
        variable = f"HOLOSCAN_{'MODEL' if name == 'bundle' else name.upper()}_PATH"
        default = os.environ.get(variable)
        parser.add_argument(
            f"--{name}", type=Path, default=default, metavar="DIR", help=f"default: ${variable}"
        )
    help_text = f"a setting of the bundle; more in ${SETTINGS}"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=help_text)
    parser.add_argument("--plain", action="store_true", help="without the MONAI Deploy App SDK")
    return parser.parse_args(arguments)


def read_options(options: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """Folder of the bundle, and the settings. Raises Refusal."""
    for name in ("bundle", "input", "output"):
        if getattr(options, name) is None:
            raise Refusal(BAD_SETTING, f"expected --{name}, got none: name a folder")
    try:
        pairs = [*shlex.split(os.environ.get(SETTINGS, "")), *options.set]
    except ValueError:
        raise Refusal(BAD_SETTING, f"${SETTINGS}: expected words, got an open quotation: close it") from None
    return find_bundle(options.bundle.absolute()), dict(map(read_setting, pairs))


def find_bundle(folder: Path) -> Path:
    """The folder itself, or the only one in it that is a bundle. Raises Refusal."""
    if (folder / "configs" / "inference.json").is_file():
        return folder
    found = sorted(path.parents[1] for path in folder.glob("*/configs/inference.json"))
    if len(found) != 1:
        raise Refusal(BAD_SETTING, f"expected one bundle, got {len(found)}: name it with --bundle")
    return found[0]


def start(options: argparse.Namespace, bundle: Path, settings: dict[str, Any]) -> Outcome:
    """Under the SDK where it is installed, unless it is not wanted. Raises Refusal: it does not start."""
    if not options.plain and importlib.util.find_spec("holoscan") is None:
        print("the MONAI Deploy App SDK is not installed: running without it", file=sys.stderr)
    elif not options.plain:
        try:
            from sdk_application import run_application
        except ImportError as error:
            message = f"expected the MONAI Deploy App SDK to start, got {type(error).__name__}: use --plain"
            raise Refusal(FAULT, message) from error
        return run_application(bundle, options.input.absolute(), options.output.absolute(), settings)
    return run_case(bundle, options.input.absolute(), options.output.absolute(), settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
