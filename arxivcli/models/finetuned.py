"""A transformer with a head for the labels, fine-tuned: its folder is a plain transformers folder with our card."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from arxivcli import accelerators, parallel, storage, tensors
from arxivcli.accelerators import ONE_THREAD
from arxivcli.errors import FolderError
from arxivcli.models import bucketing, contributions, encoders, tokens
from arxivcli.models.contributions import Explanation
from arxivcli.models.vocabulary import in_threads

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

WEIGHTS = "model.safetensors"


@dataclass(frozen=True, eq=False)
class FinetunedClassifier:
    """A `...ForSequenceClassification` network and its tokenizer, which cuts texts at its `model_max_length`."""

    labels: tuple[str, ...]
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast

    def scores(self, texts: pa.StringArray) -> NDArray[np.float32]:
        """Logits, float32 (len(texts), len(labels)); texts of like length go through the network together.

        Whom a text goes with changes its logits by rounding only, about 1e-6.
        """
        logits = np.empty((len(texts), len(self.labels)), np.float32)
        ids = tokens.encoded(self._cutter, texts.to_pylist())
        lengths = np.array([len(text) for text in ids], np.int64)

        def fill(rows: NDArray[np.int64]) -> None:
            logits[rows] = self._logits([ids[row] for row in rows])

        if self.network.device.type == "cpu":
            small = list(bucketing.batches(lengths, bucketing.TOKENS_OF_A_CORE))
            if len(small) >= parallel.cores():
                with ONE_THREAD:  # a core for each batch is a third quicker than all cores for one after another
                    deque(in_threads(fill, small), maxlen=0)
                return logits
        for rows in bucketing.batches(lengths):
            fill(rows)
        return logits

    def _logits(self, texts: list[NDArray[np.int32]]) -> NDArray[np.float32]:
        read, mask = tokens.padded(texts, self.padding)
        with torch.inference_mode():
            found = self.network(
                input_ids=torch.from_numpy(read).to(self.network.device),
                attention_mask=torch.from_numpy(mask).to(self.network.device),
            ).logits
        logits: NDArray[np.float32] = found.float().cpu().numpy()
        return logits

    def contributions(self, texts: pa.StringArray, towards: NDArray[np.int64]) -> list[Explanation]:
        """Gradient times input of each token, summed over the pieces of a word: what the lead of a label would lose if
        the word were missing, as far as the slope tells. They do not add up to it.
        """
        found = []
        for text, label in zip(texts.to_pylist(), towards.tolist(), strict=True):
            cut = self._cutter.encode(text)
            with torch.enable_grad():
                read = torch.tensor([cut.ids], device=self.network.device)
                embedded = self.network.get_input_embeddings()(read).detach().requires_grad_()
                logits = self.network(inputs_embeds=embedded, attention_mask=torch.ones_like(read)).logits[0].float()
                [slope] = torch.autograd.grad(logits[label] - logits.mean(), embedded)
            values = (slope * embedded.detach()).sum(-1)[0].float().tolist()
            places = ((*place, value) for place, value in zip(cut.offsets, values, strict=True))
            found.append(Explanation(0.0, contributions.gathered(text, contributions.word_occurrences(text, places))))
        return found

    @cached_property
    def _cutter(self) -> Tokenizer:
        return tokens.fitted(self.tokenizer.backend_tokenizer, self.tokenizer.model_max_length)

    @property
    def padding(self) -> int:
        """The id that fills short texts."""
        return self.tokenizer.pad_token_id or 0

    def save(self, folder: Path) -> None:
        """Write config.json, model.safetensors and the tokenizer's files. Raises StorageError."""
        with tensors.written(folder):
            self.network.save_pretrained(folder, max_shard_size="1TB")
            for path in (*map(Path, self.tokenizer.save_pretrained(folder)), folder / "config.json", folder / WEIGHTS):
                if path.is_file():  # the tokenizer names all it could have written
                    storage.sync(path)

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Self:
        """Read back what `save` wrote; of weights, safetensors only.

        Raises:
            FolderError: it does not fit together.
            UsageError: the device cannot be used.
        """
        place = accelerators.for_scoring(device)
        encoders.hush()
        again = "copy or train the model again"
        if not (folder / WEIGHTS).is_file():
            raise FolderError(f"{folder} has no {WEIGHTS}, and other weights are not read", again)
        how = {"local_files_only": True, "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, **how)
            network, told = AutoModelForSequenceClassification.from_pretrained(
                folder, use_safetensors=True, output_loading_info=True, **how
            )
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise FolderError(f"{folder} is no fine-tuned model: {said}", again) from error
        wrong = [name for kind in ("missing_keys", "mismatched_keys", "unexpected_keys") for name in told[kind]]
        if wrong:
            raise FolderError(f"the weights of {folder} do not fit its config: {wrong[0]}", again)
        if len(tokenizer) > encoders.words(network):
            raise FolderError(f"the tokenizer of {folder} is another model's", again)
        names = network.config.id2label
        network.eval()
        return cls(tuple(names[i] for i in range(len(names))), network.to(place), cast("Any", tokenizer))
