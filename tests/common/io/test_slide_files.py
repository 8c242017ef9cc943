"""Which files are slides, and what is said about those that are not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from common.io.slide import find_slides, is_slide_file, open_slide


def test_slides_of_a_folder_by_name(tmp_path: Path, make_pyramid: Callable[..., Path]) -> None:
    tiff = make_pyramid(tmp_path / "b.tif", 300, 300, (1,))
    unnamed = make_pyramid(tmp_path / "c", 300, 300, (1,))
    picture = tmp_path / "a.PNG"
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(picture)
    for other in (".hidden.png", "notes.txt", "empty.csv"):
        (tmp_path / other).write_text("text")
    (tmp_path / "folder").mkdir()
    assert find_slides(tmp_path) == [picture, tiff, unnamed]
    assert find_slides(str(tiff)) == [tiff]
    assert [is_slide_file(p) for p in (tiff, unnamed, picture)] == [True] * 3
    assert not any(is_slide_file(tmp_path / p) for p in ("notes.txt", ".hidden.png", "folder", "gone.svs"))


def test_a_folder_without_slides_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(InputError, match="expected a folder with slides, got none"):
        find_slides(tmp_path)
    with pytest.raises(InputError, match="expected a folder with one DICOM WSI series, got 0"):
        open_slide(tmp_path)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="gone: expected a slide .* folder, got 'no such file or directory'"):
        find_slides(tmp_path / "gone")

    def deny(_: Path) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", deny)
    with pytest.raises(InputError, match="expected a slide or a readable folder, got 'permission denied'"):
        find_slides(tmp_path)


def test_a_missing_file_is_refused_by_its_name_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.svs: expected a slide, got no such file") as caught:
        open_slide(tmp_path / "gone.svs")
    assert str(tmp_path) not in str(caught.value)


def test_a_file_without_rights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.svs").write_bytes(b"x")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match=r"a\.svs: expected a readable file, got 'permission denied'"):
        open_slide(tmp_path / "a.svs")


@pytest.mark.parametrize("name", ["a.svs", "a.tif", "a.png", "a.jpg", "a.dcm", "a"])
@pytest.mark.parametrize("content", [b"", b"not a slide", bytes(1000)])
def test_something_else_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        InputError, match=rf"^{name}: expected a slide .*, got something else or part of a file"
    ):
        open_slide(tmp_path / name)
