"""Every folder in bundles/ satisfies every check of tools/bundle_format."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bundle_format import STATIC_CHECKS, Bundle, Check, run_check
from bundle_format.workflows import build_network, check_export, check_network, check_weights

ROOT = Path(__file__).resolve().parents[1]
BUNDLES = sorted(path.parent.name for path in (ROOT / "bundles").glob("*/configs"))


@pytest.fixture(scope="module", params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """A bundle of this repository."""
    return Bundle(ROOT / "bundles" / request.param, ROOT)


@pytest.fixture(scope="module")
def network(bundle: Bundle) -> torch.nn.Module:
    """Its network with its weights."""
    if not (bundle.path / "models/model.pt").is_file():
        pytest.skip(f"weights of {bundle.name} are not there: python3 tools/weights.py get")
    return build_network(bundle)


@pytest.mark.parametrize("check", STATIC_CHECKS, ids=lambda check: check.__name__)
def test_bundle_satisfies(check: Check, bundle: Bundle) -> None:
    assert run_check(check, bundle) == []


@pytest.mark.weights
def test_network_is_as_declared(bundle: Bundle, network: torch.nn.Module) -> None:
    assert list(check_network(bundle, network)) == []


@pytest.mark.weights
def test_weights_fit_the_network(bundle: Bundle, network: torch.nn.Module) -> None:
    assert list(check_weights(bundle, network)) == []


@pytest.mark.weights
def test_network_can_be_exported(bundle: Bundle, network: torch.nn.Module) -> None:
    assert list(check_export(bundle, network)) == []
