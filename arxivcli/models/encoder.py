"""A frozen sentence-transformers encoder: texts in, one embedding a text out, the same whatever else is asked for."""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import orjson
import torch
from sentence_transformers import SentenceTransformer

from arxivcli import storage, tensors
from arxivcli.accelerators import ONE_THREAD
from arxivcli.errors import FolderError, UsageError
from arxivcli.models import encoders
from arxivcli.models.vocabulary import in_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from arxivcli.surroundings import Place, Precision

_BATCH = 128
"""Texts a GPU encodes at once; half as many, and so on, where its memory is too small."""
_VOLATILE = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures"}
"""Entries of a transformer's configuration that say nothing about what it computes."""
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Encoder:
    """A sentence-transformers model that is not trained.

    Embeddings are float16 always, fresh or from a cache, so that what is learned on them does not depend on which. On
    the CPU each text goes through alone, on one core, with no padding: a text's bits cannot depend on its company, and
    all cores work. It is also the quickest way there. On a GPU texts are padded to batches, and the last bit may vary.
    """

    def __init__(self, network: SentenceTransformer, place: Place) -> None:
        self._network = network.eval().requires_grad_(False)
        self._place = place
        self._prompt = network.prompts.get(network.default_prompt_name or "") or None
        self._tokenising = threading.Lock()

    @classmethod
    def load(cls, folder: Path, place: Place, max_length: int | None = None) -> Self:
        """Read a sentence-transformers folder; texts are cut to `max_length` tokens. Raises FolderError."""
        encoders.hush()
        # Texts are tokenised one by one; without this a fork warns of threads that were never used.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        hint = "name the folder of a sentence-transformers model with safetensors weights"
        if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
            raise FolderError(f"{folder} is no encoder: it has neither modules.json nor config.json", hint)
        try:
            network = SentenceTransformer(
                str(folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
            )
        except Exception as error:
            raise FolderError(f"{folder} is no encoder: {' '.join(str(error).split())[:200]}", hint) from error
        encoders.require_words(network.tokenizer, str(folder))
        if max_length is not None:
            most = getattr(getattr(network.transformers_model, "config", None), "max_position_embeddings", max_length)
            network.max_seq_length = min(max_length, most)
        return cls(network, place)

    @cached_property
    def dimension(self) -> int:
        """Numbers in an embedding."""
        return int(self.embed(["one"]).shape[1])

    @cached_property
    def identity(self) -> str:
        """A hash of all that embeddings depend on: weights, architecture, vocabulary, pooling, length, precision."""
        network = self._network
        transformer: Any = network.transformers_model
        config = {} if transformer is None else transformer.config.to_dict()
        facts = {
            "modules": [(type(module).__name__, repr(module)) for module in network],
            "config": {key: value for key, value in config.items() if key not in _VOLATILE},
            "tokenizer": _vocabulary(network.tokenizer),
            "max_length": network.max_seq_length,
            "prompt": self._prompt,
            "precision": self._place.precision,
        }
        written = orjson.dumps(facts, default=repr, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
        digest = hashlib.sha256(written)
        for name, tensor in sorted(network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:32]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """(len(texts), dimension), in their order."""
        order = by_length(texts)
        found = list(self.stream([texts[i] for i in order]))
        if not found:
            return np.empty((0, self.dimension), np.float16)
        together = np.concatenate(found)
        embeddings = np.empty_like(together)
        embeddings[order] = together
        return embeddings

    def stream(self, texts: Sequence[str]) -> Iterator[NDArray[np.float16]]:
        """The embeddings in order, some rows at a time, as they are made: neighbours had best be of like length."""
        if self._place.device == "cpu":
            with ONE_THREAD:
                yield from in_threads(lambda text: self._forward([text]), texts)
        else:
            yield from self._batches(texts)

    def _batches(self, texts: Sequence[str]) -> Iterator[NDArray[np.float16]]:
        self._network.to(self._place.device)
        for start in range(0, len(texts), _BATCH):
            yield from self._halving(texts[start : start + _BATCH])

    def _halving(self, texts: Sequence[str]) -> Iterator[NDArray[np.float16]]:
        """All at once, or each half if the device has too little memory."""
        try:
            found = self._forward(texts)
        except torch.OutOfMemoryError:
            if len(texts) == 1:
                raise
            found = None
        if found is not None:
            yield found
            return
        half = len(texts) // 2
        for part in (texts[:half], texts[half:]):
            yield from self._halving(part)

    def _forward(self, texts: Sequence[str]) -> NDArray[np.float16]:
        with self._tokenising:  # a tokeniser keeps its settings in itself and cannot be asked by two at once
            features = self._network.preprocess(list(texts), prompt=self._prompt)
        device = torch.device(self._place.device)
        moved = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in features.items()}
        with torch.inference_mode(), self._arithmetic(device):
            embeddings = self._network(moved)["sentence_embedding"]
        halves: NDArray[np.float16] = embeddings.half().cpu().numpy()
        return halves

    def influences(
        self, text: str, slope: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    ) -> list[tuple[int, int, float]]:
        """Gradient times input of each token of a text, with where it begins and ends in it.

        Args:
            text: what is read.
            slope: how what is looked at changes with each number of an embedding, (D,) both.

        Raises:
            UsageError: the encoder is of a kind that has no such gradients, or a tokenizer that forgets places.
        """
        transformer: Any = self._network.transformers_model
        if transformer is None or not getattr(self._network.tokenizer, "is_fast", False):
            raise UsageError("the encoder of this model cannot be explained", "leave out --explain")
        prompt = self._prompt or ""
        with self._tokenising:
            features = self._network.preprocess([text], prompt=self._prompt)
            cut = self._network.tokenizer(
                prompt + text, truncation=True, max_length=self._network.max_seq_length, return_offsets_mapping=True
            )
        self._network.to(self._place.device)
        read = features.pop("input_ids").to(transformer.device)
        moved = {k: v.to(transformer.device) if isinstance(v, torch.Tensor) else v for k, v in features.items()}
        with ONE_THREAD if self._place.device == "cpu" else nullcontext(), torch.enable_grad():
            embedded = transformer.get_input_embeddings()(read).detach().requires_grad_()
            embedding = self._network({**moved, "inputs_embeds": embedded})["sentence_embedding"][0]
            wanted = torch.from_numpy(slope(embedding.detach().float().cpu().numpy())).to(embedding)
            [found] = torch.autograd.grad(embedding, embedded, wanted)
        values = (found * embedded.detach()).sum(-1)[0].float().tolist()
        first = len(prompt)
        return [
            (begin - first, end - first, value)
            for (begin, end), value in zip(cut["offset_mapping"], values, strict=True)
            if begin >= first and end > begin
        ]

    def _arithmetic(self, device: torch.device) -> Any:
        precision: Precision = self._place.precision
        return nullcontext() if precision == "fp32" else torch.autocast(device.type, _DTYPES[precision])

    def save(self, folder: Path) -> None:
        """Write it as a sentence-transformers folder: safetensors, tokeniser, settings. Raises StorageError."""
        with tensors.written(folder):
            self._network.save(str(folder), create_model_card=False, safe_serialization=True)
            storage.sync_files(folder)


def by_length(texts: Sequence[str]) -> NDArray[np.int64]:
    """Positions of the texts, the longest first."""
    return np.argsort([-len(text) for text in texts], kind="stable")


def _vocabulary(tokenizer: Any) -> Any:
    """All a tokeniser is, without the truncation and padding that its last call left in it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return sorted(tokenizer.get_vocab().items())
    return {k: v for k, v in orjson.loads(backend.to_str()).items() if k not in {"truncation", "padding"}}
