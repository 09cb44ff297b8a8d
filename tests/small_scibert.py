"""A BERT built as SciBERT is, in small: its layers and tokenizer class, its words learned from invented papers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import invented

from arxivcli import text

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = 3


def save(folder: Path, layers: int = LAYERS, seed: int = 0, rng: float = 0.2) -> Path:
    """A folder as a pretrained encoder's: config, safetensors, tokenizer."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    folder.mkdir(parents=True)
    words = BertWordPieceTokenizer(lowercase=True)
    words.train_from_iterator(
        text.model_input(invented.batch(300, seed=99)).to_pylist(), vocab_size=400, show_progress=False
    )
    words.save_model(str(folder))
    tokenizer = BertTokenizer.from_pretrained(folder, do_lower_case=True, model_max_length=512)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=512,
        initializer_range=rng,
    )
    # As SciBERT is published: weights of the pretraining task, the pooler among them, no head for labels.
    BertForMaskedLM(config).save_pretrained(folder)
    return folder
