"""The paper's loss: a weighted sum of binary cross entropy and Dice, at full size."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional as F

from common.errors import ConfigError

from .episode_network import EpisodeOutput


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

    Raises:
        ConfigError: a negative weight, none above 0, or no smoothing.
    """

    def __init__(self, bce: float = 0.2, dice: float = 0.8, prior: float = 0.0, smooth: float = 1.0) -> None:
        super().__init__()
        if min(bce, dice, prior) < 0 or bce + dice <= 0 or smooth <= 0:
            raise ConfigError(
                f"loss: expected weights of 0 or more, bce or dice above 0 and smooth above 0, got bce {bce}, "
                f"dice {dice}, prior {prior}, smooth {smooth}: 0.2, 0.8, 0 and 1 are usual"
            )
        self.weights = (bce, dice, prior)
        self.overlap = DiceLoss(sigmoid=True, smooth_nr=smooth, smooth_dr=smooth)

    def forward(self, output: EpisodeOutput, target: torch.Tensor) -> torch.Tensor:
        """One number.

        Args:
            output: logits (B, T, S, S) and, if wanted, those of the prior (B, T, g, g).
            target: (B, T, S, S), 0..1.
        """
        bce, dice, prior = self.weights
        loss = bce * F.binary_cross_entropy_with_logits(output.logits, target)
        loss = loss + dice * self.overlap(output.logits, target)
        if output.prior is not None:
            small = F.adaptive_avg_pool2d(target, (output.prior.shape[-2], output.prior.shape[-1]))
            loss = loss + prior * F.binary_cross_entropy_with_logits(output.prior, small)
        return loss
