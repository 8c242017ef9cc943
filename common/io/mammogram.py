"""Mammography studies: from DICOM or pictures to `Mammogram`s ready for display."""

from __future__ import annotations

from .mammo_scan import find_studies
from .mammo_study import OpenStudy, list_visits, open_study, read_mammogram, read_study
from .mammo_types import (
    UNKNOWN_VIEW,
    VIEWS,
    MammoCase,
    Mammogram,
    MammoSource,
    MammoStudy,
    StudyImage,
)

__all__ = [
    "UNKNOWN_VIEW",
    "VIEWS",
    "MammoCase",
    "MammoSource",
    "MammoStudy",
    "Mammogram",
    "OpenStudy",
    "StudyImage",
    "find_studies",
    "list_visits",
    "open_study",
    "read_mammogram",
    "read_study",
]
