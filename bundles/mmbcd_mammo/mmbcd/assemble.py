"""Encoders and trained part as one file: `models/model.pt`, a plain state dict that fits `network_def`."""

from __future__ import annotations

from pathlib import Path

from common.networks.state_dict import write_state

from .network import build_mmbcd


def assemble_weights(source: str | Path, trained: str | Path, text: str | Path, target: str | Path) -> None:
    """Write the state dict of an MMBCD, both encoders included. The same files give the same bytes.

    Args:
        source: weights of the vision encoder.
        trained: the trained part.
        text: a file in the folder of the text encoder.
        target: file to write.

    Raises:
        ClassifierError: they do not belong together, or one is not readable.
        OutputError: `target` cannot be written.
    """
    write_state(build_mmbcd(trained, vision_weights=source, text_folder=Path(text).parent), target)
