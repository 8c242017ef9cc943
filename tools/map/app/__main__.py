"""Command of the image and of the host: run a bundle on the case of an input folder.

    python tools/map/app --bundle BUNDLE --input DIR --output DIR [--set key=value ...] [--plain]

Exit codes: see outcome.py.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from outcome import BAD_SETTING, Outcome, build_refusal
from run_case import read_setting, run_case


def main(arguments: list[str]) -> int:
    """Run, and say in one line how it ended. Returns the exit code."""
    outcome = run(parse(arguments))
    line = f"{outcome.status}: {outcome.message}"
    print(line if outcome.exit_code == 0 else f"error: {line}", file=sys.stderr)
    return outcome.exit_code


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line; what it leaves out is in the environment that the MAP specification names."""
    parser = argparse.ArgumentParser(prog="app", description=__doc__.splitlines()[0], allow_abbrev=False)
    for name in ("bundle", "input", "output"):
        variable = f"HOLOSCAN_{'MODEL' if name == 'bundle' else name.upper()}_PATH"
        default = os.environ.get(variable)
        parser.add_argument(f"--{name}", type=Path, default=default, help=f"default: ${variable}")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a bundle's setting")
    parser.add_argument("--plain", action="store_true", help="without the MONAI Deploy App SDK")
    return parser.parse_args(arguments)


def find_bundle(folder: Path) -> Path:
    """The folder itself, or the only one in it that is a bundle. Raises ValueError."""
    if (folder / "configs" / "inference.json").is_file():
        return folder.absolute()
    found = sorted(path.parents[1] for path in folder.glob("*/configs/inference.json"))
    if len(found) != 1:
        raise ValueError(f"expected one bundle in {folder.name}, got {len(found)}: name it with --bundle")
    return found[0].absolute()


def run(options: argparse.Namespace) -> Outcome:
    """Check the command line and run."""
    missing = [name for name in ("bundle", "input", "output") if getattr(options, name) is None]
    if missing:
        return build_refusal(BAD_SETTING, f"expected --{' and --'.join(missing)}, got none: name it")
    try:
        bundle, settings = find_bundle(options.bundle), dict(map(read_setting, options.set))
    except ValueError as error:
        return build_refusal(BAD_SETTING, str(error))
    return run_case(bundle, options.input.absolute(), options.output.absolute(), settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
