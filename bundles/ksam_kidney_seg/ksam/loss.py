"""The paper's loss: a weighted sum of binary cross entropy and Dice, at full size."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional as F

from common.errors import ConfigError

from .episode_network import EpisodeOutput

MAX_WEIGHT = 100.0
"""Of a pixel: a structure of a few pixels shall not rule the whole."""


class KnowledgeLoss(nn.Module):
    """bce * BCE + dice * (1 - Dice), over every prompt of every picture (paper, section 2.4).

    The weights are a choice (the paper names none): 0.2 and 0.8, as SAMed and H-SAM have them. Dice is taken
    of each map by itself and smoothed by some pixels, so that a target without the structure counts too.

    Args:
        bce: weight of the binary cross entropy.
        dice: weight of the Dice loss.
        prior: weight of the binary cross entropy of the network's similarity prior (choice).
        smooth: pixels added above and below the line of Dice. 1 punishes a pixel too many on an empty target
            as hard as a missed organ; 32 is milder where structures are small (choice).
        balance: least weight that the pixels of a structure have in its cross entropy, over that of all
            others; 0 counts every pixel once (paper). Where an artery takes one pixel of a thousand,
            "nowhere" is a good answer to the cross entropy and Dice has no slope left; 0.1 prevents that
            (choice).

    Raises:
        ConfigError: a negative weight, none above 0, or no smoothing.
    """

    def __init__(
        self,
        bce: float = 0.2,
        dice: float = 0.8,
        prior: float = 0.0,
        smooth: float = 1.0,
        balance: float = 0.0,
    ) -> None:
        super().__init__()
        if min(bce, dice, prior, balance) < 0 or bce + dice <= 0 or smooth <= 0:
            raise ConfigError(
                "loss: expected weights of 0 or more, bce or dice above 0 and smooth above 0, got "
                f"bce {bce}, dice {dice}, prior {prior}, smooth {smooth}, balance {balance}: "
                "0.2, 0.8, 0, 1 and 0 are usual"
            )
        self.weights, self.balance = (bce, dice, prior), balance
        self.overlap = DiceLoss(sigmoid=True, smooth_nr=smooth, smooth_dr=smooth)

    def forward(self, output: EpisodeOutput, target: torch.Tensor) -> torch.Tensor:
        """One number.

        Args:
            output: logits (B, T, S, S) and, if wanted, those of the prior (B, T, g, g).
            target: (B, T, S, S), 0..1.
        """
        bce, dice, prior = self.weights
        loss = bce * self._find_bce(output.logits, target)
        loss = loss + dice * self.overlap(output.logits, target)
        if output.prior is not None:
            small = F.adaptive_avg_pool2d(target, (output.prior.shape[-2], output.prior.shape[-1]))
            loss = loss + prior * F.binary_cross_entropy_with_logits(output.prior, small)
        return loss

    def _find_bce(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean over all pixels; with a balance those of small structures weigh more."""
        inside = target.mean(dim=(2, 3), keepdim=True)
        heavier = (self.balance * (1 - inside) / inside.clamp(min=1e-6)).clamp(1, MAX_WEIGHT)
        weight = 1 + (heavier - 1) * target
        return F.binary_cross_entropy_with_logits(logits, target, weight) / weight.mean()
