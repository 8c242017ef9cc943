"""The Prompt Parser of One-Prompt in two forms: which template token goes with which token of the picture."""

from __future__ import annotations

import torch
from einops import rearrange, reduce
from torch import nn
from torch.nn import functional as F


class PromptParser(nn.Module):
    """What the template's tokens take from the picture's (paper: the structure of One-Prompt, section 2.3).

    e = MLP(t, p1, p2), element by element; s = t + p1 + p2; M = Gaussian(e x'), S = s x'; G = max(M * S, S).
    One-Prompt learns the 3x3 values of the Gaussian; choice: one learnable width, which keeps it a Gaussian.

    form "space" (choice, the default): M and S compare every template token with every token of the picture
    (divided by the root of C), the Gaussian smooths over the picture's grid, and softmax(G) x is what is
    taken. One-Prompt has no softmax; without it a sum over 1024 tokens has no scale.
    form "channels" (One-Prompt's own): for each token an outer product over channels; G s is what is taken
    (divided by C, for the same reason). It needs N C^2 numbers: 268 MB for 1024 tokens of 256 channels.

    In both forms the result is weighted by sigmoid(Linear(DE1)) per template token (paper: the mask further
    enhances the features that belong to the task).

    Args:
        channels: C.
        grid: edge of the grid of tokens.
        form: "space" or "channels".
        hidden: width of the element-wise MLP.
    """

    def __init__(self, channels: int, grid: int, form: str = "space", hidden: int = 8) -> None:
        super().__init__()
        self.grid, self.form = grid, form
        last = nn.Linear(hidden, 1)
        with torch.no_grad():  # M starts small, so that G starts as S: plain attention
            last.weight.mul_(0.1)
        self.mix = nn.Sequential(nn.Linear(3, hidden), nn.GELU(), last)
        self.sigma = nn.Parameter(torch.tensor(1.0))  # in tokens, or in channels
        self.task = nn.Linear(channels, 1)

    def forward(
        self, template: torch.Tensor, picture: torch.Tensor, image_prompt: torch.Tensor, task: torch.Tensor
    ) -> torch.Tensor:
        """What to add to the template's tokens.

        Args:
            template: t (B, N, C).
            picture: x (B, N, C).
            image_prompt: p1 = DE0 (B, N, C).
            task: p2 = DE1 (B, N, C).

        Returns:
            (B, N, C).
        """
        mixed = self.mix(torch.stack((template, image_prompt, task), dim=-1))[..., 0]
        prompted = template + image_prompt + task
        parse = self._parse_space if self.form == "space" else self._parse_channels
        return parse(mixed, prompted, picture) * torch.sigmoid(self.task(task))

    def _parse_space(
        self, mixed: torch.Tensor, prompted: torch.Tensor, picture: torch.Tensor
    ) -> torch.Tensor:
        scale = picture.shape[-1] ** -0.5
        smooth = self._smooth(rearrange(picture, "B (h w) C -> B C h w", h=self.grid))
        # the Gaussian acts on the picture's axis of e x', so it may act on x first: the same, and cheaper
        likely = mixed @ rearrange(smooth, "B C h w -> B C (h w)") * scale
        similar = prompted @ rearrange(picture, "B N C -> B C N") * scale
        return torch.maximum(likely * similar, similar).softmax(dim=-1) @ picture

    def _parse_channels(
        self, mixed: torch.Tensor, prompted: torch.Tensor, picture: torch.Tensor
    ) -> torch.Tensor:
        plane = torch.einsum("bni,bnj->bnij", mixed, picture)
        likely = self._smooth(plane.flatten(0, 1).unsqueeze(1)).squeeze(1).unflatten(0, plane.shape[:2])
        similar = torch.einsum("bni,bnj->bnij", picture, prompted)
        gated = torch.maximum(likely * similar, similar)
        return torch.einsum("bnij,bnj->bni", gated, prompted) / picture.shape[-1]

    def _smooth(self, maps: torch.Tensor) -> torch.Tensor:
        """3x3 Gaussian with zeros around, on each channel of (B, C, h, w)."""
        side = torch.exp(-0.5 / (self.sigma**2 + 1e-6))
        line = torch.stack((side, torch.ones_like(side), side))
        kernel = torch.outer(line, line) / reduce(line, "w -> ", "sum") ** 2
        count = maps.shape[1]
        return F.conv2d(maps, kernel.to(maps.dtype).expand(count, 1, 3, 3), padding=1, groups=count)
