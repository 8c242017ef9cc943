"""Speed of KSAM per slice with three structures, as ratios in one run, and what the fast ways cost in Dice.

The naive form encodes picture and template anew for every structure, in fp32 eager PyTorch. Against it: the
same with everything encoded once (cached), the engines, and segment_anything's own predictor (ViT-B at 1024
pixels, one box for each structure). Rounds alternate between the programs; medians of the ratios inside a
round are printed, in CPU seconds of all threads and in wall-clock seconds.

    python3 tools/benchmark/ksam.py                                  # backbone lite, slices of a CT phantom
    python3 tools/benchmark/ksam.py --delta FILE --slices 6          # trained: with Dice against the truth
    python3 tools/benchmark/ksam.py --backbone vit_b --repeats 3     # weights from .cache, else random: times
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "ksam_kidney_seg"
sys.path[:0] = [str(ROOT / "tools"), str(BUNDLE)]
import _venv  # noqa: E402

if __name__ == "__main__":
    _venv.enter_venv()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from phantoms.ct_dataset import Population  # noqa: E402
from phantoms.ct_protocol import Protocol  # noqa: E402
from segment_anything import SamPredictor, sam_model_registry  # noqa: E402
from tqdm import tqdm  # noqa: E402

from common.io.ct_types import CtVolume, Source  # noqa: E402
from ksam.eager import EagerNetwork  # noqa: E402
from ksam.engines import KSamEngines  # noqa: E402
from ksam.frame import Window, build_frame  # noqa: E402
from ksam.knowledge_sam import KSam  # noqa: E402
from ksam.network import build_ksam  # noqa: E402
from ksam.predictor import join_knowledge  # noqa: E402

WEIGHTS = {
    "lite": BUNDLE / "models" / "lite_medsam.pth",
    "vit_b": ROOT / ".cache/backbones/sam_vit_b_01ec64.pth",
    "medsam": ROOT / ".cache/backbones/medsam_vit_b.pth",
}
STRUCTURES = 3  # cortex, medulla, artery
WINDOW = Window(100, 500)
SEED = 91_000  # beyond every seed of the training population


@dataclass(frozen=True)
class Example:
    """A slice in the network's square: picture (1, 3, S, S) 0..255, masks (3, 1, S, S) 0..1."""

    picture: torch.Tensor
    masks: torch.Tensor


Program = Callable[[Example], torch.Tensor | None]
"""A slice -> logits (3, S, S); None where they are not KSAM's."""


def draw_examples(count: int, size_px: int) -> list[Example]:
    """Slices of phantoms that show all structures: first the template, then those of another patient."""
    protocol = Protocol(matrix=256, slices_mm=(4.0,))
    population = Population(2, SEED, phases=("corticomedullary",), damaged=0.0, protocol=protocol)
    template = cut_slices(population, 0, 1, size_px)
    return template + cut_slices(population, 1, count, size_px)


def cut_slices(population: Population, patient: int, count: int, size_px: int) -> list[Example]:
    """Evenly spaced among the patient's slices that show all structures."""
    images, _ = population.scan_patient(patient)
    source = Source("NIfTI", "phantom", 1)
    voxels, labels = (
        CtVolume(array, images.scan.affine_ras_mm, source).to_axial().voxels
        for array in (images.voxels_hu, images.labels.astype(np.int16))
    )
    full = [z for z in range(labels.shape[2]) if {1, 2, 3} <= set(np.unique(labels[:, :, z]))]
    chosen = [full[i] for i in np.linspace(0, len(full) - 1, count + 2).round().astype(int)[1:-1]]
    return [to_example(voxels[:, :, z], labels[:, :, z], size_px) for z in chosen]


def to_example(image_hu: np.ndarray, labels: np.ndarray, size_px: int) -> Example:
    """One slice by the bundle's own frame and window."""
    frame = build_frame(image_hu, "none", size_px)
    masks = [frame.mask_to_network(labels == value) for value in range(1, STRUCTURES + 1)]
    picture = torch.from_numpy(frame.to_network(image_hu, WINDOW))[None]
    return Example(picture, torch.from_numpy(np.stack(masks)).float()[:, None])


def run_naively(network: KSam, template: Example) -> Program:
    """Picture and template encoded for every structure, fp32, eager."""

    @torch.inference_mode()
    def run(example: Example) -> torch.Tensor:
        pairs = [network(example.picture, template.picture, mask[None]) for mask in template.masks]
        return torch.cat(pairs)[:, 0]

    return run


def run_cached(engine: EagerNetwork | KSamEngines, template: Example) -> Program:
    """The template read once for all slices, the picture encoded once, one pass for all structures."""
    embedding = engine.encode(template.picture)
    read = [engine.read_prompt(embedding, template.picture, mask[None]) for mask in template.masks]
    knowledge = join_knowledge(read)
    return lambda example: engine.segment(engine.encode(example.picture), knowledge)[:, 0]


