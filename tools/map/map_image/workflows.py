"""One package as a docker recipe, a Kubernetes Job, an Argo Workflow and a MONAI Deploy Express workflow."""

from __future__ import annotations

import json
from typing import Any

import yaml
from outcome import BAD_INPUT, BAD_SETTING, FAULT, NO_INPUT, NO_OUTPUT, SEVERAL_INPUTS

from .manifests import COMMAND, ENVIRONMENT, INPUT, OUTPUT, USER_ID, Package

FINAL = (NO_INPUT, SEVERAL_INPUTS, BAD_INPUT, BAD_SETTING)
RETRIED = (FAULT, NO_OUTPUT)
RETRIES = 2
SCRATCH = "2Gi"
"""Size of /tmp: files of one run that no one keeps."""

DOCKER = """\
#!/bin/sh
# {title}: one study through the image.
# {not_run}
#   sh {file} INPUT_FOLDER OUTPUT_FOLDER [--set KEY=VALUE ...]
# User {user} of the image must be able to read INPUT_FOLDER and to write OUTPUT_FOLDER.
set -eu
input=$(realpath "$1")
output=$(realpath "$2")
shift 2
exec docker run --rm --network none --read-only --tmpfs /tmp:size={scratch} \\
    --cap-drop ALL --security-opt no-new-privileges \\
    --cpus {cpu} --memory {memory} \\
    --volume "$input:{input}:ro" \\
    --volume "$output:{output}" \\
    {image} "$@"
"""
NOT_RUN = "No test of this project has run this file: it is checked against the image's manifests only."


def render(package: Package) -> dict[str, str]:
    """File name -> text."""
    name = package.name
    documents = {f"{name}.job.yaml": build_job(package), f"{name}.argo.yaml": build_argo(package)}
    texts = {file: f"# {NOT_RUN}\n" + dump(document) for file, document in documents.items()}
    texts[f"{name}.express.json"] = json.dumps(build_express(package), indent=2) + "\n"
    return {**texts, f"{name}.docker.sh": write_docker(package, f"{name}.docker.sh")}


def dump(document: dict[str, Any]) -> str:
    """YAML in the order of the keys."""
    return str(yaml.safe_dump(document, sort_keys=False, width=110))


def write_docker(package: Package, file: str) -> str:
    """The shell recipe."""
    needs = package.resources
    return DOCKER.format(
        title=package.title,
        not_run=NOT_RUN,
        file=file,
        user=USER_ID,
        scratch=SCRATCH.removesuffix("i").lower(),
        cpu=needs["cpu"],
        memory=needs["memoryLimit"].removesuffix("i").lower(),
        input=INPUT,
        output=OUTPUT,
        image=package.image("cpu"),
    )


def build_container(package: Package) -> dict[str, Any]:
    """What Job and Workflow have in common: the container without its volume mounts."""
    needs = package.resources
    return {
        "image": package.image("cpu"),
        "resources": {
            "requests": {"cpu": str(needs["cpu"]), "memory": needs["memory"]},
            "limits": {"memory": needs["memoryLimit"]},
        },
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def build_pod_security() -> dict[str, Any]:
    """The pod's user, as in the image."""
    user = {"runAsNonRoot": True, "runAsUser": USER_ID, "runAsGroup": USER_ID, "fsGroup": USER_ID}
    return {**user, "seccompProfile": {"type": "RuntimeDefault"}}


def build_mounts(study: str) -> list[dict[str, Any]]:
    """Input, output and scratch of one study of the claims."""
    return [
        {"name": "studies", "mountPath": INPUT, "subPath": study, "readOnly": True},
        {"name": "results", "mountPath": OUTPUT, "subPath": study},
        {"name": "scratch", "mountPath": "/tmp"},
    ]


def build_volumes() -> list[dict[str, Any]]:
    """Two claims that the site makes, and a scratch folder."""
    return [
        {"name": "studies", "persistentVolumeClaim": {"claimName": "studies", "readOnly": True}},
        {"name": "results", "persistentVolumeClaim": {"claimName": "results"}},
        {"name": "scratch", "emptyDir": {"sizeLimit": SCRATCH}},
    ]


def dashed(name: str) -> str:
    """A name as Kubernetes takes it."""
    return name.replace("_", "-")


def build_job(package: Package) -> dict[str, Any]:
    """A Job for the study in the folder STUDY of the claim `studies`."""
    final = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": list(FINAL)}}
    container = {"name": "application", **build_container(package), "volumeMounts": build_mounts("STUDY")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": dashed(package.name)},
        "spec": {
            "backoffLimit": RETRIES,
            "activeDeadlineSeconds": package.resources["timeout_s"] * (RETRIES + 1),
            "podFailurePolicy": {"rules": [final]},
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": build_pod_security(),
                    "containers": [container],
                    "volumes": build_volumes(),
                }
            },
        },
    }


