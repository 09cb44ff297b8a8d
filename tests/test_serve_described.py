"""The OpenAPI description is true: what it promises is what is answered, to whatever schemathesis makes of it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import Served, serving

from arxivcli.serving.bodies import VISIBLE
from arxivcli.text import clean_one


def explored(served: Served, folder: Path, *options: str) -> None:
    """Let schemathesis ask in every way it knows for a few seconds."""
    command = [
        Path(sys.executable).with_name("st"), "run", f"http://127.0.0.1:{served.port}/openapi.json",
        "--max-examples", "25", "--seed", "1", "--checks", "all", "--mode", "all", "--phases",
        "examples,coverage,fuzzing", "--generation-deterministic", "--no-color", *options,
    ]  # fmt: skip
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=folder,
        env=os.environ
        | {"COLUMNS": "160", "SCHEMATHESIS_HOOKS": "schemathesis_lines", "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert re.search(r"[1-9]\d* test cases? generated|[1-9]\d* generated", done.stdout), done.stdout[-2000:]


def test_the_description_is_true(handmade_model: Path, tmp_path: Path) -> None:
    with serving("--model", handmade_model, "--max-items", 20, "--max-chars", 300) as served:
        explored(served, tmp_path)
        assert "bug" not in served.said()


@pytest.mark.parametrize("guarded", [[], ["--guard-metrics"]])
def test_the_description_is_true_with_a_token(handmade_model: Path, tmp_path: Path, guarded: list[str]) -> None:
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("a-token-of-many-characters")
    with serving("--model", handmade_model, "--token-file", token, "--max-chars", 300, *guarded) as served:
        explored(served, tmp_path, "-H", "Authorization: Bearer a-token-of-many-characters")


@given(
    st.text(max_size=6)
    | st.text(alphabet="\x00\t \x85\xa0\xad\u061c\u1680\u180e\u200b\u2028\u202f\u2066\u3000\ufeffa\u0301")
)
def test_a_title_with_words_is_one_of_which_cleaning_leaves_something(title: str) -> None:
    assert (re.search(VISIBLE, title) is not None) == bool(clean_one(title))
