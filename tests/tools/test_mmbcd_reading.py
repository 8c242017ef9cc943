"""The sheet of mammograms: places of the pictures, and the box where the breast is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from experiment.mmbcd_reading import HEIGHT_PX, main
from PIL import Image
from toy_mammo_files import write_study


def test_each_study_is_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """64x96 pixels become 173x260; the boxes of a right and a left breast meet in the middle."""
    write_study(tmp_path / "in" / "a", PatientID="a")
    write_study(tmp_path / "in" / "b", (("R", "CC"),), PatientID="b")
    (tmp_path / "in" / "a" / "screen.png").write_bytes(b"x")
    main([str(tmp_path / "in"), "--output", str(tmp_path / "sheet.png")])
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    width = round(64 * HEIGHT_PX / 96)
    assert sheet.shape == (2 * HEIGHT_PX + 8, 4 * width + 3 * 8)
    assert (sheet[HEIGHT_PX + 8 :, width + 8 :] == 96).all()
    middle = HEIGHT_PX // 2
    assert sheet[middle, width - 1] == sheet[middle, width + 8] == 255
    assert sheet[2, 2] < 10
    assert "a: left out screen.png: a picture without screen.json" in capsys.readouterr().out
