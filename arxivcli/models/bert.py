"""BERT's network on the CPU, one text at a time: what `transformers` computes, without its import and its padding."""

from __future__ import annotations

import shutil
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import orjson
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.nn import functional

from arxivcli import parallel, storage, tensors
from arxivcli.accelerators import EIGHT_BITS, ONE_THREAD
from arxivcli.errors import UsageError
from arxivcli.models import tokens
from arxivcli.models.eight_bits import EightBits
from arxivcli.models.vocabulary import in_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

_ACTIVATIONS = {
    "gelu": functional.gelu,
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
}
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
_NAMES = ("model_type", "position_embedding_type", "is_decoder", "add_cross_attention")
_PLAIN = ("bert", "absolute", False, False)
"""What a config says of a network that is read here; for others there is `transformers`."""


@dataclass(frozen=True, eq=False)
class _Linear:
    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, eq=False)
class _Norm:
    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.bias.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, eq=False)
class _Layer:
    """`asked` makes queries, keys and values at once; in the top layer queries apart, of which not all are wanted."""

    asked: tuple[_Linear | EightBits, ...]
    answered: _Linear | EightBits
    answered_norm: _Norm
    wide: _Linear | EightBits
    narrow: _Linear | EightBits
    narrow_norm: _Norm


@dataclass(frozen=True, eq=False)
class Bert:
    """Embeddings and layers of BERT (Devlin et al. 2018), fp32 but for linear layers in eight bits.

    Attributes:
        words: (W, D) embeddings of token ids.
        places: (P, D) embeddings of positions, that of a first segment added: the longest text has P tokens.
        norm: of their sum.
        layers: from the bottom to the top.
        heads: of attention, in each layer.
        activation: name of the function between the two parts of a layer.
    """

    words: Tensor
    places: Tensor
    norm: _Norm
    layers: tuple[_Layer, ...]
    heads: int
    activation: str

    @classmethod
    def of(cls, config: Mapping[str, Any], left: dict[str, Tensor], eight_bits: bool = False) -> Self:
        """The network of a `config.json`, its tensors taken away from those that are left.

        Raises KeyError and ValueError where they do not fit.
        """
        width, inner, eps = config["hidden_size"], config["intermediate_size"], config.get("layer_norm_eps", 1e-12)
        if width % config["num_attention_heads"]:
            raise ValueError(f"{width} numbers cannot be shared by {config['num_attention_heads']} heads")

        def take(name: str, *shape: int) -> Tensor:
            tensor = left.pop(name)
            if tuple(tensor.shape) != shape:
                raise ValueError(f"{name} is of shape {tuple(tensor.shape)}, not {shape}")
            return tensor

        def linear(names: Sequence[str], to: int, of: int) -> _Linear | EightBits:
            weight = torch.cat([take(f"{name}.weight", to, of) for name in names])
            bias = torch.cat([take(f"{name}.bias", to) for name in names])
            return EightBits.of(weight, bias) if eight_bits else _Linear(weight, bias)

        def norm(name: str) -> _Norm:
            return _Norm(take(f"{name}.weight", width), take(f"{name}.bias", width), eps)

        top = config["num_hidden_layers"] - 1

        def layer(number: int) -> _Layer:
            name = f"encoder.layer.{number}"
            asked = (("query",), ("key", "value")) if number == top else (("query", "key", "value"),)
            return _Layer(
                tuple(linear([f"{name}.attention.self.{part}" for part in parts], width, width) for parts in asked),
                linear([f"{name}.attention.output.dense"], width, width),
                norm(f"{name}.attention.output.LayerNorm"),
                linear([f"{name}.intermediate.dense"], inner, width),
                linear([f"{name}.output.dense"], width, inner),
                norm(f"{name}.output.LayerNorm"),
            )

        places = take("embeddings.position_embeddings.weight", config["max_position_embeddings"], width)
        segments = take("embeddings.token_type_embeddings.weight", config.get("type_vocab_size", 2), width)
        return cls(
            take("embeddings.word_embeddings.weight", config["vocab_size"], width),
            places + segments[0],
            norm("embeddings.LayerNorm"),
            tuple(map(layer, range(top + 1))),
            config["num_attention_heads"],
            config.get("hidden_act", "gelu"),
        )

    def every(self, ids: Tensor) -> Tensor:
        """What the top layer says of each token of a text: (tokens,) ids to (tokens, D)."""
        return self._read(ids, len(ids))

    def first(self, ids: Tensor) -> Tensor:
        """What it says of the first token alone, (D,): of the others the top layer makes keys and values only."""
        return self._read(ids, 1)[0]

    def _read(self, ids: Tensor, wanted: int) -> Tensor:
        read = self.norm(self.words[ids] + self.places[: len(ids)])
        for layer in self.layers[:-1]:
            read = self._through(layer, read, len(ids))
        return self._through(self.layers[-1], read, wanted)

    def _through(self, layer: _Layer, read: Tensor, wanted: int) -> Tensor:
        """One layer, for the first `wanted` tokens."""
        width = read.shape[1]
        if layer is self.layers[-1]:
            queries = layer.asked[0](read[:wanted])
            keys, values = layer.asked[1](read).chunk(2, dim=1)
        else:
            queries, keys, values = layer.asked[0](read).chunk(3, dim=1)
        split = (1, -1, self.heads, width // self.heads)
        queries, keys, values = (part.view(split).transpose(1, 2) for part in (queries, keys, values))
        answers = functional.scaled_dot_product_attention(queries, keys, values)
        answered = layer.answered(answers.transpose(1, 2).reshape(wanted, width))
        read = layer.answered_norm(answered.add_(read[:wanted]))
        wide = _ACTIVATIONS[self.activation](layer.wide(read))
        return layer.narrow_norm(layer.narrow(wide).add_(read))


@dataclass(frozen=True, eq=False)
class Opened:
    """What was read of a folder.

    Attributes:
        network: embeddings and layers.
        above: tensors by name that are not theirs: pooler, head.
        cutter: makes ids of a text, no more of them than the network has places for.
        config: of the network.
    """

    network: Bert
    above: dict[str, Tensor]
    cutter: Tokenizer
    config: dict[str, Any]

    @classmethod
    def of(cls, folder: Path, device: str = "cpu") -> Self | None:
        """What lies in a transformers folder; None where it is no BERT, or not all of one, or the device is no CPU.

        What is wrong with it, those say who read all kinds.
        """
        if device not in {"cpu", EIGHT_BITS}:
            return None
        try:
            config = {**read_json(folder / "config.json")}
            if not _is_plain(config):
                return None
            most = read_json(folder / "tokenizer_config.json")["model_max_length"]
            cutter = tokens.fitted(Tokenizer.from_file(str(folder / "tokenizer.json")), int(most))
            weights = load_file(folder / "model.safetensors")
            left = {name.removeprefix("bert."): tensor.float() for name, tensor in weights.items()}
            left.pop("embeddings.position_ids", None)
            network = Bert.of(config, left, device == EIGHT_BITS)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, SafetensorError):
            return None
        except Exception as error:  # what tokenizers raises has no name
            if type(error) is not Exception:
                raise
            return None
        unread = any(name.startswith(("embeddings.", "encoder.")) for name in left)
        if unread or most > len(network.places) or cutter.get_vocab_size() > len(network.words):
            return None
        return cls(network, left, cutter, config)

    @staticmethod
    def copy(source: Path, target: Path) -> None:
        """Copy what `of` reads. Raises StorageError."""
        with tensors.written(target):
            for name in _FILES:
                storage.sync(shutil.copyfile(source / name, target / name))


