"""How a network is executed: one seam, several engines."""

from .base import Engine, patches_to_batch
from .factory import build_engine, build_feature_engine
from .tensors import TensorEngine, build_tensor_engine

__all__ = [
    "Engine",
    "TensorEngine",
    "build_engine",
    "build_feature_engine",
    "build_tensor_engine",
    "patches_to_batch",
]
