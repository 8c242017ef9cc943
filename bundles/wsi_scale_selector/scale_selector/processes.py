"""Several processes, for the configs (their targets stay inside the bundle's own package)."""

from torch import nn

from common.training.processes import BufferSync, local_device, start_distributed, stop_distributed

from .export import unwrap

__all__ = ["build_buffer_sync", "local_device", "start_distributed", "stop_distributed"]


def build_buffer_sync(network: nn.Module) -> BufferSync:
    """Every process validates with the first one's batch statistics; see `BufferSync`."""
    return BufferSync(unwrap(network))
