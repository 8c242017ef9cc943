"""`model.ts` takes what the network takes, and gives the same scores to plain torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_mmbcd import TOY, build_toy_mmbcd, write_toy_encoders

from common.errors import ClassifierError
from mmbcd.network import build_mmbcd
from mmbcd.script import save_script

PLAIN = """
import sys, warnings, torch
warnings.simplefilter("ignore")
torch.set_num_threads(1)
extra = {"weights.json": ""}
network = torch.jit.load(sys.argv[1], _extra_files=extra)
with torch.no_grad():
    torch.save([network(**row) for row in torch.load(sys.argv[2], weights_only=True)], sys.argv[3])
assert not any(name.split(".")[0] in ("mmbcd", "common", "transformers", "timm") for name in sys.modules)
print(extra["weights.json"].decode())
"""
HISTORIES = ["lump in the left breast", "pain in the right breast, mother had breast cancer", None]


@pytest.mark.parametrize("missing", ["learned", "empty"])
def test_plain_torch_gives_the_same_scores(missing: str, tmp_path: Path) -> None:
    network = build_mmbcd(**write_toy_encoders(tmp_path), **(TOY | {"missing_history": missing}))
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.05 * torch.randn_like(value))
    save_script(network, tmp_path / "model.ts")
    image, text = torch.rand(3, 3, 5, 16, 16), network.tokenize(HISTORIES)
    there = torch.arange(5) < torch.tensor([[5], [2], [3]])
    rows: list[dict[str, Any]] = [
        {"image": image},
        {"image": image[:1, :, :2], "roi_mask": there[:1, :2]},
        {
            "image": image[:2],
            "input_ids": text["input_ids"][:2],
            "attention_mask": text["attention_mask"][:2],
        },
        {"image": image, "roi_mask": there, **text},
    ]
    torch.save(rows, tmp_path / "rows.pt")
    paths = [str(tmp_path / name) for name in ("model.ts", "rows.pt", "logits.pt")]
    run = subprocess.run([sys.executable, "-c", PLAIN, *paths], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    about = json.loads(run.stdout)
    assert about["options"]["missing_history"] == missing and about["weights"]["purpose"] == "untrained"
    found = torch.load(tmp_path / "logits.pt", weights_only=True)
    with torch.no_grad():
        for row, logits in zip(rows, found, strict=True):
            torch.testing.assert_close(logits, network(**row), rtol=1e-4, atol=1e-5)
        alone, told = network(image[:2]), network(**rows[2])
    assert not torch.allclose(alone, told, atol=1e-4)  # the history counts in this network


@pytest.mark.parametrize("preset", ["paper", "released_code", "default"])
def test_what_monai_exports_answers_to_a_picture_alone(preset: str, tmp_path: Path) -> None:
    options = TOY | {"preset": preset, "projection": 0 if preset == "paper" else 16}
    network = build_mmbcd(**write_toy_encoders(tmp_path), **options)
    image = torch.rand(3, 3, 4, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(network)(image), network(image), rtol=1e-4, atol=1e-5)


def test_a_text_network_without_a_tokenizer_is_refused() -> None:
    with pytest.raises(ClassifierError, match="text: expected a tiny folder with its tokenizer, got an untr"):
        torch.jit.script(build_toy_mmbcd())


def test_without_text() -> None:
    network, image = build_toy_mmbcd(use_text=False), torch.rand(2, 3, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(network)(image), network(image), rtol=1e-4, atol=1e-5)
