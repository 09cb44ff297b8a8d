"""What tests share: one hypothesis profile without wall-clock deadlines (CI machines stall), a model, many papers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from double.serving import Site

settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing around us: no proxy, no credentials, a cache of our own."""
    from loopback import quiet_environment

    quiet_environment(monkeypatch, tmp_path)


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
