"""The linear-time model: a bag of words and word pairs, embedded in a small space, softmax on top.

Sublinear TF-IDF weights (Salton and Buckley 1988), L2-normalised bags, one embedding a feature (as fastText: Joulin et
al. 2016), kept in four and two bits with one scale a row. Scoring needs numpy and pyarrow only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

from arxivcli import storage
from arxivcli.errors import FolderError
from arxivcli.models import contributions
from arxivcli.models.contributions import Explanation, Occurrence
from arxivcli.models.features import Bags, Vocabulary, tokenise
from arxivcli.models.layer import VECTOR_LEVELS, Layer
from arxivcli.models.packing import LARGEST, Packed
from arxivcli.models.whole_numbers import Factor, rounded, shares

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WEIGHTS = "weights.safetensors"
_PACKED = ("fine", "coarse", "steps", "scales")
_LAYER = {f"layer_{part}": part for part in ("inner", "likely", "level", "start", "outer")}
_IDF_STEPS = 20
_ENOUGH_TO_UNPACK = 256
"""Texts, in one call or in many, from which unpacking the whole table is quicker than unpacking rows as they come."""
_BLOCK = 128
"""Texts that go through head and layer at once: as many as stay in the processor's cache."""
_HEAD_PARTS = 2
_GROUP = 16
"""Texts whose embeddings are fetched and made floating-point at once: as many as stay in the processor's cache."""
TERM_FREQUENCY = (1 + np.log(np.maximum(1, np.arange(256)))).astype(np.float32)
"""Sublinear term frequency of a count: 1 + ln(count)."""


