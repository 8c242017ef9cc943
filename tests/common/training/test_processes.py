"""One process is the ordinary case."""

from __future__ import annotations

import pytest

from common.errors import ConfigError
from common.training import processes


def test_plain_start_of_the_distributed_config() -> None:
    with pytest.raises(ConfigError, match="expected to be started by torchrun, got a plain start"):
        processes.start_distributed()
    assert processes.process_place() == (0, 1) and processes.local_device() in ("cpu", "cuda:0")
    processes.stop_distributed()
