"""MMBCD's own row: trained weights, scored as inference scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmbcd.inferer import MmbcdInferer
from mmbcd.network import Mmbcd, build_mmbcd
from mmbcd.train import read_training_patients
from mmbcd.weights import read_weights

from .base import Batch, Peer


class OwnPeer(Peer):
    """MMBCD.

    Args:
        network: with trained weights.
        patients: hashes of those that it was trained on.
    """

    def __init__(self, network: Mmbcd, patients: Sequence[str]) -> None:
        self.network, self.patients = network, patients
        self.image_size = network.image_size
        self.inferer = MmbcdInferer("torch", "fp32")

    def score(self, batch: Batch) -> np.ndarray:
        """Raw scores of the whole network; NaN where no region was found."""
        crops = [views[there] for views, there in zip(batch.crops, batch.present, strict=True)]
        histories = [text or None for text in batch.histories]
        found = self.inferer.predict([one.cpu() for one in crops], histories, self.network)
        return np.array([np.nan if one is None else one.score for one in found])


def build_ours(files: Mapping[str, str]) -> OwnPeer:
    """MMBCD from its files.

    Args:
        files: "weights" of `save_weights`, and "vision" and "text" where those need them.

    Raises:
        ClassifierError: see `build_mmbcd`.
    """
    network = build_mmbcd(files["weights"], files.get("vision"), files.get("text"))
    return OwnPeer(network, read_training_patients(files["weights"]))


def describe_weights(path: str) -> str:
    """One sentence for tables and figures. Raises ClassifierError: not readable."""
    card = read_weights(path).card
    return f"{card.name}: {card.purpose} weights of MMBCD."
