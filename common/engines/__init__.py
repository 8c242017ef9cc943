"""How a network is executed: one seam, several engines."""

from .base import Engine, patches_to_batch
from .factory import build_engine, build_feature_engine

__all__ = ["Engine", "build_engine", "build_feature_engine", "patches_to_batch"]
