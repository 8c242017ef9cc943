"""Speed of MMBCD for a study of four views, as ratios in one run.

The plain form decodes and detects one view after the other, then sends one region at a time, each with the
text, through the network in fp32 eager PyTorch. Against it the bundle's own way: decoding beside detection,
all regions of the study in one batch, each text once, on the engine that is named. Rounds alternate between
the programs; medians of the ratios inside a round are printed, in CPU seconds of all threads and in
wall-clock seconds, and the largest difference of a score from the plain form's.

    python3 tools/benchmark/mmbcd.py --study DIR --weights FILE --detector FILE [--text DIR] [--vision FILE]
    python3 tools/benchmark/mmbcd.py --study DIR --options '{"text": "tiny"}'     # untrained: times only
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "mmbcd_mammo"
sys.path[:0] = [str(ROOT / "tools"), str(BUNDLE)]
import _venv  # noqa: E402

if __name__ == "__main__":
    _venv.enter_venv()

import torch  # noqa: E402
from tqdm import tqdm  # noqa: E402

from common.io.mammogram import MammoCase, open_study  # noqa: E402
from common.networks.card import WeightsCard  # noqa: E402
from common.networks.focalnet_dino.build import build_focalnet_dino  # noqa: E402
from mmbcd.classifier import Mmbcd  # noqa: E402
from mmbcd.detector_weights import save_detector  # noqa: E402
from mmbcd.history_use import HistorySource  # noqa: E402
from mmbcd.inferer import MmbcdInferer  # noqa: E402
from mmbcd.network import build_mmbcd  # noqa: E402
from mmbcd.pipeline import predict, preprocess, read  # noqa: E402
from mmbcd.regions import Regions, build_regions  # noqa: E402
from mmbcd.scores import to_score  # noqa: E402

HISTORY = "Bilateral: lump for three months, mother had breast cancer"
Program = Callable[[], list[float]]
"""Reads and scores the study; one score for each view with regions."""


def run_plainly(case: MammoCase, network: Mmbcd, regions: Regions) -> Program:
    """One view after the other, one region at a time, the text anew for each."""

    @torch.inference_mode()
    def run() -> list[float]:
        scores = []
        for mammogram in open_study(case).read().mammograms:
            crops = torch.from_numpy(regions(mammogram, network.image_size).crops)
            if not len(crops):
                continue
            features, text = [], None
            for crop in crops:
                features.append(network.encode_rois(crop[None, :, None]))
                if network.text is not None:
                    tokens = network.tokenize([HISTORY])
                    text = network.encode_text(tokens["input_ids"], tokens["attention_mask"])
            output = network.fuse(torch.cat(features, dim=1), None, text)
            scores.append(float(to_score(output.logits.numpy())[0]))
        return scores

    return run


def run_bundle(case: MammoCase, network: Mmbcd, regions: Regions, inferer: MmbcdInferer) -> Program:
    """The steps of the bundle's pipeline, without writing."""

    def run() -> list[float]:
        study = read(case, HistorySource(HISTORY), network.text is not None)
        views = preprocess(study, regions, network.image_size)
        return [one.score for one in predict(views, inferer, network) if one is not None]

    return run


def build_programs(options: argparse.Namespace) -> dict[str, Program]:
    """All that are compared; "plain" comes first."""
    case = MammoCase(options.study.name, options.study)
    torch.manual_seed(0)
    network = build_mmbcd(options.weights, options.vision, options.text, **options.options)
    detector = options.detector or write_untrained_detector(options.detector_size)
    plain = build_regions(weights=detector, engine="torch", precision="fp32")
    programs = {"plain": run_plainly(case, network, plain)}
    for precision in ("fp32", "bf16"):
        # the detector stays in fp32, as in inference.json: bf16 moves boxes and the scores with them
        regions = build_regions(weights=detector, engine="openvino", precision="fp32")
        inferer = MmbcdInferer("openvino", precision)
        programs[f"OpenVINO {precision}"] = run_bundle(case, network, regions, inferer)
    return programs


def write_untrained_detector(size_px: int) -> Path:
    """A tiny detector with random weights: times only."""
    torch.manual_seed(0)
    path = Path(tempfile.mkdtemp()) / "detector.safetensors"
    save_detector(build_focalnet_dino("tiny"), path, WeightsCard(), (size_px, size_px))
    return path


def measure(
    programs: dict[str, Program], repeats: int
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, list[float]]]:
    """Seconds (CPU, wall) of every round, and the scores of the last one; one warm-up each."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    scores = {name: run() for name, run in tqdm(programs.items(), "warm-up")}
    for _ in tqdm(range(repeats), "rounds"):
        for name, run in programs.items():
            cpu, wall = time.process_time(), time.perf_counter()
            scores[name] = run()
            times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return times, scores


def report(
    times: dict[str, list[tuple[float, float]]], scores: dict[str, list[float]]
) -> list[dict[str, Any]]:
    """Print and return one row for each program."""
    rows = []
    for name, spent in times.items():
        pairs = list(zip(times["plain"], spent, strict=True))
        row: dict[str, Any] = {"program": name}
        for index, kind in enumerate(("cpu", "wall")):
            row[f"{kind}_s"] = statistics.median(seconds[index] for seconds in spent)
            row[f"{kind}_ratio"] = statistics.median(plain[index] / own[index] for plain, own in pairs)
        differences = [abs(a - b) for a, b in zip(scores["plain"], scores[name], strict=False)]
        row["score_difference"] = max(differences, default=0.0)
        rows.append(row)
        print(
            f"{name:14} {row['cpu_s']:8.2f} CPU s, {row['wall_s']:8.2f} s per study; plain takes "
            f"{row['cpu_ratio']:6.2f} (CPU), {row['wall_ratio']:6.2f} (wall) times as long; "
            f"scores differ by up to {row['score_difference']:.4f}"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", type=Path, required=True, help="DICOM folder of one study")
    parser.add_argument("--weights", type=Path, help="of the classifier (default: untrained)")
    parser.add_argument("--vision", type=Path, help="of the vision encoder")
    parser.add_argument("--text", type=Path, help="folder of the text encoder")
    parser.add_argument("--detector", type=Path, help="of the detector (default: tiny, untrained)")
    parser.add_argument("--detector-size", type=int, default=512, help="pixels, of the untrained one")
    parser.add_argument("--options", type=json.loads, default={}, help="of the classifier, as JSON")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    rows = report(*measure(build_programs(options), options.repeats))
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{torch.get_num_threads()} threads; peak memory of all programs together {peak_gb:.2f} GB")
    if options.json:
        options.json.write_text(
            json.dumps({"rows": rows, "peak_gb": peak_gb}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
