"""The predict step: regions of all views in one batch, every history once, scores with and without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from torch import nn

from common.engines.tensors import TensorEngine, build_tensor_engine
from common.engines.torch_engine import find_device
from common.errors import ConfigError

from .classifier import Mmbcd
from .scores import to_score


@dataclass(frozen=True)
class Prediction:
    """What the network says of one view with regions.

    Attributes:
        score, image_only_score: raw 0..1, with the history (or what stands for a missing one) and without.
        attention: (k,) shares of the regions, sum 1.
    """

    score: float
    image_only_score: float
    attention: np.ndarray


class MmbcdInferer(Inferer):
    """Scores views; the vision encoder runs on an engine, text and fusion (0.1 s a study) in PyTorch.

    Args:
        engine, precision, device: see `common.engines.build_tensor_engine`.
        batch_size: regions at once; 32 holds a study of four views with eight regions each.

    Raises:
        ConfigError: a device that is not there, or no batch size.
    """

    def __init__(
        self, engine: str = "auto", precision: str = "auto", device: str = "cpu", batch_size: int = 32
    ) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ConfigError(f"batch_size: expected 1 or more regions, got {batch_size}: correct it")
        find_device(device)
        self.settings = {"engine": engine, "precision": precision, "device": device}
        self.batch_size = batch_size
        self._encoder: tuple[nn.Module, TensorEngine] | None = None

    def __call__(  # type: ignore[override]
        self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """As MONAI's inferers: regions (B, 3, K, S, S), RGB 0..1 -> logits (B, 2)."""
        return network(inputs, *args, **kwargs)

    @torch.inference_mode()
    def predict(
        self, crops: Sequence[torch.Tensor], histories: Sequence[str | None], network: Mmbcd
    ) -> list[Prediction | None]:
        """Scores of V views.

        Args:
            crops: regions of each view, (k, 3, S, S) RGB 0..1; k may be 0.
            histories: the text for each view, None where it is missing.
            network: the network.

        Returns:
            One for each view; None where it has no region.
        """
        counts = [len(regions) for regions in crops]
        if not any(counts):
            return [None] * len(crops)
        features = self.encode(torch.cat([regions for regions in crops if len(regions)]), network)
        return self.fuse(features.split(counts), histories, network)

    @torch.inference_mode()
    def encode(self, regions: torch.Tensor, network: Mmbcd) -> torch.Tensor:
        """Features (n, D) of regions (n, 3, S, S), RGB 0..1, by the vision encoder on the engine."""
        engine = self._engine(network)
        return torch.cat([engine(part).cpu() for part in regions.split(self.batch_size)])

    @torch.inference_mode()
    def fuse(
        self, features: Sequence[torch.Tensor], histories: Sequence[str | None], network: Mmbcd
    ) -> list[Prediction | None]:
        """Scores of V views from the features (k, D) of their regions; otherwise as `predict`."""
        found: list[Prediction | None] = [None] * len(features)
        places = [place for place, regions in enumerate(features) if len(regions)]
        if not places:
            return found
        padded, present = _pad([features[place] for place in places])
        text, there = encode_histories([histories[place] for place in places], network)
        output = network.fuse(padded, present, text, there)
        scores, alone = to_score(output.logits.numpy()), to_score(output.image_logits.numpy())
        for row, place in enumerate(places):
            attention = output.attention[row, : len(features[place])].numpy()
            found[place] = Prediction(float(scores[row]), float(alone[row]), attention)
        return found

    def describe(self, network: Mmbcd) -> dict[str, Any]:
        """What a result says about its "engine"."""
        engine = self._engine(network)
        return {key: getattr(engine, key) for key in ("engine", "precision", "device", "version")}

    def _engine(self, network: Mmbcd) -> TensorEngine:
        """The vision encoder, prepared once for each network."""
        if self._encoder is None or self._encoder[0] is not network:
            example = torch.zeros(1, 3, network.image_size, network.image_size)
            self._encoder = network, build_tensor_engine(network.vision, [example], **self.settings)
        return self._encoder[1]


def _pad(features: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (V, K, D) of views with k regions each, and which are there (V, K)."""
    padded = nn.utils.rnn.pad_sequence(list(features), batch_first=True)
    counts = torch.tensor([len(regions) for regions in features])
    return padded, torch.arange(padded.shape[1]) < counts[:, None]


def encode_histories(
    histories: Sequence[str | None], network: Mmbcd
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Embeddings (V, Dt), each text encoded once, and where there is one (V,); None, None without any."""
    texts = sorted({history for history in histories if history})
    if network.text is None or not texts:
        return None, None
    tokens = network.tokenize(texts)
    encoded = network.encode_text(tokens["input_ids"], tokens["attention_mask"])
    numbers = [texts.index(history) if history else 0 for history in histories]
    return encoded[numbers], torch.tensor([bool(history) for history in histories])
