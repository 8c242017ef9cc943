"""Shared building blocks of the bundles: reading, networks, engines, reports. Relative imports only."""
