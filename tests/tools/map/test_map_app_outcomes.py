"""How runs of an application end: exit code, one line, the output folder, the run log."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import runpy
import sys

import outcome
import output_folder
import pytest
import run_case as run_case_module
from run_case import run_case
from toy_map import APP, list_files, write_manifest, write_toy_bundle

RESULTS = {"result.txt", "dicom/half.bin", "run.json"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_toy_bundle(tmp_path_factory.mktemp("bundles") / "toy")


@pytest.fixture
def places(bundle, tmp_path):
    (tmp_path / "in").mkdir()
    return bundle, tmp_path / "in", tmp_path / "out"


def read_log(places):
    return json.loads((places[2] / "run.json").read_text(encoding="utf-8"))


def test_a_run_leaves_its_results_and_a_log(places):
    found = run_case(*places, {})
    assert (found.exit_code, found.status, found.message) == (0, "done", "All is well")
    assert list_files(places[2]) == RESULTS
    assert {path.relative_to(places[2]).as_posix() for path in found.files} == RESULTS - {"run.json"}
    log = read_log(places)
    assert (log["status"], log["exit_code"], log["message"]) == ("done", 0, "All is well")
    assert sorted(log["files"]) == sorted(RESULTS - {"run.json"})
    assert log["bundle"] == {"name": "toy", "version": "1.2.3", "package": "toy_acting"}
    assert log["weights_sha256"] == {"models/model.pt": hashlib.sha256(b"weights").hexdigest()}
    assert log["findings"] == [{"headline": "All is well", "empty": False}]
    assert {"started", "seconds", "cpu_seconds", "peak_memory_mb", "versions"} <= set(log)


def test_an_empty_finding_is_a_result(places):
    found = run_case(*places, {"act": "empty"})
    assert (found.exit_code, found.status) == (0, "empty") and list_files(places[2]) == RESULTS
    assert read_log(places)["status"] == "empty"


@pytest.mark.parametrize(
    ("act", "code", "message"),
    [
        ("full", 13, "expected a writable place, got 'no space left on device': free space or change the"),
        ("wrapped", 13, "report.html: expected a writable place, got 'quota'"),
        ("memory", 1, "expected enough memory, got too little: give more"),
        ("fault", 1, "unexpected KeyError at __init__.py:"),
    ],
)
def test_a_run_that_fails_leaves_only_its_log(places, act, code, message):
    found = run_case(*places, {"act": act})
    assert found.exit_code == code and found.message.startswith(message) and not found.files
    assert list_files(places[2]) == {"run.json"}
    log = read_log(places)
    assert (log["exit_code"], log["status"], log["files"]) == (code, outcome.STATUS[code], [])
    assert "Kowalska" not in json.dumps(log)


def test_the_cases_that_could_be_read_are_kept_when_others_are_refused(places):
    found = run_case(*places, {"act": "one of two"})
    assert (found.exit_code, found.message) == (12, "expected 2 readable cases, 1 was refused")
    assert list_files(places[2]) == RESULTS


def test_results_of_an_earlier_run_go_and_other_files_stay(places):
    run_case(*places, {})
    (places[2] / "mine.txt").write_text("of somebody else")
    leftover = places[2] / ".run-killed"
    leftover.mkdir()
    (leftover / "half").write_text("half")
    assert run_case(*places, {"act": "fault"}).exit_code == 1
    assert list_files(places[2]) == {"run.json", "mine.txt"} and not (places[2] / "dicom").exists()


def test_an_earlier_log_cannot_name_files_elsewhere(places):
    places[2].mkdir()
    (places[2].parent / "precious.txt").write_text("kept")
    (places[2] / "run.json").write_text(json.dumps({"files": ["../precious.txt", 7]}))
    assert run_case(*places, {}).exit_code == 0
    assert (places[2].parent / "precious.txt").read_text() == "kept"


def test_without_room_for_the_log_there_is_no_result(places, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_case_module, "write_log", fail)
    found = run_case(*places, {})
    assert found.exit_code == 13 and list_files(places[2]) == set()


@pytest.mark.parametrize("stop", [OSError(errno.EISDIR, "Is a directory"), SystemExit(143)])
def test_a_run_that_ends_while_results_move_leaves_none(places, monkeypatch, stop):
    moves = []

    def replace(source, target, real=os.replace):
        moves.append(target)
        if len(moves) == 2:
            raise stop
        real(source, target)

    monkeypatch.setattr(output_folder.os, "replace", replace)
    if isinstance(stop, SystemExit):
        with pytest.raises(SystemExit):
            run_case(*places, {})
        assert list_files(places[2]) == set()
        return
    assert run_case(*places, {}).exit_code == 1
    assert list_files(places[2]) == {"run.json"} and read_log(places)["files"] == []


def test_what_a_killed_run_had_moved_goes_with_the_next(places):
    """A kill takes nothing back: the plan stays, and names the files."""
    run_case(*places, {})
    (places[2] / "run.json").rename(places[2] / ".run.plan.json")
    (places[2] / "mine.txt").write_text("of somebody else")
    assert run_case(*places, {"act": "fault"}).exit_code == 1
    assert list_files(places[2]) == {"run.json", "mine.txt"}


def test_two_runs_do_not_share_an_output_folder(places):
    with output_folder.staging(places[2]) as folder:
        (folder / "half").write_text("half")
        found = run_case(*places, {})
        assert (found.exit_code, (folder / "half").read_text()) == (13, "half")
        assert found.message.startswith("expected an output folder of its own, got one that another run")
        assert not (places[2] / "run.json").exists()
    assert run_case(*places, {}).exit_code == 0


def test_a_refused_run_leaves_no_earlier_results_beside_its_log(places, tmp_path):
    run_case(*places, {})
    assert run_case(places[0], tmp_path / "none", places[2], {}).exit_code == 12
    assert list_files(places[2]) == {"run.json"}


def test_an_output_that_is_no_folder_is_refused(places):
    places[2].write_text("a file")
    found = run_case(*places, {})
    assert found.exit_code == 13
    assert found.message == "expected an output folder that can be written, got 'file exists': check it"


def test_an_output_in_the_input_is_refused_untouched(places):
    (places[1] / "out").mkdir()
    found = run_case(places[0], places[1], places[1] / "out", {})
    assert found.exit_code == 14 and "expected an output outside the input" in found.message
    assert not list_files(places[1])


def test_a_missing_input_and_a_missing_bundle_are_refused(places, tmp_path):
    found = run_case(places[0], tmp_path / "none", places[2], {})
    assert (found.exit_code, found.message[:30]) == (12, "expected an input folder, got ")
    found = run_case(tmp_path, places[1], places[2], {})
    assert found.exit_code == 14 and "expected a bundle with configs/inference.json" in found.message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"acts": "done"}, "expected a setting of the bundle, got acts: did you mean act?"),
        ({"zzz": 1}, "expected a setting of the bundle, got zzz: known: act, dataset, evaluator"),
        (
            {"act": "$__import__('os').abort()"},
            "act: expected a value, got one that begins with $: change it",
        ),
        ({"run": []}, "expected a setting of the bundle, got run: known: act"),
        ({"output_dir": "x"}, "expected a setting of the bundle, got output_dir: known:"),
    ],
)
def test_unknown_settings_are_refused(places, settings, message):
    found = run_case(*places, settings)
    assert found.exit_code == 14 and found.message.startswith(message)


def test_settings_are_logged_without_texts(places):
    run_case(*places, {"act": "done", "dataset": {"_target_": "toy_acting.Dataset", "path": "x"}, "seed": 3})
    assert read_log(places)["settings"] == {"act": "(given)", "dataset": "(given)", "seed": 3}


def test_changed_weights_of_a_packed_bundle_are_refused(tmp_path):
    root = write_toy_bundle(tmp_path / "packed", "toy_packed")
    write_manifest(root, "toy_packed")
    (root / "models" / "own.pt").write_bytes(b"of the site, not packed")
    (tmp_path / "in").mkdir()
    places = root, tmp_path / "in", tmp_path / "out"
    assert run_case(*places, {}).exit_code == 0
    (root / "models" / "model.pt").write_bytes(b"other weights")
    found = run_case(*places, {})
    assert found.exit_code == 1
    assert (
        found.message
        == "models/model.pt: expected the file that was packed, got another: install the bundle again"
    )


def call(arguments, monkeypatch, capfd, **environment):
    """The application's command in this process: exit code and standard error."""
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(sys, "argv", [str(APP), *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(APP / "__main__.py"), run_name="__main__")
    return ended.value.code, capfd.readouterr().err


def test_the_command_says_in_one_line_how_it_ended(places, monkeypatch, capfd):
    bundle, source, output = places
    options = ["--bundle", bundle, "--input", source, "--output", output, "--plain"]
    assert call(options, monkeypatch, capfd) == (0, "done: All is well\n")
    code, said = call([*options, "--set", "act=full"], monkeypatch, capfd)
    assert code == 13 and said.startswith("error: output not writable: expected a writable place")
    assert said.count("\n") == 1
    code, said = call([*options, "--set", "act"], monkeypatch, capfd)
    assert (code, said) == (
        14,
        "error: bad setting: expected KEY=VALUE, got 3 characters without it: write it so\n",
    )


def test_the_command_takes_its_places_from_the_environment(places, monkeypatch, capfd):
    bundle, source, output = places
    names = {
        "HOLOSCAN_MODEL_PATH": bundle.parent,
        "HOLOSCAN_INPUT_PATH": source,
        "HOLOSCAN_OUTPUT_PATH": output,
        "BUNDLE_SETTINGS": "act=empty",
    }
    assert call(["--plain"], monkeypatch, capfd, **names) == (0, "empty: All is well\n")
    code, said = call(["--plain"], monkeypatch, capfd, HOLOSCAN_MODEL_PATH=source)
    assert (code, said) == (14, "error: bad setting: expected one bundle, got 0: name it with --bundle\n")
    monkeypatch.delenv("HOLOSCAN_INPUT_PATH")
    code, said = call(["--plain"], monkeypatch, capfd)
    assert (code, said) == (14, "error: bad setting: expected --input, got none: name a folder\n")


@pytest.mark.parametrize("wrong", [["--inptu", "Kowalska"], ["--input"], ["Kowalska"]])
def test_a_wrong_option_is_a_bad_setting_in_one_line(monkeypatch, capfd, wrong):
    line = "expected the options that --help lists, got others: correct the command"
    assert call(["--plain", *wrong], monkeypatch, capfd) == (14, f"error: bad setting: {line}\n")


def test_an_open_quotation_in_the_settings_is_a_bad_setting(places, monkeypatch, capfd):
    options = [
        word for pair in zip(("--bundle", "--input", "--output"), places, strict=True) for word in pair
    ]
    code, said = call(options, monkeypatch, capfd, BUNDLE_SETTINGS="act='done")
    line = "$BUNDLE_SETTINGS: expected words, got an open quotation: close it"
    assert (code, said) == (14, f"error: bad setting: {line}\n")


def test_an_sdk_that_does_not_start_is_a_fault_in_one_line(places, tmp_path, monkeypatch, capfd):
    (tmp_path / "holoscan.py").write_text("raise ImportError('libcudart.so.13')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sdk_application", raising=False)
    options = [
        word for pair in zip(("--bundle", "--input", "--output"), places, strict=True) for word in pair
    ]
    code, said = call(options, monkeypatch, capfd)
    assert code == 1 and said.startswith("error: fault: expected the MONAI Deploy App SDK to start, got ")
    assert said.count("\n") == 1 and not places[2].exists()


def test_codes_are_those_of_the_bundles_errors():
    from common import errors

    expected = {
        errors.InputError: 12,
        errors.NoEligibleError: 10,
        errors.SeveralEligibleError: 11,
        errors.ConfigError: 14,
        errors.OutputError: 13,
        errors.ClassifierError: 14,
    }
    assert {kind: outcome.find_code(kind("x")) for kind in expected} == expected
    assert outcome.find_code(ValueError("x")) is None
