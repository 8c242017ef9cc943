"""What the peers of KSAM need at toy size: small backbones under the real names, tasks of generated discs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from experiment.ksam_peers.base import Context
from toy_ksam import SIZE_PX, SIZES, draw_datalist

from common.networks import sam
from ksam.datalist import load_datalist
from ksam.template_choice import draw_task


def shrink_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "lite" is a toy of 32 x 32 pixels from now on."""
    monkeypatch.setitem(sam.BACKBONES, "lite", SIZES)
    monkeypatch.setitem(sam.DEFAULT_SIZE_PX, "lite", SIZE_PX)


def write_backbone(path: Path) -> Path:
    """A checkpoint of that toy."""
    torch.manual_seed(7)
    torch.save(sam.build_sam(SIZES, SIZE_PX).state_dict(), path)
    return path


def make_context(folder: Path, templates: int = 2, **changes: Any) -> Context:
    """Templates of generated discs."""
    path = draw_datalist(folder)
    return Context(draw_task(load_datalist(path, "training"), templates, 0), **{"answers": 2} | changes)


def dice(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Of two masks."""
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))
