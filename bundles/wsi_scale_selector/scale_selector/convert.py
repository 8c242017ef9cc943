"""Foreign weights -> `models/model.pt`, the state dict of the bundle's own network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from common.io.files import atomic_path

from .classifier import load_classifier_spec
from .network import build_network


def import_weights(source: str | Path, classifier_json: str | Path, target: str | Path) -> None:
    """Write the weights of `source` as the state dict of the classifier that `classifier_json` describes.

    The outputs that `classifier_json` selects are the only ones kept. The same source gives the same bytes.

    Args:
        source: a Keras file, or a state dict of the architecture named in `classifier_json`.

    Raises:
        ClassifierError: the file and the description do not fit together.
        OutputError: `target` cannot be written.
    """
    spec = replace(load_classifier_spec(classifier_json), weights_path=Path(source), expected_sha256=None)
    state = {key: value.contiguous() for key, value in build_network(spec).state_dict().items()}
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        torch.save(state, stream)  # through a stream: a path would leave its own name in the file
