"""What is known of the weights that a network runs on: `common/networks/card.py`."""

from common.networks.card import WeightsCard

__all__ = ["WeightsCard"]
