"""The outline of a compressed breast in a view, and where a place in the breast falls in it.

Breast coordinates (a, x, z), without unit: a from the chest wall (0) to the nipple (1), x from medial (-1) to
lateral (1), z from below (-1) to above (1). View coordinates (d, v) in mm: d from the chest wall, v upwards
on the film from the middle of the breast. CC projects along z. MLO projects along the line from above medial
to below lateral, so that v runs along x sin(angle) + z cos(angle). Both views keep a: a mass has the same
distance from the nipple in each, which is how radiologists match them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VIEWS = ("CC", "MLO")


@dataclass(frozen=True)
class ViewShape:
    """A breast as one view shows it.

    Attributes:
        kind: "CC" or "MLO".
        depth_mm: from the chest wall to the skin at the nipple.
        half_mm: tissue above and below the nipple (CC: lateral, medial).
        skin_mm: the same for the outline, which in MLO runs on to the axilla.
        power: how square the outline is above and below: 2 is an ellipse, less is a straight slope.
        angle_deg: of the MLO projection, 0 for CC.
        sag_mm: how far the nipple hangs below the middle.
        strip_mm: width of the skin below the breast that the image still shows (0 in CC).
        pectoral_mm: width of the muscle at the top of the image, and its length from there; (0, 0) without.
        thickness_mm: of the compressed breast.
    """

    kind: str
    depth_mm: float
    half_mm: tuple[float, float]
    skin_mm: tuple[float, float]
    power: tuple[float, float]
    angle_deg: float
    sag_mm: float
    strip_mm: float
    pectoral_mm: tuple[float, float]
    thickness_mm: float

    @property
    def nipple_mm(self) -> np.ndarray:
        """Where the nipple stands, (2,)."""
        return np.array([self.depth_mm, -self.sag_mm])

    def project(self, places: np.ndarray) -> np.ndarray:
        """Breast places or directions (..., 3) -> (..., 2): a, and the height in the view, still unitless."""
        turn = np.radians(self.angle_deg)
        a, x, z = np.moveaxis(np.asarray(places, float), -1, 0)
        height = x if self.kind == "CC" else x * np.sin(turn) + z * np.cos(turn)
        return np.stack([a, height], -1)

    def to_view(self, places: np.ndarray) -> np.ndarray:
        """Breast places (..., 3) -> (..., 2) mm in the view."""
        a, height = np.moveaxis(self.project(places), -1, 0)
        v = height * np.where(height > 0, *self.half_mm) - self.sag_mm * a * a
        return np.stack([a * self.depth_mm, v], -1)

    def to_breast(self, d_mm: np.ndarray, v_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """View millimetres -> a and height: the reverse of `to_view`, but for the depth along the beam."""
        a = d_mm * np.float32(1 / self.depth_mm)
        v = v_mm + np.float32(self.sag_mm) * a * a
        return a, np.where(v > 0, v * np.float32(1 / self.half_mm[0]), v * np.float32(1 / self.half_mm[1]))

    def outline_mm(self, count: int = 160) -> np.ndarray:
        """The skin from above to below as a polygon (n, 2); it starts and ends behind the chest wall."""
        turn = np.linspace(np.pi / 2, -np.pi / 2, count)
        share = np.sin(turn)
        upper = share > 0
        power = np.where(upper, *self.power)
        d = self.depth_mm * np.clip(1 - np.abs(share) ** power, 0, 1) ** (1 / power)
        v = share * np.where(upper, *self.skin_mm)
        d = np.where(upper, d, np.hypot(d, self.strip_mm * share**8))
        v = v - self.sag_mm * (d / self.depth_mm) ** 2
        down = np.linspace(0, 400, 60)[1:] if self.strip_mm else np.empty(0)
        below = np.stack([self.strip_mm * (0.6 + 0.4 * np.exp(-down / 3) + down / 90), v[-1] - down], -1)
        ends = [[-40, v[-1] - 400 * (self.strip_mm > 0)], [-40, v[0]]]
        return np.array([*np.stack([d, v], -1), *below, *ends])


def draw_view_shape(
    rng: np.random.Generator, kind: str, size_mm: tuple[float, float], thickness_mm: float, asymmetry: float
) -> ViewShape:
    """The shape of one view.

    Args:
        rng: source of the variation between the views and sides.
        kind: "CC" or "MLO".
        size_mm: depth from chest wall to nipple, and half width of the breast.
        thickness_mm: of the compressed breast.
        asymmetry: of the patient: how far the nipple hangs, 0..1.
    """
    depth, half = np.array(size_mm) * rng.uniform(0.96, 1.04, 2)
    thickness = thickness_mm * rng.uniform(0.92, 1.08)
    if kind == "CC":
        above, below = half * rng.uniform(0.95, 1.1), half * rng.uniform(0.85, 1.0)
        power = rng.uniform(1.6, 2.3), rng.uniform(1.6, 2.3)
        skin = above * rng.uniform(1.02, 1.12), below * rng.uniform(1.02, 1.1)
        return ViewShape(
            kind, depth, (above, below), skin, power, 0.0, rng.normal(0, 3), 0.0, (0, 0), thickness
        )
    above, below = half * rng.uniform(0.95, 1.05), half * rng.uniform(0.82, 0.95)
    skin = max(above * rng.uniform(1.5, 1.9), 165.0), below * rng.uniform(1.02, 1.08)
    power = rng.uniform(1.15, 1.5), rng.uniform(1.9, 2.5)
    pectoral = rng.uniform(0.38, 0.68) * depth, rng.uniform(95, 175)
    strip = rng.uniform(3, 12)
    sag = (4 + 12 * asymmetry) * rng.uniform(0.6, 1.3)
    return ViewShape(
        kind,
        depth * 1.03,
        (above, below),
        skin,
        power,
        rng.uniform(40, 56),
        sag,
        strip,
        pectoral,
        thickness * 1.05,
    )
