"""Speed of the WSI scale selector against the plain pipeline, in one run and as ratios.

The plain pipeline is what a careful script does: OpenSlide's read_region and an area resize per patch, one
after the other, and the classifier in fp32 eager PyTorch, in batches. Both sides see the same points, tiles
and tissue; runs alternate, and the medians of the paired ratios are printed.

    python3 tools/benchmark/scale_search.py                # a generated slide
    python3 tools/benchmark/scale_search.py --slide FILE --repeats 5
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "wsi_scale_selector"
sys.path[:0] = [str(ROOT / "tools"), str(BUNDLE)]
import _venv  # noqa: E402

if __name__ == "__main__":
    _venv.enter_venv()

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import openslide  # noqa: E402
import torch  # noqa: E402

from common.engines import Engine, build_feature_engine  # noqa: E402
from common.io.slide import Slide, open_slide  # noqa: E402
from common.transforms.tissue import tissue_mask  # noqa: E402
from scale_selector.class_map import build_class_map  # noqa: E402
from scale_selector.classifier import load_classifier_spec  # noqa: E402
from scale_selector.inferer import SearchSettings  # noqa: E402
from scale_selector.network import PatchClassifier, build_network  # noqa: E402
from scale_selector.points import sample_points  # noqa: E402
from scale_selector.search import gather_features, half_width_px, parse_scales  # noqa: E402

MAP_MPP = 0.5
BATCH = 32


class PlainPipeline:
    """read_region per patch, area resize, fp32 eager network."""

    def __init__(self, path: Path, network: PatchClassifier, mpp: float) -> None:
        self.slide = openslide.OpenSlide(str(path))
        self.network = network
        self.mpp = mpp

    def read(self, center: tuple[float, float], target_mpp: float, size: int) -> np.ndarray:
        downsample = target_mpp / self.mpp
        level = self.slide.get_best_level_for_downsample(downsample * 1.001)
        own = self.slide.level_downsamples[level]
        width = max(1, round(size * downsample / own))
        corner = [round(value - size * downsample / 2) for value in center]
        pixels = np.asarray(self.slide.read_region(corner, level, (width, width)).convert("RGB"))
        method = cv2.INTER_AREA if width >= size else cv2.INTER_LANCZOS4
        return cv2.resize(pixels, (size, size), interpolation=method)

    @torch.inference_mode()
    def run(self, patches: list[tuple[tuple[float, float], float]], size: int, features: bool) -> np.ndarray:
        outputs = []
        for start in range(0, len(patches), BATCH):
            squares = [self.read(center, mpp, size) for center, mpp in patches[start : start + BATCH]]
            batch = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float()
            outputs.append(self.network.features(batch) if features else self.network(batch))
        return torch.cat(outputs).numpy()


def time_pair(plain: Callable[[], Any], ours: Callable[[], Any], repeats: int) -> dict[str, list[float]]:
    """Alternate the two programs; CPU seconds (all threads) and wall seconds of each run."""
    times: dict[str, list[float]] = {"plain_cpu": [], "plain_wall": [], "ours_cpu": [], "ours_wall": []}
    for _ in range(repeats):
        for name, function in (("plain", plain), ("ours", ours)):
            cpu, wall = time.process_time(), time.perf_counter()
            with contextlib.redirect_stderr(io.StringIO()):
                function()
            times[f"{name}_cpu"].append(time.process_time() - cpu)
            times[f"{name}_wall"].append(time.perf_counter() - wall)
    return times


def report(name: str, count: int, times: dict[str, list[float]]) -> dict[str, Any]:
    """Print and return the medians: patches per second and the paired ratios plain / ours."""
    row: dict[str, Any] = {"part": name, "patches": count}
    for kind in ("cpu", "wall"):
        plain, ours = times[f"plain_{kind}"], times[f"ours_{kind}"]
        ratios = [a / b for a, b in zip(plain, ours, strict=True)]
        row[f"plain_per_{kind}_s"] = count / statistics.median(plain)
        row[f"ours_per_{kind}_s"] = count / statistics.median(ours)
        row[f"{kind}_ratio"] = statistics.median(ratios)
        row[f"{kind}_ratio_range"] = [min(ratios), max(ratios)]
    print(
        f"{name}: {count} patches; patches per CPU second: plain {row['plain_per_cpu_s']:.1f}, "
        f"ours {row['ours_per_cpu_s']:.1f}; ratio {row['cpu_ratio']:.2f} "
        f"({row['cpu_ratio_range'][0]:.2f} to {row['cpu_ratio_range'][1]:.2f}); "
        f"wall-clock ratio {row['wall_ratio']:.2f}"
    )
    return row


def bench_search(
    slide: Slide, tissue: np.ndarray, network: PatchClassifier, engine: Engine, options: argparse.Namespace
) -> dict[str, Any]:
    """The features of all points at all scales, both ways."""
    size, mpps = engine.shape_px[-1], parse_scales(SearchSettings.scales)
    mpp = slide.mpp or MAP_MPP
    half = half_width_px(mpps, mpp, size)
    points = sample_points(slide, tissue, options.points, half, np.random.default_rng(0)).xy_px
    plain = PlainPipeline(slide.path, network, mpp)
    patches = [((float(x), float(y)), float(target)) for x, y in points for target in mpps]
    times = time_pair(
        lambda: plain.run(patches, size, features=True),
        lambda: gather_features(slide, engine, size, points, mpps, mpp, BATCH),
        options.repeats,
    )
    return report("search", len(patches), times)


def bench_map(
    slide: Slide, tissue: np.ndarray, network: PatchClassifier, engine: Engine, options: argparse.Namespace
) -> dict[str, Any]:
    """The class of every tile at x20 without overlap, both ways, and how many tiles agree."""
    size, mpp = engine.shape_px[-1], slide.mpp or MAP_MPP
    downsample = MAP_MPP / mpp
    results: dict[str, Any] = {}

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            result = build_class_map(
                slide, network, engine, downsample, size, Path(folder), tissue, batch_size=BATCH
            )
            results["ours"] = np.array(result.labels())

    ours()
    rows, columns = np.nonzero(results["ours"] >= 0)
    step = size * downsample
    centers = [((x + 0.5) * step, (y + 0.5) * step) for y, x in zip(rows, columns, strict=True)]
    inside = np.array([slide.fits(center, downsample, size) for center in centers])
    plain = PlainPipeline(slide.path, network, mpp)
    patches = [(center, MAP_MPP) for center in centers]

    def run_plain() -> None:
        results["plain"] = plain.run(patches, size, features=False).argmax(axis=1)

    row = report("class map", len(patches), time_pair(run_plain, ours, options.repeats))
    same = results["plain"] == results["ours"][rows, columns]
    row["same_class_share"] = float(same[inside].mean())
    print(f"class map: the same class on {same[inside].mean():.2%} of {int(inside.sum())} tiles")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slide", type=Path, help="slide file (default: a generated one)")
    parser.add_argument("--classifier", type=Path, default=BUNDLE / "models" / "classifier.json")
    parser.add_argument("--points", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.slide or generate_slide(Path(folder))
        network = build_network(options.classifier)
        engine = build_feature_engine(network, load_classifier_spec(options.classifier).size_px)
        with open_slide(path) as slide:
            print(f"{slide.name}: {slide.width_px} x {slide.height_px} px, {slide.mpp} um/px")
            print(f"ours: {engine.describe()}")
            tissue = tissue_mask(slide.thumbnail()[0])
            rows = [part(slide, tissue, network, engine, options) for part in (bench_search, bench_map)]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def generate_slide(folder: Path) -> Path:
    """One phantom slide, as tools/phantoms/histology.py makes them: x40, power-of-two pyramid, JPEG tiles."""
    command = [sys.executable, str(ROOT / "tools" / "phantoms" / "histology.py")]
    subprocess.run([*command, "--out", str(folder), "--count", "1", "--seed", "4242"], check=True)
    return next((folder / "images").iterdir())


if __name__ == "__main__":
    main()
