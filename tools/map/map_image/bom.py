"""The bill of materials of an image, CycloneDX 1.6 as JSON; runs inside the image while it is built.

    python bom.py WEIGHTS.json > bom.cdx.json

Debian packages come from dpkg, Python distributions from importlib.metadata. WEIGHTS.json says what the
bundle is and lists its weights; each is hashed again. Standard library only.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

SPEC = "1.6"
SHORT = 80
"""Characters of a licence's name; what is longer is its text."""

UNCLEAR = "see the package's documentation"
Component = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Print the bill. Returns the exit status: 1 when a weight is not the one that was listed."""
    described = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        components = list_debian() + list_python() + list_standins() + list_weights(described["weights"])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(build_bill(described["image"], components), indent=1))
    return 0


def build_bill(image: dict[str, str], components: list[Component]) -> dict[str, Any]:
    """The document; the same components give the same serial number."""
    digest = json.dumps([image, components], sort_keys=True)
    root = {"type": "container", "bom-ref": "image", **image}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
        "dependencies": [{"ref": "image", "dependsOn": [row["bom-ref"] for row in components]}],
    }


def list_debian(documents: Path = Path("/usr/share/doc")) -> list[Component]:
    """Every installed Debian package."""
    layout = "${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n"
    lines = subprocess.check_output(["dpkg-query", "-W", "-f", layout], text=True).splitlines()
    rows = [line.split("\t")[1:] for line in lines if line.startswith("ii")]
    return [describe_debian(*row, documents / row[0] / "copyright") for row in sorted(rows)]


def describe_debian(name: str, version: str, architecture: str, copyright_file: Path) -> Component:
    """One Debian package."""
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}&distro=debian-12"
    row = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return {**row, "licenses": [{"license": {"name": text}} for text in read_debian_licences(copyright_file)]}


def read_debian_licences(file: Path) -> list[str]:
    """Short names of the licences in a machine-readable copyright file."""
    if not file.is_file():
        return [UNCLEAR]
    found = re.findall(
        r"^License:[ \t]*(\S.*)$", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
    )
    return sorted({name.strip()[:SHORT] for name in found}) or [UNCLEAR]


def list_python() -> list[Component]:
    """Every installed Python distribution."""
    rows = {str(item.metadata["Name"]).lower(): item for item in importlib.metadata.distributions()}
    return [describe_python(rows[name]) for name in sorted(rows)]


def describe_python(distribution: importlib.metadata.Distribution) -> Component:
    """One Python distribution."""
    name = re.sub(r"[-_.]+", "-", str(distribution.metadata["Name"])).lower()
    purl = f"pkg:pypi/{quote(name)}@{quote(distribution.version, safe='')}"
    row = {"type": "library", "bom-ref": purl, "name": name, "version": distribution.version, "purl": purl}
    return {**row, "licenses": read_python_licences(distribution)}


def read_python_licences(distribution: importlib.metadata.Distribution) -> list[dict[str, Any]]:
    """What a distribution says: an SPDX expression, else its classifiers, else one short line."""
    metadata = distribution.metadata
    if metadata.get("License-Expression"):
        return [{"expression": metadata["License-Expression"]}]
    classifiers = metadata.get_all("Classifier") or []
    names = {line.split(" :: ")[-1] for line in classifiers if line.startswith("License :: ")} - {
        "OSI Approved"
    }
    line = str(metadata.get("License") or "").strip()
    names = names or ({line} if line and len(line) <= SHORT and "\n" not in line else {UNCLEAR})
    return [{"license": {"name": name}} for name in sorted(names)]


def list_standins() -> list[Component]:
    """The files that stand in the place of NVIDIA's (standins.py)."""
    folder = Path(sys.prefix) / "lib/python3.11/site-packages/nvidia/cu13/lib"
    note = folder / "STANDINS.txt"
    names = note.read_text(encoding="utf-8").splitlines()[1:] if note.is_file() else []
    return [describe_file(folder / name, "file", {"description": "stand-in, does nothing"}) for name in names]


def list_weights(weights: list[dict[str, str]]) -> list[Component]:
    """Every weight file. Raises ValueError: one has another sha256 than was listed."""
    components = []
    for row in weights:
        more = {"licenses": [{"license": {"name": row["licence"]}}], "description": row["purpose"]}
        component = describe_file(Path(row["path"]), "machine-learning-model", more)
        if component["hashes"][0]["content"] != row["sha256"]:
            raise ValueError(
                f"expected {row['path']} with sha256 {row['sha256'][:12]}..., got another: pack again"
            )
        components.append(component)
    return components


def describe_file(path: Path, kind: str, more: dict[str, Any]) -> Component:
    """One file with its sha256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    row = {"type": kind, "bom-ref": f"file:{path}", "name": str(path)}
    return {**row, "hashes": [{"alg": "SHA-256", "content": digest.hexdigest()}], **more}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
