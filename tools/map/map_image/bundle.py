"""One packed bundle as what the image of it is built from."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _registry
from _base import ToolError

from . import bom, containerfile
from .manifests import MODELS, Package, build_app_manifest, build_labels, build_pkg_manifest

HERE = Path(__file__).resolve().parent
APPLICATION = HERE.parent / "app"
RESOURCES = APPLICATION / "resources.json"
WEIGHTS = (".pt", ".pth", ".ts", ".safetensors", ".onnx", ".bin", ".h5", ".keras")
DICOM = "application/dicom"
INPUTS: dict[str, tuple[dict[str, str], ...]] = {
    "ksam_kidney_seg": ({"type": "file", "mediaType": DICOM, "modality": "CT"},),
    "mmbcd_mammo": ({"type": "file", "mediaType": DICOM, "modality": "MG"},),
    "wsi_scale_selector": (
        {"type": "file", "mediaType": DICOM, "modality": "SM"},
        {"type": "file", "mediaType": "image/tiff", "modality": "SM"},
    ),
}
"""What each application reads, for `input.formats`."""

CONFIG = "# Settings of the bundle are options of the application: --set KEY=VALUE\n"


def read_resources(name: str, file: Path = RESOURCES) -> dict[str, Any]:
    """What one run of a bundle needs, as measured. Raises ToolError."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))["bundles"][name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{file.name}: expected the needs of {name}, got {error!r}: measure them") from error


def read_package(bundle: Path, resources: Mapping[str, Any]) -> Package:
    """Name, version and words of a bundle folder. Raises ToolError: its input is not known."""
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    if bundle.name not in INPUTS:
        known = ", ".join(sorted(INPUTS))
        raise ToolError(f"expected a bundle with a known input ({known}), got '{bundle.name}': add its input")
    words = metadata["name"], metadata["task"]
    return Package(bundle.name, metadata["version"], *words, INPUTS[bundle.name], resources)


def unpack(archive: Path, name: str, folder: Path) -> Path:
    """Unpack the bundle's zip into an emptied `folder`. Returns the bundle's folder. Raises ToolError."""
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(archive) as packed:
        if not all(entry.startswith(f"{name}/") and ".." not in entry for entry in packed.namelist()):
            raise ToolError(f"{archive.name}: expected everything in {name}/, got other paths: pack it again")
        packed.extractall(folder)
    return folder / name


def write_context(package: Package, archive: Path, base: str, revision: str | None, context: Path) -> None:
    """Fill the folder that the image is built from. Raises ToolError."""
    shutil.rmtree(context, ignore_errors=True)
    bundle = unpack(archive, package.name, context / "opt" / "models")
    skipped = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(APPLICATION, context / "opt" / "app", ignore=skipped)
    documents = context / "opt" / "docs"
    shutil.copytree(bundle / "docs", documents / package.name)
    shutil.copyfile(bundle / "LICENSE", documents / package.name / "LICENSE")
    weights = list_weights(bundle)
    (documents / "weights.sha256").write_text(format_checksums(weights), encoding="utf-8")
    image = {"name": package.image(base), "version": package.version, "description": package.title}
    write_json(context / "weights.json", {"image": image, "weights": weights})
    write_json(context / "etc" / "app.json", build_app_manifest(package))
    write_json(context / "etc" / "pkg.json", build_pkg_manifest(package, base))
    shutil.copyfile(bom.__file__, context / "bom.py")
    shutil.copyfile(HERE / "map_entry.sh", context / "map_entry.sh")
    (context / "app.yaml").write_text(CONFIG, encoding="utf-8")
    steps = containerfile.write_map(build_labels(package, revision))
    (context / "Containerfile").write_text(steps, encoding="utf-8")
    open_to_all(context)


def write_json(file: Path, content: Any) -> None:
    """JSON for people: two spaces, a newline at the end."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def open_to_all(folder: Path) -> None:
    """Readable by the image's user whatever the umask here is; only the entry may be executed."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.name == "map_entry.sh" else 0o644)


def list_weights(bundle: Path) -> list[dict[str, str]]:
    """Path in the image, sha256, licence and purpose of every weight file."""
    known = {entry.target: entry for entry in _registry.load_registry()}
    rows = []
    for file in sorted((bundle / "models").rglob("*")):
        if file.is_file() and file.suffix in WEIGHTS:
            place = file.relative_to(bundle).as_posix()
            entry = known.get(f"bundles/{bundle.name}/{place}")
            told = (entry.licence, entry.purpose) if entry else ("Apache-2.0", "see the bundle's docs")
            row = {"path": f"{MODELS}/{bundle.name}/{place}", "sha256": _registry.hash_file(file)}
            rows.append({**row, "licence": told[0], "purpose": told[1]})
    return rows


def format_checksums(weights: list[dict[str, str]]) -> str:
    """What `sha256sum --check` reads."""
    return "".join(f"{row['sha256']}  {row['path']}\n" for row in weights)
