"""What can be chosen about a fine-tuned transformer."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from arxivcli.settings import Seed, Settings


class FinetunedSettings(Settings):
    """Settings of a fine-tuned transformer; README and presets say what they are good for."""

    mixed_on_cpu: ClassVar[bool] = True

    kind: Literal["finetuned"] = "finetuned"
    encoder: str = Field(min_length=1)
    seed: Seed = 0
    task: Literal["primary", "all"] = "primary"
    max_length: int = Field(512, ge=8)
    freeze_layers: int = Field(0, ge=0)
    epochs: int = Field(3, ge=1, le=1000)
    batch_size: int = Field(32, ge=1)
    micro_batch: int | None = Field(None, ge=1)
    lr: float = Field(3e-5, gt=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    warmup: float = Field(0.06, ge=0, le=1)
    weight_decay: float = Field(0.01, ge=0)
    max_norm: float = Field(1.0, gt=0)
    dropout: float | None = Field(None, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    cross_lists: float = Field(0.0, ge=0, lt=1)
    title_only: float = Field(0.1, ge=0, le=1)
    balance: float = Field(0.0, ge=0, le=1)
    prior: Literal["corpus", "arxiv"] = "corpus"
    lora_rank: int = Field(0, ge=0)
    lora_alpha: int = Field(32, ge=1)
    lora_dropout: float = Field(0.05, ge=0, lt=1)
    compile: bool = False
    patience: int = Field(2, ge=1)
