"""Shared fixtures. Every bundle's root is importable, as `monai.bundle run` makes it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
for bundle in sorted((ROOT / "bundles").iterdir()):
    if (bundle / "configs").is_dir():
        sys.path.append(str(bundle))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no data folder beside the repository (shared/data)")
    return SHARED_DATA
