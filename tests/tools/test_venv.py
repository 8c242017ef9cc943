"""A tool started with any Python ends up in a complete `.venv`; nothing is installed twice, or by halves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import _base
import _install
import _venv
import pytest

TOOLS = Path(_venv.__file__).parent
PROBE = "import _venv\n_venv.enter_venv()\nimport sys\nprint('prefix', sys.prefix, *sys.argv[1:])\n"
PYPROJECT = '[build-system]\nrequires = []\n\n[project]\nname = "x"\n\n[tool.ruff]\nline-length = 110\n'


def make_clone(folder: Path) -> Path:
    """A clone with the real bootstrap, a tool that only enters `.venv`, and nothing to install."""
    (folder / "tools").mkdir(parents=True)
    for name in ("_base.py", "_install.py", "_venv.py"):
        shutil.copy(TOOLS / name, folder / "tools")
    (folder / "tools" / "probe.py").write_text(PROBE)
    (folder / "requirements.txt").write_text("")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    return folder


def start(clone: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the probe from another directory with the Python outside `.venv`."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return subprocess.Popen(
        [sys._base_executable, str(clone / "tools" / "probe.py"), *arguments],  # type: ignore[attr-defined]
        cwd="/",
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone without any requirement in which two starts at the same moment have made `.venv`."""
    clone = make_clone(tmp_path_factory.mktemp("clone"))
    outputs = [process.communicate()[0] for process in (start(clone, "one"), start(clone, "two words"))]
    assert sorted("making .venv" in output for output in outputs) == [False, True]
    assert sorted("waiting" in output for output in outputs) == [False, True]
    assert f"prefix {clone / '.venv'} one\n" in outputs[0]
    assert f"prefix {clone / '.venv'} two words\n" in outputs[1]
    return clone


def test_second_start_changes_nothing(clone: Path) -> None:
    stamp = clone / ".venv" / "stamp.json"
    before = stamp.stat().st_mtime_ns
    assert start(clone, "x").communicate() == (f"prefix {clone / '.venv'} x\n", "")
    assert stamp.stat().st_mtime_ns == before


def test_settings_of_the_checkers_do_not_reinstall(clone: Path) -> None:
    (clone / "pyproject.toml").write_text(PYPROJECT.replace("110", "100"))
    assert "installing" not in start(clone).communicate()[0]


def test_changed_requirements_are_installed_in_place(clone: Path) -> None:
    kept = clone / ".venv" / "kept"
    kept.touch()
    (clone / "requirements.txt").write_text("# nothing more\n")
    output, _ = start(clone).communicate()
    assert "installing requirements.txt" in output and "making" not in output
    assert kept.exists()


def test_failed_installation_is_one_line_and_the_next_starts_empty(clone: Path) -> None:
    half = clone / ".venv" / "half-unpacked"
    half.touch()
    (clone / "requirements.txt").write_text("./no-such-package\n")
    process = start(clone)
    output, errors = process.communicate()
    assert process.returncode == 1
    assert errors.startswith("error: pip failed (") and errors.count("\n") == 1
    assert "prefix" not in output
    assert (clone / ".cache" / "venv.installing").exists()
    (clone / "requirements.txt").write_text("")
    assert "making .venv" in start(clone).communicate()[0]
    assert not half.exists()
    assert not (clone / ".cache" / "venv.installing").exists()


@pytest.mark.parametrize("version", ["3.9.18", "3.6.15"])
def test_old_python_is_refused_at_import(version: str) -> None:
    numbers = tuple(map(int, version.split(".")))
    code = f"import sys; sys.version_info = {numbers}; sys.version = '{version} (x)'; import _base"
    done = subprocess.run([sys.executable, "-c", code], cwd=TOOLS, capture_output=True, text=True)
    expected = f"error: expected Python 3.10 to 3.13, got {version}: start this with a newer one\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_new_python_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_venv, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(_venv, "CACHE", tmp_path / ".cache")
    monkeypatch.setattr(_venv, "PYTHON_VERSION", "3.14.0")
    with pytest.raises(_base.ToolError, match=r"expected Python 3\.10 to 3\.13, got 3\.14\.0"):
        _venv.make_venv()
    with pytest.raises(SystemExit, match=r"error: expected Python 3\.10 to 3\.13"):
        _venv.enter_venv()
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("version", "supported"), [("3.9.9", False), ("3.10.0", True), ("3.13.5", True), ("", False)]
)
def test_supported_range(version: str, supported: bool) -> None:
    assert _venv.is_supported(version) is supported


def test_restart_that_lands_outside_does_not_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_venv.RESTARTED, str(os.getpid()))
    with pytest.raises(SystemExit, match=r"expected to run in .*: delete \.venv and start again"):
        _venv.restart()


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(_venv, "is_ready", interrupt)
    with pytest.raises(SystemExit, match="interrupted: the next start begins the installation anew"):
        _venv.enter_venv()


def test_pip_comes_from_outside_where_ensurepip_is_missing(clone: Path, tmp_path: Path) -> None:
    """As on a Linux distribution that splits ensurepip off: the running pip fills the empty environment."""
    shutil.copytree(clone / ".venv", tmp_path / "env", symlinks=True)
    site = next((tmp_path / "env").glob("lib/python*/site-packages"))
    shutil.rmtree(site)
    site.mkdir()
    python = tmp_path / "env" / "bin" / "python"
    assert not _install.succeeds([str(python), "-c", "import pip"])
    calls: list[list[str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_install, "succeeds", lambda command: False)
        patch.setattr(_install, "run_quietly", lambda command, what: calls.append(command))
        _install.provide_pip(python)
    assert calls == [[sys.executable, "-m", "pip", "install", "--no-input", "--target", str(site), "pip"]]


def test_failing_command_gives_its_last_line() -> None:
    command = [sys.executable, "-c", "import sys; print('first'); sys.exit('the reason')"]
    with pytest.raises(_base.ToolError, match="making it failed: the reason"):
        _install.run_quietly(command, "making it")


def test_progress_reads_pip(tmp_path: Path) -> None:
    progress = _install.Progress(tmp_path)
    for line in ("Collecting torch==2.14.1 (from -r x (line 5))", "Installing build dependencies: started"):
        progress.read(line)
    assert progress.describe() == "choosing versions, 1 packages so far"
    progress.read("  Downloading torch-2.14.1-cp311-manylinux_2_28_x86_64.whl (900.1 MB)\n")
    assert progress.describe() == "downloading torch (900.1 MB), 1 packages so far"
    progress.read("Installing collected packages: mpmath, numpy, torch\n")
    (tmp_path / "lib/python3.11/site-packages/numpy-2.4.dist-info").mkdir(parents=True)
    assert progress.describe() == "unpacking 3 packages, 1 in place"
    progress.read("ERROR: No matching distribution found for torch==9\n")
    assert progress.last_error == "No matching distribution found for torch==9"


def test_progress_is_shown_while_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_install, "PROGRESS_EVERY_S", 0.01)
    with _install.Progress(tmp_path).shown():
        subprocess.run(["sleep", "0.1"])
    assert "  0:00 choosing versions, 0 packages so far\n" in capfd.readouterr().out


def test_clock() -> None:
    assert [_base.clock(seconds) for seconds in (0, 59.9, 75, 3600)] == ["0:00", "0:59", "1:15", "60:00"]


def test_interrupted_tool_is_one_line() -> None:
    def main(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match="interrupted"):
        _base.run_tool(main)
    with pytest.raises(SystemExit) as ended:
        _base.run_tool(lambda arguments: 3)
    assert ended.value.code == 3
