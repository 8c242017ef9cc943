"""Shared fixtures. Every bundle's root is importable, as `monai.bundle run` makes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
for bundle in sorted((ROOT / "bundles").iterdir()):
    if bundle.is_dir():
        sys.path.append(str(bundle))
sys.path.extend((str(ROOT / "tools"), str(ROOT / "tests" / "support")))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no data folder beside the repository (shared/data)")
    return SHARED_DATA


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `weights("name", ...)` skips where those entries of tools/weights.json are not fetched.

    Without names it needs all entries that are not optional.
    """
    for marker in item.iter_markers("weights"):
        for entry in json.loads((ROOT / "tools" / "weights.json").read_text(encoding="utf-8"))["entries"]:
            wanted = entry["name"] in marker.args if marker.args else not entry.get("optional")
            if wanted and not (ROOT / entry["target"]).is_file():
                pytest.skip(f"{entry['target']} is missing: python3 tools/weights.py get {entry['name']}")
