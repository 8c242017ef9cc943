"""The packages of an image: from requirements.txt, pinned, and all that the bundles declare."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from _base import ROOT, ToolError
from map_image import packages
from map_image.packages import LEFT_OUT, name_of, read_declared, read_pins, read_requirements, write_pins
from packaging.requirements import Requirement

PINS = read_pins("cpu")
REQUIRED = [Requirement(line) for line in read_requirements(ROOT)]


def declare(folder: Path, name: str, **versions: str) -> Path:
    """A metadata.json that asks for packages."""
    file = folder / name / "configs" / "metadata.json"
    file.parent.mkdir(parents=True)
    fixed = {"monai_version": "1.6.1", "numpy_version": "2.4.6", "pytorch_version": "2.14.1"}
    file.write_text(json.dumps({**fixed, "required_packages_version": versions}))
    return file


@pytest.mark.parametrize("wanted", REQUIRED, ids=str)
def test_each_requirement_is_pinned_within_its_range(wanted: Requirement) -> None:
    assert wanted.specifier.contains(PINS[packages.normalize(wanted.name)])


def test_what_is_left_out_stands_in_requirements_and_in_no_image() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    named = {name_of(line) for line in lines if line and not line.startswith("#")}
    assert set(LEFT_OUT) <= named
    assert not set(LEFT_OUT) & set(read_pins("cuda"))
    assert named - set(LEFT_OUT) <= set(PINS)


def test_images_hold_the_versions_that_the_bundles_declare() -> None:
    declared = read_declared(ROOT.glob("bundles/*/configs/metadata.json"))
    assert len(declared) > 20
    assert {name: PINS.get(name) for name in declared} == declared


def test_the_cuda_base_has_more_and_the_cpu_base_keeps_the_runtime() -> None:
    both = read_pins("cuda")
    assert PINS.items() < both.items()
    assert "nvidia-cuda-runtime" in PINS
    assert {"nvidia-cudnn-cu13", "triton", "cupy-cuda13x"} <= set(both) - set(PINS)


def test_pins_are_exact() -> None:
    for name, version in read_pins("cuda").items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) and re.fullmatch(r"\d[\w.]*", version)


def test_two_bundles_must_declare_the_same(tmp_path: Path) -> None:
    files = [declare(tmp_path, "a", scipy="1.0"), declare(tmp_path, "b", scipy="1.1")]
    with pytest.raises(
        ToolError, match=r"expected one version of scipy in all bundles, got 1\.0 and 1\.1 \(b\)"
    ):
        read_declared(files)


def test_a_line_without_a_name_is_refused() -> None:
    with pytest.raises(ToolError, match="expected a requirement such as numpy>=2, got '==2'"):
        name_of("==2")


def test_pins_are_written_from_a_report_of_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "PINS", {"both": tmp_path / "both.txt", "cuda": tmp_path / "cuda.txt"})
    rows = [
        ("Segment_Anything", "1.0"),
        ("torch", "2.14.1+cpu"),
        ("triton", "3.8.0"),
        ("nvidia-cuda-runtime", "13"),
    ]
    write_pins({"install": [{"metadata": {"name": name, "version": version}} for name, version in rows]})
    assert read_pins("cpu") == {"segment-anything": "1.0", "torch": "2.14.1", "nvidia-cuda-runtime": "13"}
    assert set(read_pins("cuda")) - set(read_pins("cpu")) == {"triton"}


def test_resolving_needs_the_python_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.sys, "version_info", (3, 12, 1))
    with pytest.raises(ToolError, match=r"expected Python 3\.11 \(the image's\), got"):
        packages.resolve_pins(ROOT)


PIP = """#!{python}
import json, sys
from pathlib import Path
words = sys.argv[1:]
if {error!r}:
    sys.exit({error!r})
limits = Path(words[words.index("-c") + 1]).read_text()
wanted = Path(words[words.index("-r") + 1]).read_text().splitlines()
found = "torch==2.14.1" in limits and "torch==2.14.1" in wanted
rows = [{{"metadata": {{"name": "torch", "version": "2.14.1"}}}}] if found else []
Path(words[words.index("--report") + 1]).write_text(json.dumps({{"install": rows}}))
"""


def replace_pip(folder: Path, monkeypatch: pytest.MonkeyPatch, error: str = "") -> None:
    """Let a small program be the Python that runs pip, and keep the pins of the repository."""
    (folder / "python").write_text(PIP.format(python=sys.executable, error=error))
    (folder / "python").chmod(0o755)
    monkeypatch.setattr(packages.sys, "executable", str(folder / "python"))
    monkeypatch.setattr(packages.sys, "version_info", (3, 11, 7))
    monkeypatch.setattr(packages, "PINS", {"both": folder / "both.txt", "cuda": folder / "cuda.txt"})


def test_resolving_asks_pip_within_what_the_bundles_declare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_pip(tmp_path, monkeypatch)
    packages.resolve_pins(ROOT)
    assert read_pins("cpu") == {"torch": "2.14.1"}
    assert "build.py --resolve" in (tmp_path / "both.txt").read_text()


def test_versions_that_do_not_fit_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_pip(tmp_path, monkeypatch, "ERROR: ResolutionImpossible: see above")
    with pytest.raises(
        ToolError, match="expected one set of versions, pip says 'ResolutionImpossible: see above'"
    ):
        packages.resolve_pins(ROOT)
    assert not (tmp_path / "both.txt").exists()
