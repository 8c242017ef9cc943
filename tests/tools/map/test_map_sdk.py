"""The environment of the MONAI Deploy App SDK, without installing anything."""

from __future__ import annotations

import _venv
import pytest
import sdk
from _base import ToolError


@pytest.fixture
def environments(tmp_path, monkeypatch):
    """Two empty environments: the SDK's own and the shared one."""
    places = {}
    for name in ("sdk", "venv"):
        places[name] = tmp_path / name / "lib" / "python3.11" / "site-packages"
        places[name].mkdir(parents=True)
    monkeypatch.setattr(sdk, "ENVIRONMENT", tmp_path / "sdk")
    monkeypatch.setattr(_venv, "VENV", tmp_path / "venv")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    return places


def test_the_sdk_joins_the_monai_of_the_shared_packages(environments, tmp_path):
    own, shared = environments["sdk"] / "monai", environments["venv"] / "monai"
    (own / "deploy").mkdir(parents=True)
    (own / "deploy" / "core.py").write_text("# of the SDK")
    for name in ("bundle", "deploy", "__pycache__"):
        (shared / name).mkdir(parents=True)
    (shared / "__init__.py").write_text("# of MONAI")
    sdk.join_monai(tmp_path / "sdk" / "bin" / "python")
    assert {path.name for path in own.iterdir()} == {"deploy", "bundle", "__init__.py"}
    assert (own / "__init__.py").resolve() == shared / "__init__.py"
    assert (own / "deploy" / "core.py").is_file()


def test_the_shared_packages_and_common_stand_behind_its_own(environments, tmp_path):
    sdk.share_packages(tmp_path / "sdk" / "bin" / "python")
    (file,) = environments["sdk"].glob("*.pth")
    assert file.read_text().splitlines() == [str(environments["venv"]), str(sdk.ROOT)]


def test_the_cuda_runtime_is_found_where_it_is(environments, monkeypatch):
    with pytest.raises(
        ToolError, match=r"expected libcudart.so.13 in sdk, got none: delete it and start again"
    ):
        sdk.build_library_path()
    folder = environments["venv"] / "nvidia" / "cu13" / "lib"
    folder.mkdir(parents=True)
    (folder / "libcudart.so.13").touch()
    assert sdk.build_library_path() == str(folder)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    assert sdk.build_library_path() == f"{folder}:/opt/lib"


def test_a_complete_environment_is_used_as_it_is(environments, tmp_path, monkeypatch):
    monkeypatch.setattr(sdk, "CACHE", tmp_path / "cache")
    wanted = sdk.REQUIREMENTS.read_text() + "ab"
    monkeypatch.setattr(_venv, "expected_stamp", lambda: {"inputs_sha256": "ab"})
    (tmp_path / "sdk" / "complete").write_text(wanted)
    monkeypatch.setattr(sdk._install, "create_environment", lambda _: pytest.fail("made anew"))
    assert sdk.provide_environment() == tmp_path / "sdk" / "bin" / "python"
