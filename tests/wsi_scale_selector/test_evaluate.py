"""Evaluation as a command: colours that a hand-made classifier knows, at one scale only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from toy_training import COLORS, SLIDE_MPP, draw_slides, open_workflow, write_classifier

from common.errors import ConfigError, InputError
from scale_selector import evaluate
from scale_selector.classifier import load_classifier_spec
from scale_selector.data import hash_group
from scale_selector.material import Source
from scale_selector.network import build_network

FILES = {"evaluation.json", "evaluation.csv", "evaluation.md"}


def write_perfect(folder: Path, **reference: Any) -> Path:
    """A toy classifier whose weights tell red from green."""
    spec = load_classifier_spec(write_classifier(folder))
    network = build_network(spec, pretrained=False)
    state = {key: torch.zeros_like(value) for key, value in network.state_dict().items()}
    state["backbone.body.0.weight"][0, 0, 1, 1] = state["backbone.body.0.weight"][1, 1, 1, 1] = 1.0
    for name in ("weight", "running_var"):
        state[f"backbone.body.1.{name}"].fill_(1.0)
    state["weight"][0, 0] = state["weight"][1, 1] = 1.0
    torch.save(state, folder / "perfect.pt")
    weights = {"file": "perfect.pt", "sha256": None}
    return write_classifier(folder, weights=weights, reference=reference or None)


def overrides_for(folder: Path, **changes: Any) -> dict[str, Any]:
    settings = {
        "dataset_dir": draw_slides(folder / "data", 3),
        "classifier": write_perfect(folder),
        "output_dir": folder / "out",
        "slide_mpp": SLIDE_MPP,
        "engine": "torch",
        "precision": "fp32",
    }
    return settings | changes


def run_evaluation(**overrides: Any) -> dict[str, Any]:
    open_workflow("evaluate.json", "infer", **overrides).run()
    return json.loads((Path(overrides["output_dir"]) / "evaluation.json").read_text())


def test_config_has_all_properties(tmp_path: Path) -> None:
    assert open_workflow("evaluate.json", "infer", **overrides_for(tmp_path)).check_properties() == []


def test_annotated_slides(tmp_path: Path) -> None:
    result = run_evaluation(**overrides_for(tmp_path, scales=["x20", "x40"]))
    assert {p.name for p in (tmp_path / "out").iterdir()} == FILES | {
        "confusion_matrix_x20.png",
        "confusion_matrix_x40.png",
    }
    x20, x40 = result["scales"]
    # halves of 160 x 240 px in the slide's own grid: 5 x 7 tiles of 32 px at x20, 10 x 15 of 16 px at x40
    assert (x20["patches"], x40["patches"]) == (3 * 2 * 35, 3 * 2 * 150)
    assert x20["confusion"] == [[105, 0], [0, 105]] and x40["mean_accuracy"] == 1.0
    assert result["groups"] == 3 and result["engine"]["engine"] == "torch"
    assert result["weights"]["purpose"] == "research" and len(result["weights"]["sha256"]) == 64
    assert "| x20 | 100.00 | 100.00 | 100.00 |" in (tmp_path / "out" / "evaluation.md").read_text()
    assert "not for diagnosis" in (tmp_path / "out" / "evaluation.md").read_text()


def test_swapped_annotations_are_all_wrong(tmp_path: Path) -> None:
    aliases = {"red": "green", "green": "red"}
    result = run_evaluation(**overrides_for(tmp_path, scales=["x20"], class_aliases=aliases))
    assert result["scales"][0]["confusion"] == [[0, 105], [105, 0]]


def test_both_annotation_forms_give_the_same(tmp_path: Path) -> None:
    overrides = overrides_for(tmp_path, scales=[20])
    first = run_evaluation(**overrides)
    for path in (tmp_path / "data" / "annotations").glob("*.json"):
        features = [
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [[*r["vertices"], r["vertices"][0]]]},
                "properties": {"classification": {"name": r["class"]}},
            }
            for r in json.loads(path.read_text())
        ]
        path.with_suffix(".geojson").write_text(
            json.dumps({"type": "FeatureCollection", "features": features})
        )
        path.unlink()
    second = run_evaluation(**overrides)
    assert first["scales"] == second["scales"] and first["scales"][0]["scale"] == "x20"


def test_openvino_agrees_with_torch(tmp_path: Path) -> None:
    overrides = overrides_for(tmp_path, scales=["x20"], max_patches=5)
    first, second = (run_evaluation(**overrides | {"engine": engine}) for engine in ("torch", "openvino"))
    assert first["scales"] == second["scales"] and first["scales"][0]["patches"] == 3 * 2 * 5


def test_the_test_split_is_taken(tmp_path: Path) -> None:
    overrides = overrides_for(tmp_path, scales=["x20"])
    for split, count in (("train", 2), ("test", 1)):
        draw_slides(tmp_path / "split", count, split)
    overrides["dataset_dir"] = tmp_path / "split"
    assert run_evaluation(**overrides)["groups"] == 1
    assert run_evaluation(**overrides, split="train")["groups"] == 2


def test_patch_folders(tmp_path: Path) -> None:
    for name, color in COLORS.items():
        (tmp_path / "patches" / name).mkdir(parents=True)
        for number in range(3):
            picture = np.full((20, 20, 3), color[::-1], np.uint8)
            cv2.imwrite(str(tmp_path / "patches" / name / f"{number}{name}.png"), picture)
    overrides = overrides_for(tmp_path, dataset_dir=tmp_path / "patches", patch_mpp=0.5)
    row = run_evaluation(**overrides)["scales"][0]
    assert (row["scale"], row["mpp"], row["confusion"]) == ("x20", 0.5, [[3, 0], [0, 3]])


def test_training_slides_are_refused_without_their_names(tmp_path: Path) -> None:
    overrides = overrides_for(tmp_path)
    overrides["classifier"] = write_perfect(tmp_path, training_groups=[hash_group("slide1")])
    spec = load_classifier_spec(overrides["classifier"])
    sources = [Source(Path("x"), f"slide{number}") for number in range(3)]
    with pytest.raises(InputError, match="toy has not seen, got 1 that it was trained on") as caught:
        evaluate.refuse_training_groups(sources, spec)
    assert "slide1" not in str(caught.value)
    with pytest.raises(RuntimeError):
        run_evaluation(**overrides)
    assert run_evaluation(**overrides, allow_training_groups=True)["settings"]["allow_training_groups"]


def material(folder: Path, **changes: Any) -> evaluate.EvaluationMaterial:
    settings: dict[str, Any] = {
        "classifier": str(write_perfect(folder)),
        "dataset_dir": str(draw_slides(folder / "data", 2)),
        "scales": ["x20"],
        "split": None,
        "stride": 1.0,
        "max_patches": None,
        "allow_training_groups": False,
        "slide_mpp": SLIDE_MPP,
    }
    return evaluate.build_material(**settings | changes)


def test_stride_makes_more_tiles(tmp_path: Path) -> None:
    # steps of 16 px: 9 x 14 places in each half; the column on the border lies half in each class
    assert len(material(tmp_path, stride=0.5).patches) == 2 * 2 * 9 * 14


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stride: expected a share in"):
        material(tmp_path, stride=0.0)
    with pytest.raises(ConfigError, match=r"split: expected one that the material has \(none\), got 'test'"):
        material(tmp_path, split="test")
    with pytest.raises(InputError, match="expected patches, got none"):
        material(tmp_path, scales=["x1"])


@pytest.mark.parametrize(
    ("scales", "names"), [("x20", ("x20",)), (20, ("x20",)), ("x10, 0.5um", ("x10", "0.5um"))]
)
def test_scales_as_the_command_line_gives_them(tmp_path: Path, scales: Any, names: tuple[str, ...]) -> None:
    found = material(tmp_path, scales=scales)
    assert (found.scales, found.mpps[-1]) == (names, 0.5)


def test_the_same_scale_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="scales: expected different scales, got x20, 0.5um"):
        material(tmp_path, scales=["x20", "0.5um"])


def test_patches_of_unknown_scale(tmp_path: Path) -> None:
    (tmp_path / "patches" / "red").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "patches" / "red" / "a.png"), np.zeros((20, 20, 3), np.uint8))
    (tmp_path / "other").mkdir()
    path = write_classifier(tmp_path / "other", training_mpp=None)
    with pytest.raises(ConfigError, match="patch_mpp: expected the resolution of the patches"):
        material(tmp_path, classifier=str(path), dataset_dir=str(tmp_path / "patches"))
