"""Cells and glands as polygons with amounts of dye, and how to draw those that touch a block."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

CORNERS = 14
SHIFT = 4  # fractional bits of OpenCV's polygon coordinates
DYE_STEP = 0.01  # optical density per grey level of a canvas


@dataclass(frozen=True)
class Shapes:
    """Polygons in drawing order.

    Attributes:
        corners_px: (n, k, 2) level-0 pixels.
        dyes: (n, 2) optical density of haematoxylin and eosin inside, 0 to 2.5.
    """

    corners_px: np.ndarray
    dyes: np.ndarray

    def paint(self, canvas: np.ndarray, x0_px: int, y0_px: int) -> None:
        """Draw on uint8 (h, w, 3): haematoxylin, eosin (in DYE_STEP), and 255 where a shape lies."""
        height, width = canvas.shape[:2]
        low, high = self.corners_px.min(axis=1), self.corners_px.max(axis=1)
        touching = np.all((high >= [x0_px, y0_px]) & (low <= [x0_px + width, y0_px + height]), axis=1)
        corners = np.round((self.corners_px[touching] - [x0_px, y0_px]) * 2**SHIFT).astype(np.int32)
        levels = np.round(self.dyes[touching] / DYE_STEP).tolist()
        for outline, (haematoxylin, eosin) in zip(corners, levels, strict=True):
            cv2.fillConvexPoly(canvas, outline, (haematoxylin, eosin, 255), cv2.LINE_AA, SHIFT)


def join(*parts: Shapes) -> Shapes:
    """All shapes, first to last; equal numbers of corners."""
    return Shapes(
        np.concatenate([part.corners_px for part in parts]), np.concatenate([part.dyes for part in parts])
    )


def scatter(
    rng: np.random.Generator, size_px: tuple[int, int], spacing_px: float, jitter: float = 0.38
) -> np.ndarray:
    """Centres on a jittered hexagonal grid over the slide, (n, 2) level-0 pixels: one per spacing squared."""
    pitch_x, pitch_y = spacing_px * 1.0746, spacing_px * 0.9306
    columns, rows = (int(side / pitch) + 2 for side, pitch in zip(size_px, (pitch_x, pitch_y), strict=True))
    x, y = np.meshgrid(np.arange(columns, dtype=float), np.arange(rows, dtype=float))
    x[1::2] += 0.5
    centres = np.stack([x, y], -1).reshape(-1, 2) + rng.uniform(-jitter, jitter, (x.size, 2))
    return centres * [pitch_x, pitch_y]


def blobs(
    rng: np.random.Generator,
    centres_px: np.ndarray,
    length_px: float,
    width_px: float,
    angles: np.ndarray | float,
    dye: tuple[float, float],
    size_spread: float = 0.12,
    roughness: float = 0.05,
    dye_spread: float = 0.15,
) -> Shapes:
    """Ellipses with a wavy outline.

    Args:
        rng: source of the variation.
        centres_px: (n, 2).
        length_px: mean long diameter.
        width_px: mean short diameter.
        angles: direction of the long axis in radians, (n,) or one for all.
        dye: mean optical density of haematoxylin and eosin.
        size_spread: relative standard deviation of the diameter, log-normal.
        roughness: relative amplitude of the waves of the outline.
        dye_spread: relative standard deviation of the dyes.
    """
    count = len(centres_px)
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    phases = rng.uniform(0, 2 * np.pi, (2, count, 1))
    radius = 1 + roughness * (np.sin(2 * turn + phases[0]) + np.sin(3 * turn + phases[1]))
    radius = radius * np.exp(rng.normal(0, size_spread, (count, 1))) / 2
    along, across = radius * length_px * np.cos(turn), radius * width_px * np.sin(turn)
    cosine, sine = (np.broadcast_to(f(angles), (count,))[:, None] for f in (np.cos, np.sin))
    corners = np.stack([along * cosine - across * sine, along * sine + across * cosine], -1)
    dyes = np.clip(np.array(dye) * np.exp(rng.normal(0, dye_spread, (count, 1))), 0, 2.5)
    return Shapes(corners + centres_px[:, None], dyes)


def shrink(shapes: Shapes, factor: float, dye_factor: float) -> Shapes:
    """The same shapes drawn smaller, with other dye: the pale inside of a nucleus, for example."""
    middle = shapes.corners_px.mean(axis=1, keepdims=True)
    return Shapes(middle + factor * (shapes.corners_px - middle), shapes.dyes * dye_factor)


def interleave(*parts: Shapes) -> Shapes:
    """Draw the parts of each object before the next object (parts of equal length)."""
    corners = np.stack([part.corners_px for part in parts], axis=1)
    dyes = np.stack([part.dyes for part in parts], axis=1)
    return Shapes(corners.reshape(-1, *corners.shape[2:]), dyes.reshape(-1, 2))
