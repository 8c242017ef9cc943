"""Rules that run the bundle's code: MONAI's property check, the network's shapes, weights, export."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from .bundle import Bundle

WORKFLOW_TYPES = {"inference": "infer", "evaluate": "infer", "train": "train"}


def check_properties(bundle: Bundle, workflow: str, overrides: Mapping[str, Any]) -> Iterator[str]:
    """`initialize` runs and MONAI finds every property; it instantiates all: `overrides` name real data."""
    with bundle.importable():
        found = ConfigWorkflow(
            config_file=[str(file) for file in bundle.config_files(workflow)],
            meta_file=str(bundle.path / "configs/metadata.json"),
            logging_file=False,
            workflow_type=WORKFLOW_TYPES[workflow],
            **{"bundle_root": str(bundle.path), **overrides},
        )
        found.initialize()
        try:
            missing = found.check_properties() or []
        except (KeyError, AttributeError) as error:  # how MONAI reports a missing id and an inline key metric
            yield f"{workflow}.json: {error.args[0]}"
            return
        for name in missing:
            yield f"{workflow}.json: property {name} is missing or in the wrong place"
        found.finalize()


def build_network(bundle: Bundle) -> torch.nn.Module:
    """network_def of inference.json in eval mode, on the CPU."""
    parser = ConfigParser()
    parser.read_config(str(bundle.path / "configs/inference.json"))
    parser.read_meta(str(bundle.path / "configs/metadata.json"))
    parser["bundle_root"] = str(bundle.path)
    with bundle.importable():
        network: torch.nn.Module = parser.get_parsed_content("network_def")
    return network.cpu().eval()


def check_network(bundle: Bundle, network: torch.nn.Module) -> Iterator[str]:
    """The network takes `image` and gives `pred` as metadata.json declares them, in batches of 1 and 2."""
    pred = bundle.metadata["network_data_format"]["outputs"]["pred"]
    for batch in (1, 2):
        with torch.no_grad():
            output = network(_draw_image(bundle, batch))
        yield from _check_output(output, batch, pred)


def _draw_image(bundle: Bundle, batch: int) -> torch.Tensor:
    """Noise of the declared shape, range and type; the same for the same batch."""
    image = bundle.metadata["network_data_format"]["inputs"]["image"]
    sizes = [evaluate_size(size) for size in image["spatial_shape"]]
    low, high = image["value_range"]
    values = torch.rand(batch, image["num_channels"], *sizes, generator=torch.Generator().manual_seed(0))
    return (low + values * (high - low)).to(getattr(torch, image["dtype"]))


def _check_output(output: Any, batch: int, pred: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(output, torch.Tensor):
        yield f"network_def: gives {type(output).__name__}, not a tensor"
        return
    if output.ndim < 2 or output.shape[0] != batch:
        yield f"network_def: a batch of {batch} gives shape {tuple(output.shape)}"
    elif output.shape[1] != pred["num_channels"]:
        yield f"network_def: {output.shape[1]} channels, declared {pred['num_channels']}"
    if output.dtype != getattr(torch, pred["dtype"]):
        yield f"network_def: {output.dtype}, declared {pred['dtype']}"
    if not bool(torch.isfinite(output).all()):
        yield "network_def: values that are not finite"
    elif pred["value_range"]:
        low, high = pred["value_range"]
        if float(output.min()) < low or float(output.max()) > high:
            span = f"{float(output.min()):.3g} to {float(output.max()):.3g}"
            yield f"network_def: values from {span}, declared {low} to {high}"


def evaluate_size(size: int | str, n: int = 1, p: int = 1) -> int:
    """A number of pixels from metadata.json's `224`, `"16*n"`, `"2**p"` or `"32*2**p*n"`."""
    factors = re.sub(r"\s", "", str(size)).replace("**", "^").split("*")
    values = {"n": n}
    return math.prod(
        int(factor.partition("^")[0]) ** p if "^" in factor else values.get(factor) or int(factor)
        for factor in factors
    )


def check_weights(bundle: Bundle, network: torch.nn.Module) -> Iterator[str]:
    """models/model.pt is a plain state dict, safe to load, finite, and fits network_def exactly."""
    try:
        state = torch.load(bundle.path / "models/model.pt", weights_only=True)
    except Exception as error:  # whatever is wrong with the file, that is the finding
        yield f"model.pt: torch.load(weights_only=True) fails: {str(error).splitlines()[0]}"
        return
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        yield "model.pt: not a state dict of tensors"
        return
    expected = network.state_dict()
    for key in sorted(set(state) ^ set(expected)):
        yield f"model.pt: {key} is only in {'the file' if key in state else 'network_def'}"
    for key in sorted(set(state) & set(expected)):
        if state[key].shape != expected[key].shape:
            found, wanted = tuple(state[key].shape), tuple(expected[key].shape)
            yield f"model.pt: {key} has shape {found}, network_def {wanted}"
        elif not bool(torch.isfinite(state[key]).all()):
            yield f"model.pt: {key} is not finite"


def check_export(bundle: Bundle, network: torch.nn.Module) -> Iterator[str]:
    """network_def can be scripted, as `ckpt_export` does, models/model.ts loads, and both answer alike."""
    with warnings.catch_warnings():
        # torch.jit is deprecated, but MONAI and MONAI Deploy speak it
        warnings.filterwarnings("ignore", "`?torch.jit")
        try:
            yield from _compare(
                bundle, network, torch.jit.script(network), "network_def: the scripted network"
            )
        except Exception as error:  # the compiler raises many kinds
            yield f"network_def: torch.jit.script fails: {next(iter(str(error).strip().splitlines()), '')}"
        compiled = bundle.path / "models/model.ts"
        if compiled.is_file():
            try:
                yield from _compare(bundle, network, torch.jit.load(str(compiled)), "model.ts")
            except RuntimeError as error:
                yield f"model.ts: torch.jit.load fails: {str(error).splitlines()[0]}"


def _compare(bundle: Bundle, network: torch.nn.Module, exported: torch.nn.Module, name: str) -> Iterator[str]:
    """One fault when `exported` does not answer as `network` to an image of the declared shape."""
    image = _draw_image(bundle, 1)
    with torch.no_grad():
        wanted, found = network(image), exported(image)
    if not torch.allclose(wanted, found, rtol=1e-3, atol=1e-3):
        yield f"{name} answers otherwise: up to {float((wanted - found).abs().max()):.3g} away"