@dataclass(frozen=True, eq=False)
class FastClassifier:
    """Packed feature embeddings (F, D), codes of inverse document frequencies (F,), head (D, L) and bias (L,), and in
    some models a hidden layer beside the head.
    """

    labels: tuple[str, ...]
    vocabulary: Vocabulary
    idf: NDArray[np.uint8]
    embeddings: Packed
    head: NDArray[np.float32]
    bias: NDArray[np.float32]
    layer: Layer | None = None
    _asked: list[int] = field(default_factory=lambda: [0], init=False, repr=False)
    """How many texts it was asked about."""

    def scores(self, texts: pa.StringArray) -> NDArray[np.float32]:
        """Logits, float32 (len(texts), len(labels)); a text without a known word is a vector of zeros."""
        vectors = self.vectors(texts)
        logits = np.empty((len(texts), len(self.labels)), np.float32)
        for start in range(0, len(texts), _BLOCK):
            some = slice(start, start + _BLOCK)
            whole, steps = rounded(vectors[some], VECTOR_LEVELS)
            logits[some] = self._head.times(whole, steps) + self.bias
            if self.layer:
                logits[some] += self.layer.added(whole, steps, logits[some])
        return logits

    def vectors(self, texts: pa.StringArray) -> NDArray[np.float32]:
        """The weighted sum of each text's feature embeddings, float32 (len(texts), D); zero without a known word."""
        bags = self.vocabulary.bags(texts)
        weights, steps = shares(bag_weights(bags, self._idf) * self._scales.take(bags.features), bags.offsets, LARGEST)
        self._asked[0] += len(texts)
        table = self.embeddings.table if self._asked[0] >= _ENOUGH_TO_UNPACK else None
        vectors = np.empty((len(texts), len(self.head)), np.float32)
        sums = iter(vectors)
        offsets = bags.offsets.tolist()
        for first in range(0, len(texts), _GROUP):
            group = offsets[first : first + _GROUP + 1]
            met = bags.features[group[0] : group[-1]]
            exact = (self.embeddings.rows(met) if table is None else table.take(met, axis=0)).astype(np.float32)
            # One small product a text: quicker here than any batched sum.
            for start, end in pairwise(group):
                np.dot(weights[start:end], exact[start - group[0] : end - group[0]], out=next(sums))
        vectors *= steps[:, None]
        return vectors

    def contributions(self, texts: pa.StringArray, towards: NDArray[np.int64]) -> list[Explanation]:
        """Exact: what each word and pair adds to the lead of a label, its occurrences in the title counting double."""
        bags, tokens = self.vocabulary.bags(texts), tokenise(texts)
        weights = bag_weights(bags, self._idf) * self._scales.take(bags.features)
        known = self.vocabulary.of_tokens(tokens, self.vocabulary.word_ids(tokens.words))
        counts, names = 1 + tokens.in_title, tokens.words.to_pylist()
        bounds = pairwise(np.searchsorted(tokens.text, np.arange(len(texts) + 1)).tolist())
        found = []
        for text, label, bag, (first, last) in zip(
            texts.to_pylist(), towards.tolist(), pairwise(bags.offsets.tolist()), bounds, strict=True
        ):
            features = bags.features[slice(*bag)]
            exact = self.embeddings.rows(features).astype(np.float64)
            base, values = self._towards(exact * weights[slice(*bag), None], label)
            added = dict(zip(features.tolist(), values.tolist(), strict=True))
            here = _occurrences(text, names[first:last], known[first:last], counts[first:last], added)
            found.append(Explanation(base, contributions.gathered(text, here)))
        return found

    def _towards(self, vectors: NDArray[np.float64], label: int) -> tuple[float, NDArray[np.float64]]:
        """What head and layer make of nothing, and of each of the vectors (n, D) whose sum they read."""
        base, values = contributions.along_ray(vectors, label, self.head, self.bias)
        if self.layer is None:
            return base, values
        more, others = self.layer.shared_out(vectors, label, self.head, self.bias)
        return base + more, values + others

    @cached_property
    def _idf(self) -> NDArray[np.float32]:
        return idf(self.idf)

    @cached_property
    def _head(self) -> Factor:
        return Factor.of(self.head, VECTOR_LEVELS, _HEAD_PARTS)

    @cached_property
    def _scales(self) -> NDArray[np.float32]:
        return self.embeddings.scales.astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors."""
        words = self.vocabulary.words.cast(pa.binary())
        size = np.uint16 if len(words) <= np.iinfo(np.uint16).max else np.uint32
        first, second = np.divmod(self.vocabulary.pairs, max(1, len(words)))
        tensors = {
            "words": np.frombuffer(b"\n".join(words.to_pylist()), np.uint8),
            # The pairs are sorted: how many begin with each word, and the words they end with.
            "beginning": np.bincount(first, minlength=len(words)).astype(size),
            "ends": second.astype(size),
            "idf": self.idf,
            **{name: getattr(self.embeddings, name) for name in _PACKED},
            "head": self.head,
            "bias": self.bias,
            **{name: getattr(self.layer, part).astype(np.float16) for name, part in _LAYER.items() if self.layer},
            "labels": np.frombuffer("\n".join(self.labels).encode(), np.uint8),
        }
        storage.write_whole(folder / WEIGHTS, to_bytes(tensors))

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:  # noqa: ARG003  always the CPU
        """Read weights.safetensors. Raises FolderError when it does not fit."""
        try:
            tensors = load_file(folder / WEIGHTS)
            labels = tuple(tensors["labels"].tobytes().decode().split("\n"))
            words = pa.array(tensors["words"].tobytes().decode().split("\n"), pa.string())
            first = np.repeat(np.arange(len(words), dtype=np.int64), tensors["beginning"])
            vocabulary = Vocabulary(words, first * len(words) + tensors["ends"])
            embeddings = Packed(*(tensors[name] for name in _PACKED))
            parts = [tensors[name].astype(np.float32) for name in _LAYER if name in tensors]
            layer = Layer(*parts) if parts else None
            model = cls(labels, vocabulary, tensors["idf"], embeddings, tensors["head"], tensors["bias"], layer)
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise FolderError(f"{folder / WEIGHTS} is no fast model: {error}", "train or download it again") from error
        if not (
            len(vocabulary) == len(embeddings) == len(model.idf)
            and embeddings.fits
            and model.head.shape == (embeddings.width, len(labels))
            and model.bias.shape == (len(labels),)
            and (layer is None or layer.fits(embeddings.width, len(labels)))
        ):
            raise FolderError(f"the tensors of {folder / WEIGHTS} do not fit together", "train or download it again")
        return model


def _occurrences(
    text: str, names: list[str], known: NDArray[np.int32], counts: NDArray[np.int64], added: dict[int, float]
) -> list[Occurrence]:
    """The known words and pairs of a text where they stand, each with its share of what they add in all.

    Args:
        text: that was read.
        names: its n words, lower-cased.
        known: (n, 2) the feature that each word is and that of the pair it begins, -1 for none.
        counts: (n,) what each of them counts in the bag.
        added: what each feature adds.
    """
    at, pair = np.nonzero(known >= 0)
    _, same = np.unique(known[at, pair], return_inverse=True)
    shares = counts[at] / np.bincount(same, counts[at])[same]
    places = contributions.words(text)
    parts = zip(at.tolist(), pair.tolist(), known[at, pair].tolist(), shares.tolist(), strict=True)
    return [
        Occurrence(
            " ".join(names[first : first + 1 + second]),
            places[first][0],
            places[first + second][1],
            added[feature] * share,
        )
        for first, second, feature, share in parts
    ]


def idf(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Inverse document frequencies from their codes: from 1 to 13.75 in steps of a twentieth."""
    return 1 + codes.astype(np.float32) / np.float32(_IDF_STEPS)


def idf_codes(documents: NDArray[np.int64], papers: int) -> NDArray[np.uint8]:
    """Codes of ln((1 + n) / (1 + df)) + 1, smoothed, of features that occur in so many of n papers."""
    steps = np.rint(np.log((1 + papers) / (1 + documents)) * _IDF_STEPS)
    codes: NDArray[np.uint8] = np.clip(steps, 0, np.iinfo(np.uint8).max).astype(np.uint8)
    return codes


def bag_weights(bags: Bags, idf: NDArray[np.float32]) -> NDArray[np.float32]:
    """TF-IDF of each entry, each bag of unit length: float32, as long as `bags.features`."""
    weights: NDArray[np.float32] = TERM_FREQUENCY.take(bags.counts) * idf.take(bags.features)
    sizes = np.diff(bags.offsets)
    filled = sizes > 0
    norms = np.zeros(len(sizes), np.float32)
    if filled.any():
        norms[filled] = np.sqrt(np.add.reduceat(weights * weights, bags.offsets[:-1][filled]))
    np.divide(weights, np.repeat(norms, sizes), out=weights)
    return weights
