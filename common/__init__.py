"""Shared building blocks of the bundles: reading, geometry, networks, engines, reports. Relative imports only."""
