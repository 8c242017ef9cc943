"""The manifests against the tables of the MONAI Application Package specification 1.0.0."""

from __future__ import annotations

import re

import jsonschema
import pytest
from map_image.bundle import INPUTS
from map_image.manifests import ENVIRONMENT, Package, build_app_manifest, build_labels, build_pkg_manifest
from map_schemas import APP_SCHEMA, PKG_SCHEMA

SPECIFIED = {
    "HOLOSCAN_INPUT_PATH": "/var/holoscan/input",
    "HOLOSCAN_OUTPUT_PATH": "/var/holoscan/output",
    "HOLOSCAN_WORKDIR": "/var/holoscan",
    "HOLOSCAN_MODEL_PATH": "/opt/holoscan/models",
    "HOLOSCAN_CONFIG_PATH": "/var/holoscan/app.yaml",
    "HOLOSCAN_DOCS": "/opt/holoscan/docs",
    "HOLOSCAN_LOGS": "/var/holoscan/logs",
}


def build_package(name: str = "ksam_kidney_seg") -> Package:
    """A package with needs of its own."""
    needs = {"cpu": 2, "memory": "1.5Gi", "memoryLimit": "3Gi", "timeout_s": 600}
    return Package(name, "0.1.0", "Kidneys", "Segments kidneys", INPUTS[name], needs)


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_application_manifest_has_the_fields_of_the_specification(name: str) -> None:
    manifest = build_app_manifest(build_package(name))
    jsonschema.validate(manifest, APP_SCHEMA)
    assert manifest["version"] == "0.1.0" and manifest["timeout"] == 600
    assert all(row["type"] == "file" for row in manifest["input"]["formats"])


def test_environment_has_every_variable_at_its_specified_place() -> None:
    assert {name: ENVIRONMENT[name] for name in SPECIFIED} == SPECIFIED
    assert set(ENVIRONMENT) - set(SPECIFIED) == {"HOLOSCAN_APP_MANIFEST_PATH", "HOLOSCAN_PKG_MANIFEST_PATH"}


def test_package_manifest_has_the_fields_of_the_specification() -> None:
    manifest = build_pkg_manifest(build_package(), "cpu")
    jsonschema.validate(manifest, PKG_SCHEMA)
    assert manifest["models"] == [{"name": "ksam_kidney_seg", "path": "ksam_kidney_seg"}]
    assert manifest["resources"]["memory"] == "1.5Gi" and manifest["resources"]["gpu"] == 0
    assert build_pkg_manifest(build_package(), "cuda")["resources"]["gpu"] == 1


def test_labels_are_predefined_by_the_oci_specification() -> None:
    labels = build_labels(build_package(), "abc")
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert labels["org.opencontainers.image.revision"] == "abc"
    assert all(re.fullmatch(r"org\.opencontainers\.image\.[a-z]+", key) for key in labels)
    assert "org.opencontainers.image.revision" not in build_labels(build_package(), None)


def test_the_base_is_in_the_tag_unless_it_is_the_default() -> None:
    assert build_package().image("cpu") == "clinical-monai/ksam_kidney_seg:0.1.0"
    assert build_package().image("cuda") == "clinical-monai/ksam_kidney_seg:0.1.0-cuda"
