"""Overrides and one-line errors of a `monai.bundle run` command."""

from __future__ import annotations

import json
import sys

import pytest

from common import runtime
from common.errors import BundleError, ConfigError, find_refusal

PROGRAM = "lib/monai/bundle/__main__.py"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "inference.json"
    path.write_text(
        json.dumps({"slide": "a", "output_dir": "b", "net": {"_target_": "x", "size": [1, {"deep": 2}]}})
    )
    return str(path)


@pytest.mark.parametrize("key", ["slide", "net", "net::size", "net#size#1#deep", "net::new_argument"])
def test_known_overrides(config, key):
    runtime.check_overrides([key], [config])


def test_unknown_override_names_the_nearest(config):
    with pytest.raises(ConfigError, match=r"got --ouput_dir: did you mean --output_dir\?"):
        runtime.check_overrides(["ouput_dir"], [config])


def test_unknown_override_with_nothing_near(config):
    with pytest.raises(ConfigError, match="known keys: net, output_dir, slide"):
        runtime.check_overrides(["zzz"], [config])


def test_read_command_line(tmp_path):
    args = tmp_path / "args.json"
    args.write_text(json.dumps({"config_file": "c.json", "seed": 3}))
    assert runtime.read_command_line(["run", "--args_file", str(args), "--slide=x"]) == (
        ["c.json"],
        ["seed", "slide"],
    )
    files, keys = runtime.read_command_line(
        ["run", "--config_file", "['a.json', 'b.json']", "--output-dir", "d"]
    )
    assert (files, keys) == (["a.json", "b.json"], ["output_dir"])


def test_start_checks_the_command(config, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", [PROGRAM, "run", "--config_file", config, "--slyde", "x"])
    with pytest.raises(ConfigError, match="did you mean --slide"):
        runtime.start()


def test_start_leaves_other_programs_alone(monkeypatch):
    before = sys.excepthook
    monkeypatch.setattr(sys, "argv", ["pytest", "--nonsense"])
    runtime.start()
    assert sys.excepthook is before


def wrapped() -> RuntimeError:
    try:
        try:
            raise BundleError("expected a,\n got b:   do c")
        except BundleError as refusal:
            raise RuntimeError("Failed to instantiate") from refusal
    except RuntimeError as error:
        return error


def test_find_refusal_through_wrapping():
    assert str(find_refusal(wrapped())) == "expected a, got b: do c"
    assert find_refusal(ValueError("x")) is None


@pytest.mark.parametrize("verbose", [False, True])
def test_one_line_on_standard_error(capsys, verbose):
    error = wrapped()
    runtime._report(type(error), error, error.__traceback__, verbose=verbose)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "error: expected a, got b: do c"
    assert (len(lines) == 1) is not verbose


def test_a_bug_keeps_its_traceback(capsys):
    error = ValueError("a bug")
    runtime._report(ValueError, error, None, verbose=False)
    assert "ValueError: a bug" in capsys.readouterr().err