def run_predictor() -> Program:
    """segment_anything's predictor: ViT-B at 1024 pixels, the picture encoded once, a box per structure."""
    file = WEIGHTS["vit_b"]
    predictor = SamPredictor(sam_model_registry["vit_b"](str(file) if file.is_file() else None))

    def run(example: Example) -> None:
        predictor.set_image(example.picture[0].permute(1, 2, 0).byte().numpy())
        for mask in example.masks[:, 0]:
            rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            predictor.predict(box=np.array(box), multimask_output=False)

    return run


def build_programs(network: KSam, template: Example, options: argparse.Namespace) -> dict[str, Program]:
    """All that are compared; "naive" comes first."""
    programs = {"naive": run_naively(network, template)}
    programs["cached"] = run_cached(EagerNetwork(network), template)
    for precision in ("fp32", "bf16"):
        engines = KSamEngines(network, "openvino", precision)
        programs[f"OpenVINO {precision}"] = run_cached(engines, template)
    if options.predictor:
        programs["predictor"] = run_predictor()
    return programs


def measure(
    programs: dict[str, Program], slices: list[Example], repeats: int
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, list[torch.Tensor]]]:
    """Seconds (CPU, wall) per slice of every round, and the logits of the last one; one warm-up each."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    logits: dict[str, list[torch.Tensor]] = {}
    for run in tqdm(programs.values(), "warm-up"):
        run(slices[0])
    for _ in tqdm(range(repeats), "rounds"):
        for name, run in programs.items():
            cpu, wall = time.process_time(), time.perf_counter()
            found = [run(example) for example in slices]
            spent = time.process_time() - cpu, time.perf_counter() - wall
            times[name].append((spent[0] / len(slices), spent[1] / len(slices)))
            logits[name] = [value for value in found if value is not None]
    return times, logits


def dice(first: torch.Tensor, second: torch.Tensor) -> float:
    """Of two masks; 1 where both are empty."""
    total = float(first.sum() + second.sum())
    return 2 * float((first & second).sum()) / total if total else 1.0


def mean_dice(logits: list[torch.Tensor], masks: list[torch.Tensor]) -> float:
    """Over slices and structures."""
    scores = [
        dice(one > 0, other)
        for found, wanted in zip(logits, masks, strict=True)
        for one, other in zip(found, wanted, strict=True)
    ]
    return statistics.mean(scores)


def report(
    times: dict[str, list[tuple[float, float]]], logits: dict[str, list[torch.Tensor]], slices: list[Example]
) -> list[dict[str, Any]]:
    """Print and return one row for each program."""
    truth = [example.masks[:, 0] > 0.5 for example in slices]
    exact = [value > 0 for value in logits["naive"]]
    rows = []
    for name, spent in times.items():
        pairs = list(zip(times["naive"], spent, strict=True))
        row: dict[str, Any] = {"program": name}
        for index, kind in enumerate(("cpu", "wall")):
            row[f"{kind}_s"] = statistics.median(seconds[index] for seconds in spent)
            row[f"{kind}_ratio"] = statistics.median(naive[index] / own[index] for naive, own in pairs)
        if logits[name]:
            row["dice_to_naive"] = mean_dice(logits[name], exact)
            row["dice_to_truth"] = mean_dice(logits[name], truth)
        rows.append(row)
        dices = "".join(f"  {key} {row[key]:.4f}" for key in row if key.startswith("dice"))
        print(
            f"{name:14} {row['cpu_s']:8.2f} CPU s, {row['wall_s']:8.2f} s per slice; naive takes "
            f"{row['cpu_ratio']:6.2f} (CPU), {row['wall_ratio']:6.2f} (wall) times as long{dices}"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", choices=sorted(WEIGHTS), default="lite")
    parser.add_argument("--delta", type=Path, help="trained part (default: none, times only)")
    parser.add_argument("--slices", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-predictor", dest="predictor", action="store_false")
    parser.add_argument("--options", type=json.loads, default={}, help="of the network, as JSON")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    network = build_network(options)
    template, *slices = draw_examples(options.slices, network.image_size)
    programs = build_programs(network, template, options)
    rows = report(*measure(programs, slices, options.repeats), slices)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def build_network(options: argparse.Namespace) -> KSam:
    """With what weights there are; says which."""
    file = WEIGHTS[options.backbone]
    weights = file if file.is_file() else None
    torch.manual_seed(0)
    network = build_ksam(options.backbone, weights, options.delta, **options.options)
    trained = options.delta.name if options.delta else "none: Dice compares arithmetic, not quality"
    name = weights.name if weights else "random"
    print(f"{options.backbone} {network.image_size} px, backbone's weights: {name}, trained part: {trained}")
    print(f"{torch.get_num_threads()} threads; {network.options}")
    return network


if __name__ == "__main__":
    main()
