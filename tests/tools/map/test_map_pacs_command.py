"""The command of a study: its words, its time, its exit status, and what of its words is kept."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from pacs.access import PASSWORD, TOKEN
from pacs.command import LONGEST, Command, last_line, parse_template, remove_personal
from pacs.errors import ParkError, SettingError, SkipError, StudyError
from pydicom.dataset import Dataset
from toy_pacs import build_instance


def run(tmp_path: Path, program: str, limit_s: int = 60) -> Path:
    """Run a Python program as the command. Returns the output folder."""
    output = tmp_path / "output"
    output.mkdir(exist_ok=True)
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_WRONLY)
    template = (sys.executable, "-I", "-S", "-c", program, "{input}", "--output={output}")
    try:
        command = Command(template, limit_s, lock)
        command.run(tmp_path, output, tmp_path / "printed.txt", build_instance(0, 0))
    finally:
        os.close(lock)
    return output


def test_the_folders_stand_where_the_template_says(tmp_path: Path) -> None:
    run(tmp_path, "import sys; open(sys.argv[2][9:] + '/seen', 'w').write(sys.argv[1])")
    assert (tmp_path / "output" / "seen").read_text() == str(tmp_path)


def test_secrets_are_not_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (TOKEN, PASSWORD):
        monkeypatch.setenv(name, "secret")
    run(tmp_path, "import os, sys; sys.exit('secret' in os.environ.values())")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(1, StudyError), (2, StudyError), (10, SkipError), (11, ParkError), (12, ParkError), (13, StudyError),
     (14, ParkError)],
)  # fmt: skip
def test_the_exit_status_decides(tmp_path: Path, status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=rf"^exit {status}: the last word$") as caught:
        run(tmp_path, f"print('first'); print('the  last word'); print(); import sys; sys.exit({status})")
    assert caught.type is kind


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(StudyError, match="the command was ended after 1 s: see --time-limit"):
        run(tmp_path, "import time; time.sleep(60)", limit_s=1)
    assert time.monotonic() - started < 30


def test_a_command_killed_by_a_signal_is_a_failed_attempt(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="exit (-9|137): the command printed nothing"):
        run(tmp_path, "import os; os.kill(os.getpid(), 9)")


def test_of_much_output_only_the_last_line_is_kept(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        run(tmp_path, "import sys; print('x' * 10**6); print('y' * 1000); sys.exit(1)")
    assert str(caught.value) == "exit 1: " + "y" * LONGEST


def test_a_line_that_is_no_text_is_kept_readable(tmp_path: Path) -> None:
    path = tmp_path / "printed.txt"
    path.write_bytes(b"ok\n\xff\xfe end\n \n")
    assert last_line(path) == "\ufffd\ufffd end"


def test_what_identifies_the_patient_is_taken_out() -> None:
    header = build_instance(7, 0, AccessionNumber="ACC-1", PatientBirthDate="19510317")
    text = f"cannot read sally SAMPLE 19510317 in SECRET7/ACC-1/{header.SOPInstanceUID}.dcm, 12.5 mm"
    assert remove_personal(text, header) == "cannot read *** *** *** in ***/***/***.dcm, 12.5 mm"


def test_a_name_of_two_letters_is_taken_out_where_it_is_a_word() -> None:
    header = Dataset()
    header.PatientName = "Wu^Li"
    assert remove_personal("WU: a clip of li_1, Li.dcm", header) == "***: a clip of li_1, ***.dcm"


def test_short_and_missing_elements_take_nothing_out() -> None:
    header = Dataset()
    header.PatientID, header.PatientName = "1", ""
    assert remove_personal("expected 512 x 512, got 1", header) == "expected 512 x 512, got 1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("true '{input} {output}", "expected a command line, got an open quotation"),
        ("true {input}", "expected {output} in it, got none"),
        ("true {output}", "expected {input} in it, got none"),
        ("no-such-program {input} {output}", "expected a program, got no-such-program, which is not there"),
    ],
)
def test_what_is_no_command_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_template(text)


def test_words_are_split_as_a_shell_does() -> None:
    assert parse_template("echo 'a b' {input}:/x {output}") == ("echo", "a b", "{input}:/x", "{output}")
