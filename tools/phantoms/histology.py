"""Generated histology slides with a known truth: pyramids that OpenSlide opens, and their annotations.

    python3 tools/phantoms/histology.py --out DIR --count 4 --seed 1000

writes DIR/images/phantom_1000.svs ..., DIR/annotations/phantom_1000.json (PATH-DT-MSU's form) and
DIR/geojson/phantom_1000.geojson (QuPath), all in level-0 pixels of 0.25 um, and
DIR/labels.json, the class list that configs/train.json takes. A seed always gives the same slide.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _venv


def main(arguments: list[str]) -> int:
    """Write the slides, one line each. Returns the exit status."""
    options = parse(arguments)
    _venv.enter_venv()
    from common.errors import BundleError

    try:
        for seed in range(options.seed, options.seed + options.count):
            start = time.perf_counter()
            path = write_slide(options, seed)
            print(f"{path}  {time.perf_counter() - start:.1f} s", flush=True)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Writes generated histology slides with their annotations.", allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for images/, annotations/, geojson/")
    parser.add_argument("--count", type=int, default=1, help="number of slides (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first; the next ones follow")
    parser.add_argument(
        "--size", default="10240x8192", help="level-0 pixels, WIDTHxHEIGHT (default 10240x8192)"
    )
    parser.add_argument("--family", default="tissue", help="tissue, foreign, scale_free, smooth or twins")
    parser.add_argument("--pyramid", default="halves", help="halves (1-2-4-8-16) or quarters (1-4-16)")
    parser.add_argument("--vendor", default="aperio", help="aperio (.svs) or generic (.tiff)")
    parser.add_argument(
        "--metadata", default="full", help="resolution that the file states: full, none, wrong"
    )
    return parser.parse_args(arguments)


def write_slide(options: argparse.Namespace, seed: int) -> Path:
    """One slide with its annotations. Raises BundleError."""
    from common.io.files import write_json
    from phantoms.pyramid import write_pyramid
    from phantoms.slides import NATIVE_MPP, build_slide

    name = f"{'phantom' if options.family == 'tissue' else options.family}_{seed}"
    slide = build_slide(seed, read_size(options.size), options.family)
    path = options.out / "images" / f"{name}{'.svs' if options.vendor == 'aperio' else '.tiff'}"
    pyramid = slide.pyramid(options.pyramid)
    write_pyramid(path, pyramid, NATIVE_MPP, options.metadata, options.vendor)
    slide.write_annotations(
        options.out / "annotations" / f"{name}.json", options.out / "geojson" / f"{name}.geojson"
    )
    labels = [{"value": value, "name": label} for value, label in slide.names.items()]
    write_json(options.out / "labels.json", labels)
    return path


def read_size(text: str) -> tuple[int, int]:
    """ "10240x8192" -> (10240, 8192). Raises ConfigError."""
    from common.errors import ConfigError

    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ConfigError(f"--size: expected WIDTHxHEIGHT in pixels, got '{text}': try 10240x8192")
    return int(width), int(height)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
