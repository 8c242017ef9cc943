"""Similarity prior: the template's mask carried to the picture by matching features (not in the paper)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange, reduce
from torch import nn
from torch.nn import functional as F

from ..errors import ConfigError

_FLOOR = 1e-4  # of a share of the mask: the prior's logits stay within about +-9
_HELD = 0.05  # share of a cell that must be covered before it gives a prototype


class Prior(NamedTuple):
    """logits (B, 1, g, g): the mask carried over; maps (B, 2, g, g): cosine to foreground, to background."""

    logits: torch.Tensor
    maps: torch.Tensor


class SimilarityPrior(nn.Module):
    """Where the picture looks like the template's structure, in the coordinates of the picture (choice).

    Both feature maps are projected by one learned 1x1 convolution and normalised. Two answers are drawn:
    1. Label propagation by cosine attention: with A = softmax over template tokens of (cosine * scale +
       position term), the logit of a pixel is log sum(A m) - log sum(A (1 - m)), m the template's mask.
    2. Local prototypes (as ALPNet's): masked means over the cells of a coarse grid and over the whole mask;
       the map is the greatest cosine to any prototype, for the foreground and for the background.

    Reason: the paper's modules may learn the source by heart and stop reading the template; this path cannot
    answer without it.

    Args:
        channels: of the features.
        size: channels of the projection.
        template_grid: edge to which the template is averaged before matching; 0: as it is.
        cells: edge of the coarse grid of local prototypes; 0: the whole mask only.
        scale: first value of the learned sharpness of the attention, times the cosine.
        position: add a learned penalty on the distance between the two places (both pictures were cropped in
            the same way, as CT slices of one body are).

    Raises:
        ConfigError: a number out of range.
    """

    def __init__(
        self,
        channels: int = 256,
        size: int = 64,
        template_grid: int = 0,
        cells: int = 4,
        scale: float = 20.0,
        position: bool = False,
    ) -> None:
        super().__init__()
        if size < 1 or template_grid < 0 or cells < 0 or scale <= 0:
            raise ConfigError(
                "prior: expected prior_size >= 1, prior_grid >= 0, prior_cells >= 0 and prior_scale > 0, "
                f"got {size}, {template_grid}, {cells} and {scale:g}: correct the setting"
            )
        self.template_grid, self.cells = template_grid, cells
        self.project = nn.Conv2d(channels, size, 1, bias=False)
        nn.init.orthogonal_(self.project.weight)
        self.log_scale = nn.Parameter(torch.tensor(float(scale)).log())
        self.log_distance = nn.Parameter(torch.tensor(0.0)) if position else None

    def forward(self, features: torch.Tensor, template: torch.Tensor, mask: torch.Tensor) -> Prior:
        """The prior of every picture from its template.

        Args:
            features: of the picture (B, C, g, g).
            template: of the template (B, C, g, g).
            mask: of the template, 0..1 (B, 1, g, g).
        """
        wanted = self._embed(features)
        if self.template_grid:
            ratio = template.shape[-1] // self.template_grid
            template, mask = F.avg_pool2d(template, ratio), F.avg_pool2d(mask, ratio)
        known = self._embed(template)
        return Prior(self._propagate(wanted, known, mask), self._match_prototypes(wanted, known, mask))

    def _embed(self, features: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> unit vectors (B, size, h, w) in fp32."""
        return F.normalize(self.project(features).float(), dim=1)

    def _propagate(self, wanted: torch.Tensor, known: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        cosine = torch.einsum("bcn,bcm->bnm", wanted.flatten(2), known.flatten(2)).float()
        match = cosine * self.log_scale.exp()
        if self.log_distance is not None:
            match = match - self.log_distance.exp() * _squared_distances(wanted, known)
        share = rearrange(mask.float(), "B 1 h w -> B 1 (h w)").clamp(_FLOOR, 1 - _FLOOR)
        inside = torch.logsumexp(match + share.log(), dim=2)
        outside = torch.logsumexp(match + (1 - share).log(), dim=2)
        return (inside - outside).unflatten(1, wanted.shape[2:]).unsqueeze(1)

    def _match_prototypes(
        self, wanted: torch.Tensor, known: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        maps = [self._match(wanted, known, share) for share in (mask.float(), 1 - mask.float())]
        return torch.cat(maps, dim=1)

    def _match(self, wanted: torch.Tensor, known: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """Greatest cosine to a prototype of the part that `share` covers -> (B, 1, g, g)."""
        whole = reduce(known * share, "B C h w -> B C 1", "mean")
        prototypes, held = whole, torch.ones_like(whole[:, :1])
        if self.cells:
            cell = known.shape[-1] // self.cells
            local = F.avg_pool2d(known * share, cell).flatten(2)
            covered = F.avg_pool2d(share, cell).flatten(2)
            prototypes = torch.cat((whole, local), dim=2)
            held = torch.cat((held, (covered > _HELD).to(held.dtype)), dim=2)
        prototypes = F.normalize(prototypes, dim=1)
        cosine = torch.einsum("bcn,bcp->bnp", wanted.flatten(2), prototypes).float()
        best = torch.where(held > 0, cosine, cosine.new_tensor(-1.0)).amax(dim=2)
        return best.unflatten(1, wanted.shape[2:]).unsqueeze(1)


def _squared_distances(wanted: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """(n, m) between the places of two maps, in edges of the picture."""
    rows, columns = (_centres(maps) for maps in (wanted, known))
    return ((rows[:, None] - columns[None]) ** 2).sum(dim=2)


def _centres(maps: torch.Tensor) -> torch.Tensor:
    """(h w, 2): the centres of the cells, 0..1 in both directions."""
    line = torch.ones_like(maps[0, 0, 0]).cumsum(0)
    line = (line - 0.5) / line.shape[0]
    return torch.cartesian_prod(line, line)