def leave_to_others(folder: Path, device: str) -> None:
    """Raises UsageError where no others than BERTs are read."""
    if device == EIGHT_BITS:
        raise UsageError(f"{folder} holds no BERT, and --device {device} is for nothing else", "leave out --device")


def read_json(path: Path) -> Any:
    """What a JSON file says. Raises OSError and ValueError."""
    return orjson.loads(path.read_bytes())


def _is_plain(config: Mapping[str, Any]) -> bool:
    found = tuple(config.get(name, plain) for name, plain in zip(_NAMES, _PLAIN, strict=True))
    return found == _PLAIN and config.get("hidden_act", "gelu") in _ACTIVATIONS


def one_by_one(
    read: Callable[[Tensor], Tensor], ids: list[NDArray[np.int32]], width: int, strict: bool
) -> NDArray[np.float32]:
    """What is read of the ids of each text, in their order: (texts, width).

    Each goes through alone on a core of its own, so that neither the time nor the answer depends on its company. Where
    there are fewer texts than cores, all cores do one after the other, which changes rounding, unless `strict`.
    """
    found = np.empty((len(ids), width), np.float32)

    def fill(row: int) -> None:
        with torch.inference_mode():
            found[row] = read(torch.from_numpy(ids[row])).numpy()

    longest_first = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
    if strict or len(ids) >= parallel.cores():
        with ONE_THREAD:
            deque(in_threads(fill, longest_first), maxlen=0)
    else:
        for row in longest_first:
            fill(row)
    return found
