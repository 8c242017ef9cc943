"""Table 1 at toy size: rows of every family, what is left out, what is not repeated, one-line errors."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from experiment import mmbcd_table1
from experiment.mmbcd_peers import rows as table_rows
from experiment.mmbcd_peers import run
from experiment.mmbcd_peers.table import list_paper
from PIL import Image
from toy_mammo_peers import write_clip, write_llava
from toy_mammo_training import OPTIONS, draw_datalist

from common.errors import ConfigError, InputError
from common.networks.card import WeightsCard
from common.networks.vision_encoders import build_vision_encoder
from common.training.datalist import hash_patient
from mmbcd.network import build_mmbcd
from mmbcd.weights import save_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datalist, weights and a config with a row of every family."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("table")
    draw_datalist(folder / "data", (6, 4, 4))
    write_weights(folder, "training0")
    clip, llava = str(write_clip(folder / "clip")), str(write_llava(folder / "llava"))
    tiny, sizes = str(folder / "tiny.pt"), {"vision": "tiny", "image_size": 16}
    torch.save(build_vision_encoder("tiny", image_size=16, frozen_blocks=0).state_dict(), tiny)
    small = {"rank": 4, "alpha": 8, "half": False, "checkpointing": False}
    rows = [
        ("gone", "CLIP", "clip", {"vision": "nowhere.pth", "text": clip}, {"vision": "resnet50"}, None),
        ("clip", "CLIP-ViT", "clip", {"vision": tiny, "text": clip}, sizes, "CLIP-ViT, DINO"),
        ("llava", "LLaVA", "llava", {"folder": llava}, small, "LLaVA, LCS-558K"),
        ("mmbcd", "MMBCD", "mmbcd", {}, {}, "OURS"),
    ]
    keys = ("id", "name", "family", "files", "arguments", "paper")
    content = json.loads(mmbcd_table1.CONFIG.read_text())
    content["peers"] = [dict(zip(keys, row, strict=True)) | {"weights": "toy"} for row in rows]
    for settings in content["training"].values():
        settings |= {"batch_size": 8, "accumulate": 1, "precision": "fp32", "learning_rate": 0.003}
    content["training"]["clip"]["rates"] = {}
    content["regions"] = {"rois": 3}
    (folder / "peers.json").write_text(json.dumps(content))
    return folder


def command(folder: Path, out: Path, *words: Any) -> list[str]:
    data = folder / "data"
    given = ["--datalist", data / "datalist.json", "--boxes", data / "boxes.json", "--output", out]
    given += ["--config", folder / "peers.json", "--epochs", 2, "--device", "cpu", "--text", data / "text"]
    return [str(word) for word in (*given, *words)]


def write_weights(folder: Path, patient: str, name: str = "mmbcd") -> Path:
    torch.manual_seed(0)
    text = folder / "data" / "text"
    network = build_mmbcd(text_folder=text, vision="tiny", text="tiny", rois=3, **OPTIONS)
    notes = {"training_patients": [hash_patient(patient)]}
    path = folder / f"{name}.safetensors"
    save_weights(network, path, WeightsCard(name, "1", "demonstration", "generated"), notes=notes)
    return path


def read_lines(out: Path) -> dict[str, dict[str, str]]:
    with (out / "table1.csv").open() as file:
        return {line["model"]: line for line in csv.DictReader(file)}


def test_the_whole_table(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "DRAWS", 50)
    words = command(folder, tmp_path, "--mmbcd", folder / "mmbcd.safetensors")
    mmbcd_table1.main(words)
    lines = read_lines(tmp_path)
    assert list(lines) == ["CLIP-ViT", "LLaVA", "MMBCD"]  # the config's order
    clip, llava, ours = lines.values()
    for line in lines.values():
        assert 0 <= float(line["accuracy from"]) <= float(line["accuracy"]) <= float(line["accuracy to"]) <= 1
    assert llava["AUC"] == llava["AUC from"] == llava["AUC of ours minus this"] == ""
    assert ours["AUC of ours minus this"] == "" and 0 <= float(ours["AUC"]) <= 1
    difference = float(ours["AUC"]) - float(clip["AUC"])
    assert float(clip["AUC of ours minus this"]) == pytest.approx(difference, abs=1e-9)
    assert clip["AUC on AIIMS 1 (paper)"] == "0.895" and llava["AUC on AIIMS 2 (paper)"] == ""
    text = (tmp_path / "table1.md").read_text()
    assert f"| {float(clip['AUC']):.3f} ({float(clip['AUC from']):.3f} to " in text
    assert "| 0.84 / 0.5 / 0.895 | 0.91 / 0.27 / 0.741 |" in text and "| 0.91 / 0.41 / - |" in text
    assert "- CLIP, toy: nowhere.pth is not there: nothing is downloaded" in text
    assert "breasts, test part, synthetic histories. mmbcd: demonstration weights of MMBCD." in text
    assert Image.open(tmp_path / "table1.png").width > 600
    with (tmp_path / "llava" / "scores.csv").open() as file:
        scores = [row["score"] for row in csv.DictReader(file)]
    assert len(scores) == 16 and set(scores) <= {"", "0.0", "1.0"}
    assert scores.count("") == int(llava["without an answer"])

    def refuse(*_: Any) -> None:
        raise AssertionError("a finished row is not repeated")

    monkeypatch.setattr(run, "build_peer", refuse)
    mmbcd_table1.main(words)
    assert read_lines(tmp_path) == lines
    with pytest.raises(AssertionError, match="not repeated"):
        mmbcd_table1.main([*words, "--seed", "1", "--peers", "clip"])


def test_training_patients_of_the_weights_are_not_scored(folder: Path, tmp_path: Path) -> None:
    seen = write_weights(folder, "test1", "seen")
    words = command(folder, tmp_path, "--mmbcd", seen, "--peers", "mmbcd")
    with pytest.raises(InputError, match="expected patients that MMBCD was not trained on, got 1 of its own"):
        mmbcd_table1.main(words)


def test_refusals_of_the_command(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="peers: expected ids of the config, got 'clib': did you mean clip"):
        mmbcd_table1.main(command(folder, tmp_path, "--peers", "clib"))
    with pytest.raises(ConfigError, match="expected at least one row whose files are there, got none of 2"):
        mmbcd_table1.main(command(folder, tmp_path, "--peers", "gone", "mmbcd"))
    assert not (tmp_path / "table1.md").exists()


def test_refusals_of_the_config(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / "peers.json").read_text())
    path = tmp_path / "peers.json"

    def refuse(match: str, **changes: Any) -> None:
        first, *others = content["peers"]
        path.write_text(json.dumps(content | {"peers": [first | changes, *others]}))
        with pytest.raises(ConfigError, match=match):
            table_rows.read_table(path)

    refuse("peers.json: expected an id of its own for every peer, got one twice", id="llava")
    refuse("got one with unknown \\['colour'\\]", colour=1)
    refuse("expected a family of clip, llava, mmbcd, got 'magic': correct gone", family="magic")
    path.write_text(json.dumps(content | {"training": {"clip": {}}}))
    with pytest.raises(ConfigError, match="expected training of every family, got none of llava"):
        table_rows.read_table(path)
    row = table_rows.Row("a", "a", "x", "clip", {"text": "b"}, {"visoin": "tiny"})
    with pytest.raises(ConfigError, match="a: expected arguments of clip, got .*'vision'"):
        table_rows.build_peer(row, tmp_path)
    assert table_rows.find_missing(table_rows.Row("a", "a", "x", "llava"), tmp_path) == (
        "no folder was given: name it in the config"
    )
    assert "--mmbcd" in str(table_rows.find_missing(table_rows.Row("a", "a", "x", "mmbcd"), tmp_path))


def test_the_real_config() -> None:
    table = table_rows.read_table(mmbcd_table1.CONFIG, {"epochs": 3})
    assert {settings.epochs for settings in table.training.values()} == {3}
    assert [row.paper for row in table.rows if row.paper] == list(table.paper)  # the paper's order
    found = [list(list_paper(row, table.paper).values()) for row in table.rows if row.paper]
    assert found == [
        [0.69, 0.36, 0.820, 0.64, 0.22, 0.769],
        [0.76, 0.34, 0.759, 0.73, 0.21, 0.694],
        [0.83, 0.47, 0.856, 0.69, 0.20, 0.699],
        [0.84, 0.50, 0.895, 0.91, 0.27, 0.741],
        [0.91, 0.41, None, 0.87, 0.39, None],
        [0.96, 0.82, 0.973, 0.95, 0.68, 0.950],
    ]


@pytest.mark.slow
def test_one_line_on_standard_error(tmp_path: Path) -> None:
    words = ["--datalist", str(tmp_path / "none.json"), "--output", str(tmp_path / "out")]
    words += ["--boxes", str(tmp_path / "boxes.json")]
    found = subprocess.run([sys.executable, mmbcd_table1.__file__, *words], capture_output=True, text=True)
    assert found.returncode == 1
    assert len(lines := found.stderr.strip().splitlines()) == 1 and lines[0].startswith("error: ")
