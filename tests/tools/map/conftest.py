"""The tools beside a PACS and in an image import each other as scripts do: their folders are on the path."""

from __future__ import annotations

import sys
from pathlib import Path

MAP = Path(__file__).resolve().parents[3] / "tools" / "map"
sys.path.extend((str(MAP), str(MAP / "app")))
