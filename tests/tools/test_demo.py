"""The demo runs a bundle as any MONAI user would, and ends by naming what it wrote."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import _registry
import demo
import pytest
from _base import ROOT, ToolError

TOY = demo.Demo("toy-sample", "--image", (("report.html", "the report"), ("*.png", "a picture")))
WRITE = """
from pathlib import Path

def write(image, output_dir):
    for name in ("b.png", "report.html"):
        Path(output_dir, name).write_text(image)
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one bundle, whose inference writes a report and a picture, and its sample."""
    bundle = tmp_path / "bundles" / "toy"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "toy_demo.py").write_text(WRITE)
    write = {"_target_": "toy_demo.write", "image": "@image", "output_dir": "@output_dir"}
    config = {"image": "", "output_dir": "", "run": [write]}
    (bundle / "configs" / "inference.json").write_text(json.dumps(config))
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "weights.py").write_text(
        "import sys; sys.exit(sys.argv[1:] != ['get', '--bundle', 'toy'])"
    )
    (tmp_path / "sample.bin").touch()
    (tmp_path / "results" / "toy").mkdir(parents=True)
    sample = replace(_registry.load_registry()[0], name="toy-sample", target="sample.bin", root=tmp_path)
    monkeypatch.setattr(_registry, "load_registry", lambda: (sample,))
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    monkeypatch.setattr(demo, "DEMOS", {"toy": TOY})
    monkeypatch.setattr(demo._venv, "enter_venv", lambda: None)
    return tmp_path


def test_real_run_names_its_results(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(toy)
    (toy / "results" / "toy" / "old.png").touch()
    os.utime(toy / "results" / "toy" / "old.png", (0, 0))
    assert demo.main(["--output", "results"]) == 0
    last = capfd.readouterr().out.splitlines()[-3:]
    assert last[0].startswith("== toy: done after ")
    assert last[1:] == ["  results/toy/report.html  the report", "  results/toy/b.png        a picture"]
    assert (toy / "results" / "toy" / "report.html").read_text() == str(toy / "sample.bin")


def test_failed_inference_ends_the_demo(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "build_command", lambda *_: ["-c", "import sys; sys.exit(1)"])
    assert demo.main(["--bundle", "toy", "--output", str(toy / "results")]) == 1
    assert capfd.readouterr().err.splitlines()[-1] == (
        "error: toy: the inference ended with status 1: its message is above"
    )


def test_weights_that_cannot_be_had_end_the_demo(toy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (toy / "tools" / "weights.py").write_text("import sys; sys.exit(75)")
    assert demo.main([]) == 75
    assert "==" not in capfd.readouterr().out


def test_unknown_bundle_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--bundle", "spleen"]) == 1
    expected = f"error: expected a known bundle, got spleen: choose from {', '.join(demo.DEMOS)}\n"
    assert capsys.readouterr().err == expected


def test_nothing_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="expected results in .*, got none: run the inference alone"):
        demo.describe_results(TOY, tmp_path, time.time())


def test_command_is_the_documented_one() -> None:
    command = " ".join(demo.build_command("wsi_scale_selector", "--slide", Path("a.svs"), Path("out")))
    assert command == (
        "-m monai.bundle run --config_file bundles/wsi_scale_selector/configs/inference.json "
        "--bundle_root bundles/wsi_scale_selector --slide a.svs --output_dir out"
    )


def test_every_bundle_has_a_demo_with_a_known_sample() -> None:
    bundles = {path.parents[1].name for path in (ROOT / "bundles").glob("*/configs/inference.json")}
    assert bundles == set(demo.DEMOS)
    samples = {entry.name for entry in _registry.load_registry() if entry.kind == "sample"}
    for row in demo.DEMOS.values():
        assert (ROOT / row.maker).is_file() if row.maker else row.sample in samples


MAKER = """
import sys
from pathlib import Path

command, path, *rest = sys.argv[1:]
if command == "make":
    Path(path).write_text("made")
else:
    print("judged", rest)
"""


def test_generated_sample_is_made_once_and_the_result_is_judged(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (toy / "tools" / "maker.py").write_text(MAKER)
    made = replace(TOY, sample="cache/made.bin", maker="tools/maker.py", judged="b.png")
    monkeypatch.setattr(demo, "DEMOS", {"toy": made})
    assert demo.main(["--output", str(toy / "results")]) == 0
    assert (toy / "cache" / "made.bin").read_text() == "made"
    assert f"judged ['--result', '{toy}/results/toy/b.png']" in capfd.readouterr().out
    (toy / "cache" / "made.bin").write_text("kept")
    assert demo.main(["--output", str(toy / "results")]) == 0
    assert (toy / "cache" / "made.bin").read_text() == "kept"


def test_sample_that_cannot_be_made_ends_the_demo(toy: Path) -> None:
    (toy / "tools" / "maker.py").write_text("import sys; sys.exit(3)")
    made = replace(TOY, sample="made.bin", maker="tools/maker.py")
    with pytest.raises(ToolError, match="expected tools/maker.py to make the sample, got status 3"):
        demo.bring_sample(made)


def test_a_bundle_without_its_weights_is_left_out_or_refused(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "DEMOS", {"toy": TOY, "bare": replace(TOY, weights="models/none.pt")})
    assert demo.choose_bundles(None) == ["toy"]
    with pytest.raises(ToolError, match="bare: expected models/none.pt, got no such file"):
        demo.choose_bundles("bare")
