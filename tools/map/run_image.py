"""Run a bundle's image on one input folder where there is no container engine: by buildah, in a chroot.

    python3 tools/map/run_image.py NAME --input DIR --output DIR [--base cpu|cuda] [-- WORDS ...]

The image is the one that `tools/map/build.py NAME --engine buildah` built. It runs as the image's ordinary
user, without a network, with a read-only input and an empty /tmp; only starting it needs root. WORDS are what
stands behind an image's name elsewhere: options of the application, or show. The exit code is that of the
application.
"""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import _venv
from _base import CACHE, ROOT, ToolError, run_tool


def main(arguments: list[str]) -> int:
    """Run once. Returns the exit code of the application."""
    options = parse(arguments)
    _venv.enter_venv()
    from map_image.bundle import read_package, read_resources
    from map_image.chroot import run_image
    from map_image.engine import Engine

    try:
        package = read_package(ROOT / "bundles" / options.name, read_resources(options.name))
        engine = Engine("buildah", CACHE / "map" / "storage")
        return run_image(engine, package.image(options.base), options.input, options.output, options.words)
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Runs a bundle's image in a chroot.", epilog="-- WORDS: for the image", allow_abbrev=False
    )
    parser.add_argument("name", help="folder name in bundles/")
    parser.add_argument("--input", type=Path, required=True, metavar="DIR", help="is only read")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="gets the results")
    parser.add_argument("--base", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:end])
    options.words = arguments[end + 1 :]
    return options


if __name__ == "__main__":
    run_tool(main)
