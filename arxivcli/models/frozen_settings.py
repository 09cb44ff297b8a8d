"""What can be chosen about the head of a frozen encoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from arxivcli.settings import Seed, Settings


class FrozenSettings(Settings):
    """Settings of `--model minilm` and `--model mpnet`."""

    kind: Literal["frozen"] = "frozen"
    encoder: str = Field(min_length=1)
    seed: Seed = 0
    max_length: int | None = Field(None, ge=8)
    hidden: int = Field(1024, ge=1, le=65_536)
    dropout: float = Field(0.5, ge=0, lt=1)
    epochs: int = Field(20, ge=1, le=1000)
    batch_size: int = Field(128, ge=1)
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    title_only: float = Field(0.1, ge=0, le=1)
    balance: float = Field(0.0, ge=0, le=1)
    prior: Literal["corpus", "arxiv"] = "corpus"
    patience: int = Field(4, ge=1)
