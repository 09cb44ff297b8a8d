"""What tests share: hypothesis profiles without wall-clock deadlines (CI machines stall), a model, many papers."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from double.serving import Site

# Tests run side by side, one on each core: threads that wait for each other there take many times as long as one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The suite draws the same cases at every run; `pytest --hypothesis-profile deep` goes looking for new ones.
settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("deep", deadline=None, max_examples=3000)
settings.load_profile("house")


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing around us: no proxy, no credentials, a cache of our own."""
    from loopback import quiet_environment

    quiet_environment(monkeypatch, tmp_path)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained encoder built as SciBERT is, in small."""
    import small_scibert

    return small_scibert.save(tmp_path_factory.mktemp("encoders") / "small")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Papers enough to learn from."""
    from invented import records
    from test_train import corpus_of

    return corpus_of(tmp_path_factory.mktemp("corpus"), records(600))


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Papers for trainings that need not learn much."""
    from invented import records
    from test_train import corpus_of

    return corpus_of(tmp_path_factory.mktemp("few"), records(120))


@pytest.fixture(scope="module")
def one_thread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Small networks are slower on two threads, and far slower where others work too; and a cache of our own."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
    torch.set_num_threads(before)


@pytest.fixture
def server() -> Iterator[Site]:
    """A server on this machine that says hello."""
    from loopback import site

    with site() as served:
        yield served


@pytest.fixture(scope="session")
def handmade_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder; see `handmade`."""
    import handmade

    return handmade.save(tmp_path_factory.mktemp("models") / "handmade")


@pytest.fixture(scope="session")
def many_papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough papers that several processes are used."""
    from classifying import MANY
    from invented import records

    path = tmp_path_factory.mktemp("papers") / "many.jsonl"
    lines = [json.dumps(paper) for paper in records(2_000)]
    path.write_text("".join(f"{lines[number % len(lines)]}\n" for number in range(MANY)))
    return path
