"""Attenuation of the tissues after a contrast injection.

Choice: rounded values typical of abdominal CT (120 kV, about 120 ml at 3-4 ml/s). Their order and their rough
size matter to a phantom, not the last 10 HU.
"""

from __future__ import annotations

import numpy as np

from common.errors import ConfigError

PHASES_S = {
    "unenhanced": (0.0, 0.0),
    "arterial": (24.0, 34.0),
    "corticomedullary": (36.0, 65.0),
    "nephrographic": (80.0, 115.0),
}
"""Phase -> first and last second after the injection."""

_TIMES_S = (0, 20, 30, 40, 60, 80, 100, 130)
_CURVES_HU = {
    "aorta": (42, 200, 340, 300, 190, 160, 150, 135),
    "cortex": (33, 80, 150, 190, 195, 185, 175, 160),
    "medulla": (30, 36, 45, 60, 95, 125, 148, 156),
    "renal_vein": (40, 60, 120, 180, 185, 165, 150, 138),
    "vena_cava": (40, 42, 50, 65, 95, 125, 135, 130),
    "portal_vein": (40, 45, 70, 120, 175, 170, 155, 140),
    "liver": (58, 60, 65, 75, 100, 115, 112, 105),
    "spleen": (48, 80, 120, 135, 130, 120, 115, 108),
    "pancreas": (40, 60, 95, 105, 95, 85, 80, 75),
    "muscle": (52, 54, 56, 58, 62, 64, 65, 65),
    "bowel_wall": (35, 50, 70, 80, 85, 80, 78, 75),
    "urine": (4, 4, 4, 4, 5, 8, 14, 40),
}
_CONSTANT_HU = {"fat": -102, "skin": 25, "bone": 480, "marrow": 170, "disc": 85, "cord": 25, "air": -1000}


def draw_attenuation(rng: np.random.Generator, phase: str) -> dict[str, float]:
    """Tissue -> HU at a moment of the phase, for a patient with a circulation and a dose of his own.

    Raises:
        ConfigError: an unknown phase.
    """
    if phase not in PHASES_S:
        raise ConfigError(f"phase: expected one of {', '.join(PHASES_S)}, got '{phase}': choose one")
    second = rng.uniform(*PHASES_S[phase])
    dose = rng.uniform(0.8, 1.2)
    values = {}
    for tissue, curve in _CURVES_HU.items():
        rise = (np.interp(second, _TIMES_S, curve) - curve[0]) * dose * rng.normal(1, 0.05)
        values[tissue] = float(curve[0] + rise + rng.normal(0, 2))
    spread = {"fat": 5, "skin": 8, "bone": 80, "marrow": 35, "disc": 8, "cord": 4, "air": 0}
    return values | {tissue: float(hu + rng.normal(0, spread[tissue])) for tissue, hu in _CONSTANT_HU.items()}
