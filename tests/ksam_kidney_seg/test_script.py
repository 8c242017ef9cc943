"""`model.ts` gives the same masks in a process that knows nothing but torch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_backbones import TOY_VIT
from toy_ksam import OPTIONS, build_toy

from common.errors import ClassifierError
from common.networks.card import WeightsCard
from common.networks.sam import build_sam
from ksam.knowledge_sam import KSam
from ksam.options import find_options
from ksam.script import save_script

PLAIN = """
import sys, warnings, torch
warnings.simplefilter("ignore")
torch.set_num_threads(1)
extra = {"weights.json": ""}
network = torch.jit.load(sys.argv[1], _extra_files=extra)
images = torch.load(sys.argv[2], weights_only=True)
with torch.no_grad():
    torch.save({str(len(x)): network(x) for x in images}, sys.argv[3])
assert not any(name.split(".")[0] in ("ksam", "common", "segment_anything", "timm") for name in sys.modules)
print(extra["weights.json"].decode())
"""


def build(kind: str) -> KSam:
    """Toys of both kinds of backbone: TinyViT, and SAM's ViT with windows that need padding."""
    if kind == "lite":
        return build_toy(lora_rank=2, prior="both")
    torch.manual_seed(0)
    return KSam(build_sam(TOY_VIT, image_size=128), find_options("vit_b", OPTIONS)).eval()


@pytest.mark.parametrize("kind", ["lite", "vit_b"])
def test_plain_torch_gives_the_same_masks(kind: str, tmp_path: Path) -> None:
    network = build(kind)
    size = network.image_size
    lora = any("lora_a" in name for name, _ in network.named_parameters())
    with torch.no_grad():
        for value in network.trainable_parameters():
            value.add_(0.05 * torch.randn_like(value))
    templates = torch.randint(0, 256, (3, 2, 3, size, size)).float()
    network.set_bank(templates, (templates[:, :, :1] > 128).float(), ("cortex", "medulla", "artery"))
    network.card = replace(WeightsCard("toy"), purpose="demonstration")
    save_script(network, tmp_path / "model.ts")
    images = [torch.rand(count, 3, size, size) * 255 for count in (1, 3)]
    torch.save(images, tmp_path / "images.pt")
    paths = [str(tmp_path / name) for name in ("model.ts", "images.pt", "logits.pt")]
    run = subprocess.run([sys.executable, "-c", PLAIN, *paths], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    about = json.loads(run.stdout)
    assert about["structures"] == ["cortex", "medulla", "artery"]
    assert about["weights"]["purpose"] == "demonstration"
    logits = torch.load(tmp_path / "logits.pt", weights_only=True)
    with torch.no_grad():
        for image in images:
            torch.testing.assert_close(logits[str(len(image))], network(image), rtol=1e-4, atol=1e-4)
    # LoRA was merged in a copy only
    assert any("lora_a" in name for name, _ in network.named_parameters()) == lora


@pytest.mark.parametrize("kind", ["lite", "vit_b"])
def test_what_monai_exports_answers_by_the_bank(kind: str, tmp_path: Path) -> None:
    """`ckpt_export` scripts the network and saves it: pictures in, logits of all structures out."""
    network = build(kind)
    size = network.image_size
    templates = torch.randint(0, 256, (2, 1, 3, size, size)).float()
    network.set_bank(templates, (templates[:, :, :1] > 128).float())
    torch.jit.script(network).save(str(tmp_path / "exported.ts"))
    exported, images = torch.jit.load(str(tmp_path / "exported.ts")), torch.rand(3, 3, size, size) * 255
    with torch.no_grad():
        torch.testing.assert_close(exported(images), network(images), rtol=1e-4, atol=1e-4)


def test_refuses_an_empty_bank(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match=r"model\.ts: expected a filled prompt bank, got none"):
        save_script(build_toy(), tmp_path / "model.ts")
    assert list(tmp_path.iterdir()) == []
