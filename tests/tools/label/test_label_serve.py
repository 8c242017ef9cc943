"""What `tools/label/serve.py` refuses, and what it prepares before MONAI Label starts."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import environment
import pytest
import serve
from _base import ToolError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle's folder with weights."""
    folder = tmp_path / "ksam_kidney_seg"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "model.pt").touch()
    return folder


def test_bundle_is_found_by_name_and_by_path(bundle):
    assert serve.find_bundle("mmbcd_mammo") == serve.ROOT / "bundles" / "mmbcd_mammo"
    assert serve.find_bundle(str(bundle)) == bundle


@pytest.mark.parametrize("name", ["spleen_ct", "", "tests"])
def test_unknown_bundles_are_refused(name):
    with pytest.raises(ToolError, match=f"expected one of ksam_kidney_seg, .*, got '{name}'"):
        serve.find_bundle(name)


def test_missing_weights_name_the_command(bundle, tmp_path):
    (bundle / "models" / "model.pt").unlink()
    with pytest.raises(ToolError, match=r"expected models/model.pt, got none: python3 tools/weights.py get"):
        serve.check(bundle, tmp_path, 8000)


def test_studies_must_be_a_folder(bundle, tmp_path):
    with pytest.raises(ToolError, match="expected a folder that can be written"):
        serve.check(bundle, tmp_path / "none", 8000)


def test_a_taken_port_is_refused(bundle, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ToolError, match=f"--port: expected a free port, got {port}"):
            serve.check(bundle, tmp_path, port)
    with pytest.raises(ToolError, match="--port: expected a free port, got 70000"):
        serve.check(bundle, tmp_path, 70000)


def test_refusals_end_with_one_line(tmp_path, capsys):
    assert serve.main(["nothing", "--studies", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: expected one of ksam_kidney_seg")


def test_app_holds_the_bundle_under_the_name_that_tells_its_task(bundle, tmp_path):
    shipped = tmp_path / "env" / "monailabel" / "sample-apps" / "monaibundle"
    shipped.mkdir(parents=True)
    (shipped / "main.py").write_text("# shipped")
    app = tmp_path / "app"
    serve.build_app(bundle, tmp_path / "env" / "bin" / "python", app)
    assert (app / "model" / "ksam_kidney_segmentation").resolve() == bundle
    assert (app / "main.py").read_text() == "# shipped"
    assert serve.SERVINGS["mmbcd_mammo"].model.endswith("_classification")


def test_slides_get_our_app(tmp_path):
    app = tmp_path / "app"
    serve.build_app(tmp_path / "wsi_scale_selector", tmp_path / "env" / "bin" / "python", app)
    assert "SlideApp" in (app / "main.py").read_text()


def test_server_keeps_its_files_in_a_folder_of_its_own(tmp_path):
    options = serve.parse(["mmbcd_mammo", "--studies", str(tmp_path), "--port", "8123"])
    found = serve.build_environ(Path("mmbcd_mammo"), options, tmp_path)
    assert found["TMPDIR"] == str(tmp_path) and found["MONAI_LABEL_SESSION_PATH"].startswith(str(tmp_path))
    assert "*.dcm" in json.loads(found["MONAI_LABEL_DATASTORE_FILE_EXT"])


def test_only_this_machines_pages_and_named_ones_are_allowed(tmp_path):
    options = serve.parse(["mmbcd_mammo", "--studies", str(tmp_path), "--origin", "https://ohif.example"])
    serve.check_origins(options.origin)
    found = serve.build_environ(Path("mmbcd_mammo"), options, tmp_path)["LABEL_ORIGINS"]
    assert json.loads(found) == ["https://ohif.example"]


@pytest.mark.parametrize(
    "origin", ["*", "ohif.example", "https://ohif.example/viewer", "https://OHIF.example"]
)
def test_what_is_no_origin_is_refused(origin):
    with pytest.raises(
        ToolError, match=r"--origin: expected http\(s\)://HOST\[:PORT\] in small letters, got '"
    ):
        serve.check_origins([origin])


@pytest.mark.parametrize(("ends", "status"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 15)", 143)])
def test_the_servers_status_is_returned_and_its_folder_goes(bundle, tmp_path, monkeypatch, ends, status):
    program = f"import os, sys; open({str(tmp_path / 'place')!r}, 'w').write(os.getcwd()); {ends}"
    monkeypatch.setattr(serve, "build_command", lambda *_: [sys.executable, "-c", program])
    shipped = tmp_path / "env" / "monailabel" / "sample-apps" / "monaibundle"
    shipped.mkdir(parents=True)
    (shipped / "main.py").touch()
    options = serve.parse(["ksam_kidney_seg", "--studies", str(tmp_path)])
    assert serve.start(tmp_path / "env" / "bin" / "python", bundle, options) == status
    assert not Path((tmp_path / "place").read_text()).exists() and (bundle / "models" / "model.pt").exists()


def test_environment_is_ready_only_with_the_stamp_of_these_requirements(tmp_path):
    assert not environment.is_ready(tmp_path)
    (tmp_path / "stamp.json").write_text("[")
    assert not environment.is_ready(tmp_path)
    (tmp_path / "stamp.json").write_text(json.dumps(environment.expected_stamp()))
    assert environment.is_ready(tmp_path)
    (tmp_path / "stamp.json").write_text(
        json.dumps(environment.expected_stamp() | {"requirements_sha256": "0"})
    )
    assert not environment.is_ready(tmp_path)


def test_a_python_without_distutils_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(environment._venv, "venv_version", lambda: "3.13.1")
    with pytest.raises(ToolError, match=r"expected .venv of Python 3.10 or 3.11 .*, got 3.13"):
        environment.provide_environment(tmp_path)


def test_every_requirement_is_pinned():
    rows = [row for row in environment.REQUIREMENTS.read_text().splitlines() if row and row[0] != "#"]
    assert rows and all("==" in row for row in rows)
