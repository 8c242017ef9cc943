"""Training on several processes (torchrun). One is the ordinary case."""

from __future__ import annotations

import logging
import os

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from torch import nn

from ..errors import ConfigError


def process_place() -> tuple[int, int]:
    """This process's number and how many there are: (0, 1) without torchrun."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def is_first_process() -> bool:
    return process_place()[0] == 0


def start_distributed(backend: str | None = None) -> None:
    """Join the processes that torchrun started.

    Args:
        backend: "nccl" or "gloo"; None takes nccl where every process has a GPU of its own, else gloo.

    Raises:
        ConfigError: not started by torchrun.
    """
    if dist.is_initialized():
        return
    if not dist.is_torchelastic_launched():
        raise ConfigError(
            "multi_gpu_train: expected to be started by torchrun, got a plain start: use `torchrun "
            "--nproc_per_node=N -m monai.bundle run ...`"
        )
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    dist.init_process_group(backend or ("nccl" if torch.cuda.device_count() >= local else "gloo"))
    if not is_first_process():
        logging.disable(logging.WARNING)


def stop_distributed() -> None:
    """Leave the group, if this process is in one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def local_device() -> str:
    """This process's own GPU, "cpu" where there is none."""
    count = torch.cuda.device_count()
    return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % count}" if count else "cpu"


class first_process_first:
    """The first process goes through the block before the others do: one computes what all read."""

    def __enter__(self) -> None:
        if dist.is_initialized() and not is_first_process():
            dist.barrier()

    def __exit__(self, *_: object) -> None:
        if dist.is_initialized() and is_first_process():
            dist.barrier()


class BufferSync:
    """Validator handler: before validating, every process takes the first one's batch statistics.

    Args:
        network: the network in training, without what DistributedDataParallel wraps around it.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._broadcast)

    def _broadcast(self, _: Engine) -> None:
        if dist.is_initialized():
            for buffer in self.network.buffers():
                dist.broadcast(buffer, 0)
