"""The bill of materials, on this machine's packages: parts, licences, and that it hashes for itself."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from pathlib import Path

import pytest
from map_image import bom
from map_image.bom import build_bill, describe_debian, describe_python, list_python, list_weights, main

COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Files: *
License: GPL-2+
 text
Files: debian/*
License: MIT
License: GPL-2+
"""
PURL = re.compile(
    r"pkg:(pypi/[a-z0-9-]+@[\w.%+!-]+|deb/debian/[a-z0-9.+%-]+@[\w.%~+-]+\?arch=\w+&distro=debian-12)"
)


def write_distribution(folder: Path, headers: str) -> importlib.metadata.Distribution:
    """An installed distribution."""
    info = folder / "Toy_Package-1.0+local.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: Toy_Package\nVersion: 1.0+local\n{headers}\n"
    )
    return importlib.metadata.Distribution.at(info)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("License-Expression: MIT OR Apache-2.0", [{"expression": "MIT OR Apache-2.0"}]),
        (
            "License: see file\nClassifier: License :: OSI Approved :: BSD License\n"
            "Classifier: License :: OSI Approved",
            [{"license": {"name": "BSD License"}}],
        ),
        ("License: BSD-3-Clause", [{"license": {"name": "BSD-3-Clause"}}]),
        ("License: " + "words " * 40, [{"license": {"name": bom.UNCLEAR}}]),
        ("Summary: none", [{"license": {"name": bom.UNCLEAR}}]),
    ],
)
def test_licence_of_a_python_distribution(
    tmp_path: Path, headers: str, expected: list[dict[str, str]]
) -> None:
    component = describe_python(write_distribution(tmp_path, headers))
    assert component["licenses"] == expected
    assert component["purl"] == "pkg:pypi/toy-package@1.0%2Blocal"


def test_licences_of_a_debian_package(tmp_path: Path) -> None:
    (tmp_path / "copyright").write_text(COPYRIGHT)
    component = describe_debian("libc++1", "1:2.36-9+deb12u1", "amd64", tmp_path / "copyright")
    assert [row["license"]["name"] for row in component["licenses"]] == ["GPL-2+", "MIT"]
    assert component["purl"] == "pkg:deb/debian/libc%2B%2B1@1%3A2.36-9%2Bdeb12u1?arch=amd64&distro=debian-12"
    missing = describe_debian("a", "1", "all", tmp_path / "none")
    assert missing["licenses"] == [{"license": {"name": bom.UNCLEAR}}]


def test_every_distribution_of_this_environment_is_listed_once() -> None:
    rows = list_python()
    installed = {
        re.sub(r"[-_.]+", "-", item.metadata["Name"]).lower() for item in importlib.metadata.distributions()
    }
    assert {row["name"] for row in rows} == installed and len(rows) == len(installed)
    assert all(PURL.fullmatch(row["purl"]) for row in rows)


def describe_weight(folder: Path, sha256: str) -> dict[str, str]:
    """A row of weights.json."""
    (folder / "model.pt").write_bytes(b"weights")
    row = {
        "path": str(folder / "model.pt"),
        "sha256": sha256,
        "licence": "Apache-2.0",
        "purpose": "demonstration",
    }
    return row


def test_weights_are_models_with_the_hash_of_the_file(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    (component,) = list_weights([describe_weight(tmp_path, digest)])
    assert component["type"] == "machine-learning-model"
    assert component["hashes"] == [{"alg": "SHA-256", "content": digest}]


def test_another_weight_than_the_listed_one_ends_the_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bom, "list_debian", list)
    row = describe_weight(tmp_path, "0" * 64)
    with pytest.raises(ValueError, match=r"expected .*model\.pt with sha256 000000000000\.\.\., got another"):
        list_weights([row])
    (tmp_path / "weights.json").write_text(json.dumps({"image": {}, "weights": [row]}))
    assert main([str(tmp_path / "weights.json")]) == 1
    assert capsys.readouterr().err.startswith("error: expected ")


def test_the_same_parts_give_the_same_document_and_others_another_number() -> None:
    image = {"name": "clinical-monai/toy:0.1.0", "version": "0.1.0"}
    part = {"type": "library", "bom-ref": "a", "name": "a", "version": "1"}
    bill = build_bill(image, [part])
    assert bill == build_bill(image, [part])
    assert bill["serialNumber"] != build_bill(image, [])["serialNumber"]
    assert bill["dependencies"] == [{"ref": "image", "dependsOn": ["a"]}]
    assert bill["metadata"]["component"]["type"] == "container"
