"""Backbone and delta as one file: `models/model.pt`, a plain state dict that fits `network_def`."""

from __future__ import annotations

from pathlib import Path

from common.networks.state_dict import write_state

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
    write_state(build_network(weights=delta, base=source), target)
