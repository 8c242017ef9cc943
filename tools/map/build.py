"""Build the image of a bundle: a MONAI Application Package that runs without a network, as an ordinary user.

    python3 tools/map/build.py NAME --engine docker|podman|buildah [--base cpu|cuda] [--output DIR]
    python3 tools/map/build.py --resolve

Leaves in DIR (default: dist) the image as an archive, its bill of materials and the sha256 of its weights.
buildah needs no registry and no container engine, only root and Debian's packages debootstrap and buildah; it
keeps its images in .cache/map/storage. `--resolve` writes the pinned packages of the images anew.
"""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import _venv
from _base import CACHE, ROOT, ToolError, lock, run_tool, say

MAP_CACHE = CACHE / "map"


def main(arguments: list[str]) -> int:
    """Build, or resolve the packages. Returns the exit status."""
    options = parse(arguments)
    _venv.enter_venv()
    from map_image.packages import resolve_pins

    from common.errors import BundleError

    try:
        if options.resolve:
            resolve_pins(ROOT)
        else:
            with lock(MAP_CACHE / "build.lock", "another build is running: waiting for it"):
                build(options.name, options.engine, options.base, options.output)
    except (ToolError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return getattr(error, "status", 1)
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Builds the image of a bundle.", allow_abbrev=False)
    parser.add_argument("name", nargs="?", help="folder name in bundles/")
    parser.add_argument("--engine", choices=("docker", "podman", "buildah"), help="what builds")
    parser.add_argument("--base", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder of the archive")
    parser.add_argument("--resolve", action="store_true", help="find the versions of all packages anew")
    options = parser.parse_args(arguments)
    if not options.resolve and not (options.name and options.engine):
        parser.error("NAME and --engine are needed")
    return options


def build(name: str, engine_name: str, base: str, output: Path, cache: Path = MAP_CACHE) -> Path:
    """Build the image and write what belongs to it. Returns the archive. Raises ToolError, BundleError."""
    from map_image.base import provide_base
    from map_image.bundle import read_package, read_resources, write_context
    from map_image.engine import Engine
    from map_image.results import provide_image
    from pack_bundle import pack
    from packing.archive import describe_commit, hash_file
    from packing.build import find_bundle

    engine = Engine(engine_name, cache / "storage")
    engine.require()
    package = read_package(find_bundle(ROOT, name), read_resources(name))
    shared = provide_base(engine, base, cache)
    context, image = cache / f"{name}-{base}", package.image(base)
    write_context(package, pack(name, output, True), base, describe_commit(ROOT)["git_commit"], context)
    stem = output / f"{name}-{package.version}-map-{base}"
    archive = provide_image(engine, image, shared, context, stem)
    whole, below = engine.size_bytes(image), engine.size_bytes(shared)
    say(f"{image}: {whole / 1e9:.2f} GB, of it {below / 1e9:.2f} GB shared by all bundles")
    say(f"{archive}: {archive.stat().st_size / 1e9:.2f} GB, sha256 {hash_file(archive)}")
    return archive


if __name__ == "__main__":
    run_tool(main)
