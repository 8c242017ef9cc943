"""Which templates, how many, how averaged - and what the network's own figures say about its Dice.

    python3 tools/experiment/ksam_templates.py --base BASE --delta DELTA --datalist FILE --output FILE

For every slice with a structure: Dice of each template alone, of each retrieval with k templates, of both
averages; the templates' agreement and the way there and back of each template, and their rank correlation
with the Dice that was reached.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "bundles" / "ksam_kidney_seg")]
import _venv  # noqa: E402

if __name__ == "__main__":
    _venv.enter_venv()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy.stats import spearmanr  # noqa: E402

from common.errors import BundleError  # noqa: E402
from common.io.files import write_json  # noqa: E402
from experiment.ksam_volumes import Case, EncodeOnce, add_arguments, build_network, dice, read_cases  # noqa: E402
from ksam.consistency import certainty  # noqa: E402
from ksam.frame import build_frame  # noqa: E402
from ksam.inferer import KnowledgePromptInferer  # noqa: E402
from ksam.predictions import SlicePrediction  # noqa: E402
from ksam.retrieval import RETRIEVALS  # noqa: E402
from ksam.templates import relative_position  # noqa: E402


def main(arguments: list[str]) -> int:
    """Measure all volumes. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Measures retrieval, averages, expected Dice.")
    add_arguments(parser)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 3], help="templates averaged")
    parser.add_argument("--every", type=int, default=4, help="of the labelled slices every n-th")
    options = parser.parse_args(arguments)
    try:
        network = build_network(options)
        rows: list[dict[str, Any]] = []
        for case in read_cases(options):
            rows += measure(case, network, options)
            write_json(options.output, rows)
            network.forget()
        print(describe(rows))
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def measure(case: Case, network: EncodeOnce, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each slice, structure and setting."""
    labelled = np.flatnonzero(np.any([mask.any(axis=(0, 1)) for mask in case.masks.values()], axis=0))
    chosen = [int(z) for z in labelled if case.counted[z]][:: options.every]
    inferers = dict(build_inferers(case, options.k))
    rows = []
    for z in chosen:
        place = relative_position(z, case.voxels.shape[2])
        for name, inferer in inferers.items():
            found = inferer.predict_slice(case.voxels[:, :, z], network, position=place, members=True)
            rows += score(case, z, name, found)
        rows += score_round_trips(case, z, inferers["alone"], network)
        print(f"{case.name}  slice {z}", flush=True)
    return rows


def build_inferers(case: Case, counts: list[int]) -> Iterator[tuple[str, KnowledgePromptInferer]]:
    """All templates, for each alone; every retrieval with each k; the other average."""
    count = len(case.task.templates)
    yield "alone", KnowledgePromptInferer(case.task, "fixed", count, cache=False)
    yield "all, logits", KnowledgePromptInferer(case.task, "fixed", count, "logit", cache=False)
    for retrieval in RETRIEVALS:
        for k in counts:
            yield f"{retrieval}, k = {k}", KnowledgePromptInferer(case.task, retrieval, k, cache=False)


def score(case: Case, z: int, name: str, found: SlicePrediction) -> list[dict[str, Any]]:
    """Dice of the mean, its agreement and certainty; of "alone" also each template's."""
    rows = []
    for place, structure in enumerate(found.structures):
        truth = case.masks[structure.name][:, :, z]
        if not truth.any():
            continue
        row = {"case": case.name, "slice": z, "structure": structure.name}
        mine = {
            "dice": dice(found.logits[place] > 0, truth),
            "agreement": float(found.expected_dice[place]),
            "certainty": certainty(found.logits[place]),
        }
        rows.append({**row, "setting": "all" if name == "alone" else name, **mine})
        if name == "alone":
            for template, logits in found.members[structure.name].items():
                one = {"dice": dice(logits > 0, truth), "certainty": certainty(logits)}
                rows.append({**row, "setting": "one", "template": template, **one})
    return rows


def score_round_trips(
    case: Case, z: int, inferer: KnowledgePromptInferer, network: EncodeOnce
) -> list[dict[str, Any]]:
    """The way there and back of every template on one slice."""
    task, predictor = case.task, inferer.predictor(network, case.task)
    frame = build_frame(case.voxels[:, :, z], task.crop, network.image_size)
    image = torch.from_numpy(frame.to_network(case.voxels[:, :, z], task.window))[None]
    embedding = network.encode(image)
    return [
        {
            "case": case.name,
            "slice": z,
            "structure": name,
            "setting": "round trip",
            "template": template.id,
            "round_trip": predictor.round_trip(image, embedding, name, template),
        }
        for name in task.structure_names
        for template in task.templates_of(name)
        if case.masks[name][:, :, z].any()
    ]


def describe(rows: list[dict[str, Any]]) -> str:
    """Markdown: mean Dice of each setting, and rank correlations with it."""
    settings = [s for s in dict.fromkeys(row["setting"] for row in rows) if s != "round trip"]
    lines = ["| setting | mean Dice | slices |", "|---|---|---|"]
    for name in settings:
        found = [row["dice"] for row in rows if row["setting"] == name]
        lines.append(f"| {name} | {np.mean(found):.3f} | {len(found)} |")
    trips = {_key(row): row["round_trip"] for row in rows if row["setting"] == "round trip"}
    ones = [{**row, "round_trip": trips[_key(row)]} for row in rows if row["setting"] == "one"]
    everything = [row for row in rows if row["setting"] == "all"]
    lines += ["", "| what the network says | rank correlation with Dice |", "|---|---|"]
    for title, group, key in (
        ("agreement of all templates", everything, "agreement"),
        ("certainty of the mean", everything, "certainty"),
        ("certainty of one template", ones, "certainty"),
        ("way there and back of one template", ones, "round_trip"),
    ):
        lines.append(f"| {title} | {correlation([r[key] for r in group], [r['dice'] for r in group])} |")
    return "\n".join(lines)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["case"], row["slice"], row["structure"], row["template"]


def correlation(said: list[float], reached: list[float]) -> str:
    """Spearman's, "-" where it is not defined."""
    kept = [(a, b) for a, b in zip(said, reached, strict=True) if np.isfinite(a)]
    if len(kept) < 3 or min(len(set(values)) for values in zip(*kept, strict=True)) < 2:
        return "-"
    return f"{spearmanr(*zip(*kept, strict=True)).statistic:.2f} (n = {len(kept)})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
