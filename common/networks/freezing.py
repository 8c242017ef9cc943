"""Parts of a network that are not trained: no gradient, and in eval mode whatever the rest does."""

from __future__ import annotations

from torch import nn


def is_frozen(module: nn.Module) -> bool:
    """Nothing in it is trained (so that what it answers can be computed once and kept)."""
    return not any(value.requires_grad for value in module.parameters())


def quiet_frozen(module: nn.Module) -> None:
    """Put the parts that are not trained in eval mode; call it in `train`.

    Dropout and batch statistics of a frozen part would otherwise go on changing what it answers.
    """
    for part in module.modules():
        if is_frozen(part) and next(part.parameters(), None) is not None:
            for inner in part.modules():  # not `eval`, which may lead back here
                inner.training = False


def trained_names(module: nn.Module) -> tuple[str, ...]:
    """Names in the state dict that training changes: parameters, and the buffers beside them."""
    found = []
    for prefix, part in module.named_modules():
        own = dict(part.named_parameters(recurse=False))
        trained = [name for name, value in own.items() if value.requires_grad]
        buffers = [name for name, _ in part.named_buffers(recurse=False)] if trained else []
        found += [f"{prefix}.{name}" if prefix else name for name in (*trained, *buffers)]
    kept = module.state_dict()
    return tuple(name for name in found if name in kept)
