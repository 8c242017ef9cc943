"""The two manifests of a MONAI Application Package, specification 1.0.0, and the fixed places of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

API_VERSION = "1.0.0"
ROOT = "/opt/holoscan"
APP, MODELS, DOCS = f"{ROOT}/app", f"{ROOT}/models", f"{ROOT}/docs"
MANIFESTS = "/etc/holoscan"
WORKDIR = "/var/holoscan"
INPUT, OUTPUT, LOGS = f"{WORKDIR}/input", f"{WORKDIR}/output", f"{WORKDIR}/logs"
EXPORT = "/var/run/holoscan/export"
USER_ID = 1000
COMMAND = f"python {APP}"
IMAGES = "clinical-monai"
"""Name before the slash of every image."""

SDK_VERSION = "4.0.0"
ENVIRONMENT = {
    "HOLOSCAN_INPUT_PATH": INPUT,
    "HOLOSCAN_OUTPUT_PATH": OUTPUT,
    "HOLOSCAN_WORKDIR": WORKDIR,
    "HOLOSCAN_MODEL_PATH": MODELS,
    "HOLOSCAN_CONFIG_PATH": f"{WORKDIR}/app.yaml",
    "HOLOSCAN_APP_MANIFEST_PATH": f"{MANIFESTS}/app.json",
    "HOLOSCAN_PKG_MANIFEST_PATH": f"{MANIFESTS}/pkg.json",
    "HOLOSCAN_DOCS": DOCS,
    "HOLOSCAN_LOGS": LOGS,
}


@dataclass(frozen=True)
class Package:
    """One bundle as a package.

    Attributes:
        name: of the bundle's folder.
        version: semantic version of the bundle.
        title: the bundle's name in words.
        description: a sentence.
        inputs: kinds of files that the application reads, for `input.formats`.
        resources: what one run needs: `cpu` (cores), `memory` and `memoryLimit` ("1.5Gi"), `timeout_s`.
    """

    name: str
    version: str
    title: str
    description: str
    inputs: tuple[Mapping[str, str], ...]
    resources: Mapping[str, Any]

    def image(self, base: str) -> str:
        """Name and tag of the image: "clinical-monai/ksam_kidney_seg:0.1.0", "...-cuda" on that base."""
        return f"{IMAGES}/{self.name}:{self.version}" + ("" if base == "cpu" else f"-{base}")


def build_app_manifest(package: Package) -> dict[str, Any]:
    """Content of /etc/holoscan/app.json."""
    return {
        "apiVersion": API_VERSION,
        "type": "application",
        "command": COMMAND,
        "environment": dict(ENVIRONMENT),
        "input": {"path": INPUT, "formats": [dict(row) for row in package.inputs]},
        "output": {
            "path": OUTPUT,
            "format": {"type": "file", "description": "DICOM objects in dicom/, everything else beside it"},
        },
        "sdk": "monai-deploy-app-sdk",
        "sdkVersion": SDK_VERSION,
        "timeout": int(package.resources["timeout_s"]),
        "version": package.version,
        "workingDirectory": f"{WORKDIR}/",
    }


def build_pkg_manifest(package: Package, base: str) -> dict[str, Any]:
    """Content of /etc/holoscan/pkg.json."""
    needs = {key: package.resources[key] for key in ("cpu", "memory", "memoryLimit")}
    return {
        "apiVersion": API_VERSION,
        "applicationRoot": f"{APP}/",
        "modelRoot": f"{MODELS}/",
        "models": [{"name": package.name, "path": package.name}],
        "resources": {**needs, "gpu": 0 if base == "cpu" else 1, "sharedMemory": "64Mi"},
        "version": package.version,
    }


def build_labels(package: Package, revision: str | None) -> dict[str, str]:
    """Labels of the image that the OCI image specification predefines."""
    labels = {
        "title": package.title,
        "version": package.version,
        "description": package.description,
        "licenses": "Apache-2.0",
        "documentation": DOCS,
    }
    if revision:
        labels["revision"] = revision
    return {f"org.opencontainers.image.{key}": value for key, value in labels.items()}
