"""Make dist/NAME-VERSION.zip: a bundle that runs alone, on a machine that has only the pinned packages.

    python3 tools/pack_bundle.py NAME [--without-weights] [--output DIR]

The zip holds one folder NAME; there `python -m monai.bundle run --config_file configs/inference.json`
works.
"""

import argparse
import sys
from pathlib import Path

import _venv

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> int:
    """Pack, verify, and say what came out. Returns the exit status."""
    options = parse(arguments)
    _venv.enter_venv()
    from common.errors import BundleError

    try:
        pack(options.name, options.output, not options.without_weights)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Packs a bundle into a zip that runs alone.", allow_abbrev=False
    )
    parser.add_argument("name", help="folder name in bundles/")
    parser.add_argument(
        "--without-weights", action="store_true", help="leave out the files of large_files.yml"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "dist", help="folder of the zip (default: dist)"
    )
    return parser.parse_args(arguments)


def pack(name: str, output: Path, with_weights: bool, root: Path = ROOT) -> Path:
    """Build the zip, load it away from the repository, and only then keep it. Raises BundleError."""
    from packing.archive import hash_file
    from packing.build import build_zip, find_bundle, read_version
    from packing.verify import verify_zip

    from common.io.files import atomic_path

    target = output / f"{name}-{read_version(find_bundle(root, name))}.zip"
    with atomic_path(target) as unproven:
        build_zip(root, name, unproven, with_weights)
        found = verify_zip(unproven, root)
    network = found["network"] or "none (no weights in the zip)"
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, sha256 {hash_file(target)}")
    print(f"loaded alone: {found['modules']} modules, {found['targets']} targets, network {network}")
    print(f"use: unzip it, cd {name}, python -m monai.bundle run --config_file configs/inference.json ...")
    return target


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
