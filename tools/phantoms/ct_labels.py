"""Values of the label maps of the CT phantoms."""

from __future__ import annotations

from typing import Any

CORTEX, MEDULLA, ARTERY, VEIN, PELVIS, SINUS_FAT, CYST = 1, 2, 3, 4, 5, 6, 7
AORTA, VENA_CAVA, LIVER, SPLEEN, VERTEBRA, PSOAS = 8, 9, 10, 11, 12, 13
HIGHEST = PSOAS

KIDNEY_STRUCTURES: list[dict[str, Any]] = [
    {"name": "cortex", "values": [CORTEX], "parent": None, "color": [230, 159, 0]},
    {"name": "medulla", "values": [MEDULLA], "parent": None, "color": [86, 180, 233]},
    {"name": "artery", "values": [ARTERY], "parent": None, "color": [213, 94, 0]},
]
"""The structures of the paper."""

OTHER_STRUCTURES: list[dict[str, Any]] = [
    {"name": "renal_vein", "values": [VEIN], "parent": None, "color": [0, 114, 178]},
    {"name": "pelvis", "values": [PELVIS], "parent": None, "color": [240, 228, 66]},
    {"name": "cyst", "values": [CYST], "parent": None, "color": [204, 121, 167]},
    {"name": "aorta", "values": [AORTA], "parent": None, "color": [213, 94, 0]},
    {"name": "vena_cava", "values": [VENA_CAVA], "parent": None, "color": [0, 114, 178]},
    {"name": "liver", "values": [LIVER], "parent": None, "color": [0, 158, 115]},
    {"name": "spleen", "values": [SPLEEN], "parent": None, "color": [204, 121, 167]},
    {"name": "vertebra", "values": [VERTEBRA], "parent": None, "color": [240, 228, 66]},
    {"name": "psoas", "values": [PSOAS], "parent": None, "color": [230, 159, 0]},
]
"""What else the label maps hold: tasks of their own for training and for structures kept aside."""

KIDNEY: dict[str, Any] = {
    "name": "kidney",
    "values": [CORTEX, MEDULLA],
    "parent": None,
    "color": [0, 158, 115],
}
ALL_STRUCTURES: list[dict[str, Any]] = [
    KIDNEY,
    *({**row, "parent": "kidney" if row["name"] != "artery" else None} for row in KIDNEY_STRUCTURES),
    *OTHER_STRUCTURES,
]
"""Everything at once, with the kidney as a whole: training that is not to know kidneys only."""


def background_of(structures: list[dict[str, Any]]) -> list[int]:
    """Values of the label map that belong to none of the structures."""
    used = {value for structure in structures for value in structure["values"]}
    return [value for value in range(HIGHEST + 1) if value not in used]
