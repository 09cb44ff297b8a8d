"""Which parts of a pretrained network learn, and how fast: frozen layers, low-rank changes, groups of parameters."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from arxivcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from transformers import PreTrainedModel


def layers(network: nn.Module) -> list[nn.Module]:
    """The network's encoder layers, bottom first."""
    count = network.config.num_hidden_layers  # type: ignore[union-attr]
    found = [m for m in network.modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    return list(found[0]) if found else []


def pretrained(network: PreTrainedModel) -> set[str]:
    """Names of the parameters that no encoder lacks: those of its embeddings and layers."""
    inside = {id(p) for part in (_embeddings(network), *layers(network)) for p in part.parameters()}
    return {name for name, parameter in network.named_parameters() if id(parameter) in inside}


def freeze(network: PreTrainedModel, count: int) -> list[nn.Module]:
    """Keep the embeddings and the bottom `count` layers as they are; these modules, none for 0. Raises UsageError."""
    every = layers(network)
    if count > len(every):
        raise UsageError(f"freeze_layers = {count}, but the encoder has {len(every)} layers", "freeze fewer")
    if count == 0:
        return []
    frozen = [_embeddings(network), *every[:count]]
    for module in frozen:
        for parameter in module.parameters():
            parameter.requires_grad = False
    return frozen


def _embeddings(network: PreTrainedModel) -> nn.Module:
    words = network.get_input_embeddings()
    return next((part for part in network.base_model.children() if words in list(part.modules())), words)


def with_lora(network: PreTrainedModel, rank: int, alpha: int, dropout: float, skip: int) -> PeftModel:
    """The network with low-rank changes of all linear maps in its layers above `skip`; beside them only what lies
    above the layers learns (pooler and head).
    """
    every = layers(network)
    inside = {id(module) for layer in every[skip:] for module in layer.modules() if isinstance(module, nn.Linear)}
    names = [name for name, module in network.named_modules() if id(module) in inside]
    below = {id(p) for part in (_embeddings(network), *every) for p in part.parameters()}
    above = [p for p in network.parameters() if id(p) not in below]
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=names)
    with warnings.catch_warnings():  # peft uses names that transformers means to give up
        warnings.simplefilter("ignore", FutureWarning)
        changed = get_peft_model(cast("Any", network), config)
    for parameter in above:
        parameter.requires_grad = True
    return cast("PeftModel", changed)


def merged(network: nn.Module) -> PreTrainedModel:
    """The network as transformers knows it, low-rank changes worked into its weights."""
    if isinstance(network, PeftModel):
        network = network.merge_and_unload()
    return cast("PreTrainedModel", network)


def groups(network: nn.Module, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    """Parameters for an optimiser: no decay on norms and biases, and with each layer downwards `layer_decay` times the
    rate (ULMFiT: Howard and Ruder 2018), kept as `share` of each group.
    """
    found: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for depth, parameter in _with_depth(network):
        found.setdefault((depth, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": some, "weight_decay": weight_decay if decays else 0.0, "share": layer_decay**depth}
        for (depth, decays), some in found.items()
    ]


def _with_depth(network: nn.Module) -> Iterator[tuple[int, torch.nn.Parameter]]:
    """The parameters that learn, and how many layers down each lies: 0 for what is above the layers."""
    every = layers(network)
    plain = network.get_base_model() if isinstance(network, PeftModel) else network
    depths = {id(p): len(every) + 1 for p in _embeddings(cast("Any", plain)).parameters()}
    for number, layer in enumerate(reversed(every), start=1):
        depths |= {id(p): number for p in layer.parameters()}
    yield from ((depths.get(id(p), 0), p) for p in network.parameters() if p.requires_grad)


def shift_bias(network: nn.Module, shift: torch.Tensor) -> None:
    """Add `shift` (L,) to the bias of the head, the last linear map with L outputs."""
    heads = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == len(shift)]
    heads[-1].bias.data += shift.to(heads[-1].bias)
