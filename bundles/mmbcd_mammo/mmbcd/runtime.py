"""Start of a command, for the configs (their targets stay inside the bundle's own package)."""

from common.runtime import start

__all__ = ["start"]
