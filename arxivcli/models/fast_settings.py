"""What can be chosen about a fast model."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from arxivcli.errors import UsageError
from arxivcli.settings import Seed, Settings

_FEWEST_STACKED = 2


class FastSettings(Settings):
    """Settings of `--model fast`."""

    kind: Literal["fast"] = "fast"
    seed: Seed = 0
    dimension: int = Field(128, ge=2, le=1024, multiple_of=2)
    kept: int = Field(128, ge=2, le=1024)
    members: int = Field(1, ge=1, le=100)
    stacked: int = Field(0, ge=0, le=4096)
    stacked_epochs: int = Field(12, ge=1, le=1000)
    stacked_lr: float = Field(0.001, gt=0)
    stacked_dropout: float = Field(0.3, ge=0, lt=1)
    min_count: int = Field(6, ge=1)
    max_words: int = Field(50_000, ge=1)
    max_pairs: int = Field(330_000, ge=0)
    epochs: int | None = Field(None, ge=1, le=1000)
    batch_size: int | None = Field(None, ge=1)
    lr: float = Field(0.002, gt=0)
    feature_dropout: float = Field(0.45, ge=0, lt=1)
    auxiliary: float = Field(1.0, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    title_only: float = Field(0.1, ge=0, le=1)
    balance: float = Field(0.0, ge=0, le=1)
    recency: float = Field(0.0, ge=0, le=1000)
    prior: Literal["corpus", "arxiv"] = "corpus"
    patience: int = Field(2, ge=1)

    @model_validator(mode="after")
    def _somebody_has_not_seen_a_paper(self) -> Self:
        """Raises UsageError for a layer on a single member, which has nobody to leave papers to."""
        if self.stacked and self.members < _FEWEST_STACKED:
            raise UsageError("stacked is for several members", f"add --set members={_FEWEST_STACKED}, or more")
        return self
