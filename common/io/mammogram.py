"""Mammography studies: from DICOM or pictures to `Mammogram`s ready for display."""

from __future__ import annotations

from .mammo_types import MammoCase, Mammogram, MammoSource, MammoStudy

__all__ = ["MammoCase", "MammoSource", "MammoStudy", "Mammogram"]
