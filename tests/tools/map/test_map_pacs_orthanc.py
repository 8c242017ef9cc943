"""The watcher beside a real Orthanc: killed again and again, with a password, and results that come twice."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from orthanc_server import Orthanc, need_orthanc, run_orthanc
from pacs.dicomweb import DicomWeb
from toy_pacs import RESULTS, TODAY, build_instance, started, study_uid, write_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
STUDIES, IMAGES = 3, 4


@pytest.fixture(autouse=True)
def orthanc_is_there() -> None:
    """Skips where it is not."""
    need_orthanc()


def send_studies(orthanc: Orthanc, folder: Path, studies: int = STUDIES) -> None:
    """C-STORE toy studies."""
    folder.mkdir()
    for study in range(studies):
        for number in range(IMAGES):
            path = folder / f"{study}_{number}.dcm"
            build_instance(study, number).save_as(path, enforce_file_format=True)
    orthanc.send(folder)


def count(client: DICOMwebClient, study: int) -> Counter[str]:
    """Instances of a study by modality."""
    rows = client.search_for_instances(study_uid(study), fields=["Modality"])
    return Counter(row["00080060"]["Value"][0] for row in rows)


def test_a_watcher_that_is_killed_again_and_again(tmp_path: Path) -> None:
    """Killed at twelve random times; the results' UIDs are new in every run, so a doubled one is seen."""
    command, runs = write_command(tmp_path, "time.sleep(0.5)")
    chance = random.Random(2)
    with run_orthanc(tmp_path / "orthanc") as orthanc:
        send_studies(orthanc, tmp_path / "studies")
        kills = 12
        for _ in range(kills):
            with started(orthanc.url, tmp_path, command):
                time.sleep(chance.uniform(0.5, 4))
        with started(orthanc.url, tmp_path, command, "--once") as process:
            process.communicate(timeout=300)
        client = DICOMwebClient(orthanc.url)
        for study in range(STUDIES):
            assert count(client, study) == {"CT": IMAGES, "OT": RESULTS}
    assert STUDIES <= len(runs.read_text().splitlines()) <= STUDIES + kills
    assert not list((tmp_path / "state" / "work").iterdir())


def test_a_password(tmp_path: Path) -> None:
    """Orthanc's own basic authentication: refused without and with a wrong one, served with the right one."""
    command, _ = write_command(tmp_path)
    secret = {"AuthenticationEnabled": True, "RegisteredUsers": {"watcher": "right"}}
    with run_orthanc(tmp_path / "orthanc", **secret) as orthanc:
        send_studies(orthanc, tmp_path / "studies", 1)
        password = tmp_path / "password"
        access = ["--once", "--user", "watcher", "--password-file", str(password)]
        password.write_text("wrong\n")
        with started(orthanc.url, tmp_path, command, *access) as process:
            said, _ = process.communicate(timeout=120)
        assert process.returncode == 75 and "HTTP 401: check password or token" in said
        password.write_text("right\n")
        with started(orthanc.url, tmp_path, command, *access) as process:
            said, _ = process.communicate(timeout=120)
        assert process.returncode == 0 and "done, 2 results stored" in said
        session = requests.Session()
        session.auth = ("watcher", "right")
        assert count(DICOMwebClient(orthanc.url, session), 0) == {"CT": IMAGES, "OT": RESULTS}


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_object_that_is_stored_twice_is_there_once(tmp_path: Path, overwrite: bool) -> None:
    """A repeated STOW-RS: Orthanc answers 200 and has one instance, whatever OverwriteInstances is."""
    with run_orthanc(tmp_path / "orthanc", OverwriteInstances=overwrite) as orthanc:
        send_studies(orthanc, tmp_path / "studies", 1)
        result = tmp_path / "result.dcm"
        build_instance(0, 0, modality="OT", series=9).save_as(result, enforce_file_format=True)
        client = DicomWeb(orthanc.url, requests.Session(), 10)
        for _ in range(2):
            assert client.store(study_uid(0), [result]) == "HTTP 200"
            assert count(DICOMwebClient(orthanc.url), 0) == {"CT": IMAGES, "OT": 1}
        assert [one.instances for one in client.find_studies("CT", TODAY)] == [IMAGES + 1]


def test_nothing_of_orthanc_listens_beyond_this_machine(tmp_path: Path) -> None:
    """Its ports stand in its own namespace; in ours there are two of 127.0.0.1."""
    with run_orthanc(tmp_path / "orthanc") as orthanc:
        ports = {int(orthanc.rest.rpartition(":")[2]), orthanc.dicom_port}
        rows = [line.split()[1:4:2] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        listening = {row[0] for row in rows if row[1] == "0A"}
        assert {row for row in listening if int(row[9:], 16) in ports} == {
            f"0100007F:{port:04X}" for port in ports
        }