def build_argo(package: Package) -> dict[str, Any]:
    """A Workflow for many studies: one container each, a few at a time."""
    study = "{{inputs.parameters.study}}"
    codes = ", ".join(map(str, RETRIED))
    retry = {
        "limit": RETRIES,
        "retryPolicy": "Always",
        "expression": f"asInt(lastRetry.exitCode) in [{codes}]",
    }
    run = {
        "name": "study",
        "inputs": {"parameters": [{"name": "study"}]},
        "activeDeadlineSeconds": package.resources["timeout_s"],
        "retryStrategy": retry,
        "container": {**build_container(package), "volumeMounts": build_mounts(study)},
    }
    each = {"name": "study", "template": "study", "withParam": "{{workflow.parameters.studies}}"}
    each |= {
        "arguments": {"parameters": [{"name": "study", "value": "{{item}}"}]},
        "continueOn": {"failed": True},
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": f"{dashed(package.name)}-"},
        "spec": {
            "entrypoint": "studies",
            "parallelism": 4,
            "automountServiceAccountToken": False,
            "arguments": {"parameters": [{"name": "studies", "value": '["STUDY_1", "STUDY_2"]'}]},
            "securityContext": build_pod_security(),
            "volumes": build_volumes(),
            "templates": [{"name": "studies", "steps": [[each]]}, run],
        },
    }


def build_express(package: Package) -> dict[str, Any]:
    """A clinical workflow of MONAI Deploy Express: studies of the modality go through the image and back."""
    modality = package.inputs[0]["modality"]
    variables = {f"env_{name}": value for name, value in ENVIRONMENT.items()}
    minutes = -(-package.resources["timeout_s"] // 60)
    run = {
        "id": "run",
        "description": package.title,
        "type": "docker",
        "args": {
            "container_image": package.image("cpu"),
            "server_url": "unix:///var/run/docker.sock",
            "entrypoint": "/bin/sh,-c",
            "command": COMMAND,
            "task_timeout_minutes": str(minutes),
            "temp_storage_container_path": "/var/lib/mde/",
            **variables,
        },
        "artifacts": {
            "input": [{"name": "env_HOLOSCAN_INPUT_PATH", "value": "{{ context.input.dicom }}"}],
            "output": [{"name": "env_HOLOSCAN_OUTPUT_PATH", "mandatory": True}],
        },
        "task_destinations": [{"name": "export"}],
    }
    choose = f"{{{{context.dicom.series.any('0008','0060')}}}} == '{modality}'"
    result = "{{ context.executions.run.artifacts.env_HOLOSCAN_OUTPUT_PATH }}"
    return {
        "name": dashed(package.name),
        "version": package.version,
        "description": f"{package.title}. {NOT_RUN}",
        "informatics_gateway": {
            "ae_title": "MONAI-DEPLOY",
            "data_origins": ["ORTHANC"],
            "export_destinations": ["ORTHANC"],
        },
        "tasks": [
            {
                "id": "route",
                "description": f"Only studies with {modality}",
                "type": "router",
                "task_destinations": [{"name": "run", "conditions": [choose]}],
            },
            run,
            {
                "id": "export",
                "description": "Store the results in the PACS",
                "type": "export",
                "export_destinations": [{"Name": "ORTHANC"}],
                "artifacts": {
                    "input": [{"name": "export-dicom", "value": result, "mandatory": True}],
                    "output": [],
                },
            },
        ],
    }
