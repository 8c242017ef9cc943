"""Weights of a DINOv2 backbone out of an ONNX file, as PyTorch exports transformers' Dinov2Model."""

from __future__ import annotations

from pathlib import Path

import openvino as ov
import torch

from ..errors import ClassifierError
from .state_dict import State

_BACKBONE = "backbone."
# Nodes that take the table of positions, which the export leaves without a name: class token, and the others
_POSITIONS = ("/backbone/embeddings/Concat_6", "/backbone/embeddings/Reshape_1")


def read_dinov2(path: str | Path) -> State:
    """The backbone's tensors under the names of transformers, without what stands behind it in the file.

    Matrices are constants without a name in such a file, and transposed: they are known by the multiplication
    that takes them (`/backbone/encoder/layer.0/mlp/fc1/MatMul`). OpenVINO reads the file; nothing runs.

    Args:
        path: `.onnx` whose backbone's scope is called "backbone".

    Raises:
        ClassifierError: not readable, or no such backbone.
    """
    path = Path(path)
    try:
        nodes = {node.get_friendly_name(): node for node in ov.Core().read_model(path).get_ordered_ops()}
        named = {name: node for name, node in nodes.items() if name.startswith(_BACKBONE) and _is_fixed(node)}
        state = {name.removeprefix(_BACKBONE): _get_value(node) for name, node in named.items()}
        for name, node in nodes.items():
            if name.startswith("/backbone/") and name.endswith("/MatMul") and _is_fixed(_get_input(node, 1)):
                own = name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
                state[f"{own}.weight"] = _get_value(_get_input(node, 1)).T.contiguous()
        tables = [_get_value(_get_input(nodes[name], 0)) for name in _POSITIONS]
    except (RuntimeError, KeyError, IndexError) as error:
        raise ClassifierError(
            f"{path.name}: expected an ONNX file with a DINOv2 backbone as transformers exports it, got "
            f"'{str(error)[:120]}': bring the file that tools/weights.py names"
        ) from error
    return state | {"embeddings.position_embeddings": torch.cat(tables, dim=1)}


def _get_input(node: ov.Node, number: int) -> ov.Node:
    return node.input(number).get_source_output().get_node()


def _is_fixed(node: ov.Node) -> bool:
    return node.get_type_name() == "Constant"


def _get_value(node: ov.Node) -> torch.Tensor:
    return torch.from_numpy(node.get_data().copy())
