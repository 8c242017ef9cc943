"""The workflow definitions say the same as the images' manifests."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import outcome
import pytest
import write_workflows
import yaml
from map_image.bundle import INPUTS, read_package, read_resources
from map_image.manifests import Package, build_app_manifest, build_pkg_manifest

ROOT = Path(write_workflows.__file__).resolve().parents[2]
FOLDER = ROOT / "tools" / "map" / "workflows"
MIB = {"Mi": 1, "Gi": 1024}


def read(name: str) -> Package:
    """The package of a bundle of the repository."""
    return read_package(ROOT / "bundles" / name, read_resources(name))


def count_mib(text: str) -> float:
    """Kubernetes' "1.5Gi" in MiB."""
    return float(text[:-2]) * MIB[text[-2:]]


def require_container(container: dict[str, Any], package: Package) -> None:
    """The container of a Job or a Workflow is the image, with its folders, needs and user's rights."""
    manifest, needs = build_app_manifest(package), build_pkg_manifest(package, "cpu")["resources"]
    mounts = {row["mountPath"]: row for row in container["volumeMounts"]}
    assert container["image"] == package.image("cpu")
    assert mounts[manifest["input"]["path"]]["readOnly"] is True
    assert not mounts[manifest["output"]["path"]].get("readOnly")
    assert mounts[manifest["input"]["path"]]["subPath"] == mounts[manifest["output"]["path"]]["subPath"]
    assert container["resources"]["requests"] == {"cpu": str(needs["cpu"]), "memory": needs["memory"]}
    assert container["resources"]["limits"]["memory"] == needs["memoryLimit"]
    assert count_mib(needs["memory"]) <= count_mib(needs["memoryLimit"])
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert not {"command", "args", "env"} & set(container)  # the image's own


def require_pod(spec: dict[str, Any], container: dict[str, Any]) -> None:
    """An ordinary user, no account of the cluster, and every mount has its volume."""
    assert spec["securityContext"]["runAsUser"] == 1000 and spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert {row["name"] for row in container["volumeMounts"]} == {row["name"] for row in spec["volumes"]}


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_job_runs_the_image_and_retries_only_what_may_go_away(name: str) -> None:
    job, package = yaml.safe_load((FOLDER / f"{name}.job.yaml").read_text()), read(name)
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    require_container(container, package)
    require_pod(pod, container)
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert pod["restartPolicy"] == "Never" and rule["action"] == "FailJob"  # what such a policy needs
    assert set(rule["onExitCodes"]["values"]) == set(outcome.STATUS) - {
        outcome.DONE,
        outcome.FAULT,
        outcome.NO_OUTPUT,
    }
    assert job["spec"]["activeDeadlineSeconds"] >= build_app_manifest(package)["timeout"]
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", job["metadata"]["name"])


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_argo_runs_one_container_for_each_study(name: str) -> None:
    workflow, package = yaml.safe_load((FOLDER / f"{name}.argo.yaml").read_text()), read(name)
    spec = workflow["spec"]
    assert (workflow["apiVersion"], workflow["kind"]) == ("argoproj.io/v1alpha1", "Workflow")
    templates = {row["name"]: row for row in spec["templates"]}
    ((step,),) = templates[spec["entrypoint"]]["steps"]
    one = templates[step["template"]]
    require_container(one["container"], package)
    require_pod(spec, one["container"])
    parameter = re.fullmatch(r"\{\{workflow\.parameters\.(\w+)\}\}", step["withParam"])
    given = {row["name"]: row["value"] for row in spec["arguments"]["parameters"]}
    assert parameter and len(json.loads(given[parameter[1]])) == 2
    (study,) = [row["name"] for row in one["inputs"]["parameters"]]
    assert step["arguments"]["parameters"] == [{"name": study, "value": "{{item}}"}]
    assert one["container"]["volumeMounts"][0]["subPath"] == f"{{{{inputs.parameters.{study}}}}}"
    codes = re.search(r"\[(.*)\]$", one["retryStrategy"]["expression"])
    assert codes and json.loads(f"[{codes[1]}]") == [outcome.FAULT, outcome.NO_OUTPUT]
    assert one["activeDeadlineSeconds"] == build_app_manifest(package)["timeout"]


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_express_calls_the_command_of_the_manifest_and_exports_its_output(name: str) -> None:
    workflow, package = json.loads((FOLDER / f"{name}.express.json").read_text()), read(name)
    manifest = build_app_manifest(package)
    route, run, export = workflow["tasks"]
    assert workflow["version"] == manifest["version"] and run["args"]["container_image"] == package.image(
        "cpu"
    )
    assert run["args"]["command"] == manifest["command"]
    given = {key.removeprefix("env_"): value for key, value in run["args"].items() if key.startswith("env_")}
    assert given == manifest["environment"]
    assert given[run["artifacts"]["input"][0]["name"].removeprefix("env_")] == manifest["input"]["path"]
    assert given[run["artifacts"]["output"][0]["name"].removeprefix("env_")] == manifest["output"]["path"]
    assert int(run["args"]["task_timeout_minutes"]) * 60 >= manifest["timeout"]
    assert manifest["input"]["formats"][0]["modality"] in route["task_destinations"][0]["conditions"][0]
    assert [task["task_destinations"][0]["name"] for task in (route, run)] == [run["id"], export["id"]]
    source = f"context.executions.{run['id']}.artifacts.{run['artifacts']['output'][0]['name']} "
    assert source in export["artifacts"]["input"][0]["value"]


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_docker_recipe_has_the_folders_and_limits_of_the_manifests(name: str) -> None:
    text, package = (FOLDER / f"{name}.docker.sh").read_text(), read(name)
    manifest, needs = build_app_manifest(package), build_pkg_manifest(package, "cpu")["resources"]
    words = shlex.split(text[text.index("exec docker") :], comments=True)
    assert (
        f"$input:{manifest['input']['path']}:ro" in words and f"$output:{manifest['output']['path']}" in words
    )
    assert words[words.index("--network") + 1] == "none" and "--read-only" in words
    assert words[words.index("--memory") + 1] == needs["memoryLimit"].removesuffix("i").lower()
    assert words[words.index("--cpus") + 1] == str(needs["cpu"])
    assert words[-2:] == [package.image("cpu"), "$@"]


def test_files_are_those_that_the_tool_writes() -> None:
    written = write_workflows.render_all()
    assert {file: file.read_text() for file in FOLDER.iterdir()} == written
    assert len(written) == 4 * len(INPUTS)
    assert all("No test of this project has run this file" in text for text in written.values())


def test_the_tool_takes_no_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert write_workflows.main(["all"]) == 2
    assert capsys.readouterr().err.startswith("error: expected no argument, got some")
