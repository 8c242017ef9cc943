"""Backbone and delta as one file: `models/model.pt`, a plain state dict that fits `network_def`."""

from __future__ import annotations

from pathlib import Path

import torch

from common.io.files import atomic_path

from .network import build_network


def assemble_weights(source: str | Path, delta: str | Path, target: str | Path) -> None:
    """Write the state dict of a KSAM, prompt bank included. The same files give the same bytes.

    Args:
        source: checkpoint of the backbone.
        delta: the trained part.
        target: file to write.

    Raises:
        ClassifierError: the two do not belong together, or one is not readable.
        OutputError: `target` cannot be written.
    """
    network = build_network(weights=delta, base=source)
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        torch.save(state, stream)  # through a stream: a path would leave its own name in the file
