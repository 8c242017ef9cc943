"""Side and view of a mammogram, from the several places where headers state them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from .dicom_header import values_of
from .mammo_types import UNKNOWN_VIEW, VIEWS

SPECIMEN = "specimen"

_VIEW_CODES = {
    "399162004 R-10242": "CC",
    "399368009 R-10226": "MLO",
    "399260004 R-10224": "ML",
    "399352003 R-10228": "LM",
    "399099002 R-10230": "LMO",
    "399192008 R-1024A": "XCCL",
    "399101009 R-1024B": "XCCM",
    "399196006 R-10244": "FB",
    "399188001 R-102D0": "SIO",
    "441555000 R-40AAA": "ISO",
    "127457009 G-8310": SPECIMEN,
}
"""CID 4014 in SNOMED CT and in the older SNOMED RT."""

_MODIFIER_CODES = {
    "399163009 R-102D6": "magnification",
    "399055006 R-102D7": "spot compression",
    "399209000 R-102D5": "implant displaced",
    "399161006 R-102D2": "cleavage",
}
"""The entries of CID 4015 that decide whether a picture can be read; rolled or axillary ones can."""

_MODIFIER_WORDS = (
    (r"MAG(?:NIFICATION|NIFIED)?", "magnification"),
    (r"SPOT(?: ?COMP(?:RESSION)?)?", "spot compression"),
    (r"IMPLANT ?DISPLACED|ID", "implant displaced"),
    (r"CLEAVAGE|CV", "cleavage"),
)

MAGNIFIED = 1.3
"""Magnification from which a picture is a magnification view: contact has up to 1.1, a stand 1.5 to 2."""

_CBIS = re.compile(r"(?:Mass|Calc)-(?:Training|Test)_(P_\d+)_(LEFT|RIGHT)_(CC|MLO)(_\d+)?")


@dataclass(frozen=True)
class CbisName:
    """What CBIS-DDSM writes into PatientID: each picture, crop and mask is a patient of its own there.

    Attributes:
        patient: of the collection, such as P_00173.
        is_part: a crop or a mask of a finding.
    """

    patient: str
    laterality: str
    view: str
    is_part: bool


def read_cbis_name(header: Dataset) -> CbisName | None:
    """The parts of a CBIS-DDSM PatientID, None for others."""
    found = _CBIS.fullmatch(str(header.get("PatientID") or ""))
    if found is None:
        return None
    patient, side, view, part = found.groups()
    return CbisName(patient, side[0], view, part is not None)


def read_laterality(header: Dataset) -> str:
    """R, L, or B for both; empty when not stated.

    (0020,0062) ImageLaterality, else (0020,0060) Laterality, else (0020,9072) FrameLaterality, else the name.
    """
    for keyword in ("ImageLaterality", "Laterality", "FrameLaterality"):
        value = str(header.get(keyword) or "").strip().upper()
        if value in ("R", "L", "B"):
            return value
    name = read_cbis_name(header)
    return name.laterality if name else ""


def read_view(header: Dataset) -> str:
    """One of `VIEWS`, `SPECIMEN`, or `UNKNOWN_VIEW`.

    (0054,0220) ViewCodeSequence, else (0018,5101) ViewPosition, else (0020,0020) of CBIS-DDSM, else its name.
    """
    items = header.get("ViewCodeSequence") or []
    view = _by_code(items[0], _VIEW_CODES) if items else ""
    if view:
        return view
    places = [str(header.get("ViewPosition") or ""), *map(str, values_of(header.get("PatientOrientation")))]
    found = (_view_of_text(text) for text in places)
    name = read_cbis_name(header)
    return next(filter(None, found), name.view if name else UNKNOWN_VIEW)


def read_modifiers(header: Dataset) -> frozenset[str]:
    """ "magnification", "spot compression", "implant displaced", "cleavage": those that apply."""
    items = [item for view in header.get("ViewCodeSequence") or [] for item in _modifier_items(view)]
    items += _modifier_items(header)
    found = {_by_code(item, _MODIFIER_CODES) for item in items}
    words = f"{header.get('ViewPosition') or ''} {header.get('PaddleDescription') or ''}".upper()
    found |= {name for pattern, name in _MODIFIER_WORDS if re.search(rf"(?<![A-Z])(?:{pattern})\b", words)}
    factor = header.get("EstimatedRadiographicMagnificationFactor")
    if factor not in (None, "") and float(factor) >= MAGNIFIED:
        found.add("magnification")
    return frozenset(found - {""})


def _modifier_items(dataset: Dataset) -> list[Dataset]:
    return list(dataset.get("ViewModifierCodeSequence") or [])


def _by_code(item: Dataset, names: dict[str, str]) -> str:
    value = str(item.get("CodeValue") or "")
    return next((name for codes, name in names.items() if value in codes.split()), "")


def _view_of_text(text: str) -> str:
    """The view in a text such as "MLO", "R MLO", "LCC", "CC-ID" or "XCCL SPOT"; empty if there is none."""
    words = re.findall(r"[A-Z]+", text.upper())
    with_side = [word[1:] for word in words if word[0] in "RL" and word[1:] in ("CC", "MLO", "ML")]
    return next((word for word in (*words, *with_side) if word in VIEWS), "")
