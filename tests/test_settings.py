"""Settings: later sources win, nothing unknown passes, and what is written is read back the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arxivcli import settings
from arxivcli.errors import UsageError
from arxivcli.models.fast_settings import FastSettings

if TYPE_CHECKING:
    from pathlib import Path


class Example(settings.Settings):
    kind: str = "example"
    rate: float = 0.1
    steps: int | None = None
    loud: bool = False


def test_a_file_wins_over_the_preset_and_a_change_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text("rate = 0.2\nsteps = 5\n")
    found = settings.resolve(Example, {"kind": "preset", "rate": 0.3}, config, ["steps=7", "loud = true"])
    assert found == Example(kind="preset", rate=0.2, steps=7, loud=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("rat=1", "there is no setting rat of example models; did you mean rate?"),
        ("xyzzy=1", "there is no setting xyzzy of example models; choose among kind, loud, rate, steps"),
        ("rate=quick", "setting rate = 'quick'"),
        ("rate", "--set rate has no value"),
        (" = 3", "has no name; write --set key=value"),
        ("rate=inf", "setting rate = inf: input should be a finite number"),
        ("steps=1.5", "setting steps = 1.5"),
    ],
)
def test_what_cannot_be_is_told(change: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings.resolve(Example, {}, None, [change])
    assert said in str(caught.value)


def test_a_layer_that_nobody_could_learn_from_is_told_before_anything_is_read() -> None:
    with pytest.raises(UsageError, match="stacked is for several members; add --set members=2"):
        settings.resolve(FastSettings, {}, None, ["stacked=16"])


@pytest.mark.parametrize("content", [b"rate = = 1", b"\xff\xfe", None])
def test_a_file_that_is_no_toml_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"my\.toml"):
        settings.resolve(Example, {}, path)


@given(
    st.builds(
        Example,
        kind=st.text(st.characters(exclude_categories=("Cs", "Cc"))),
        rate=st.floats(allow_nan=False, allow_infinity=False),
        steps=st.none() | st.integers(-(2**40), 2**40),
        loud=st.booleans(),
    )
)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, example: Example) -> None:
    path = tmp_path_factory.mktemp("settings") / "settings.toml"
    path.write_text(settings.to_toml(example), "utf-8")
    assert settings.resolve(Example, {}, path) == example
