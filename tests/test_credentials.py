"""Kaggle's credentials are found where Kaggle's tools find them, in their order, and are for Kaggle alone."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import httpx
import pytest
from loopback import quiet_environment

from arxivcli.errors import UsageError
from arxivcli.sources import credentials

if TYPE_CHECKING:
    from pathlib import Path

KAGGLE = httpx.URL("https://www.kaggle.com/api/v1/datasets/download/Cornell-University/arxiv")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    quiet_environment(monkeypatch, tmp_path)
    (tmp_path / "home" / ".kaggle").mkdir(parents=True)
    return tmp_path / "home" / ".kaggle"


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def found() -> str | None:
    return credentials.headers(KAGGLE).get("Authorization")


def test_the_first_of_kaggles_places_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found() is None
    (home / "kaggle.json").write_text(json.dumps({"username": "me", "key": "in json"}))
    assert found() == basic("me:in json")
    monkeypatch.setenv("KAGGLE_USERNAME", "you")
    assert found() == basic("me:in json")
    monkeypatch.setenv("KAGGLE_KEY", "in environment")
    assert found() == basic("you:in environment")
    (home / "access_token.txt").write_text("KGAT_txt\n")
    assert found() == "Bearer KGAT_txt"
    (home / "access_token").write_text("KGAT_file\n")
    assert found() == "Bearer KGAT_file"
    (home / "elsewhere").write_text(" KGAT_path \n")
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(home / "elsewhere"))
    assert found() == "Bearer KGAT_path"
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_environment")
    assert found() == "Bearer KGAT_environment"
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home / "none"))
    assert found() == basic("you:in environment")


@pytest.mark.parametrize("content", ["", "{", "[1]", "7", '{"username": "me"}', "[" * 100_000, "\0"])
def test_a_damaged_file_holds_none(home: Path, content: str) -> None:
    (home / "kaggle.json").write_text(content)
    (home / "access_token").mkdir()
    assert found() is None


@pytest.mark.parametrize(
    "token", ["", " ", "two words", "line\nbreak", "K\x00GAT", "schlüssel", "x" * 5_000 + "\r\ny: z"]
)
def test_what_cannot_stand_in_a_header_is_none(home: Path, token: str) -> None:
    (home / "access_token").write_text(token)
    assert found() is None


@pytest.mark.parametrize(
    "server",
    [
        "http://www.kaggle.com/api",
        "https://kaggle.com.example.org/",
        "https://storage.googleapis.com/",
        "https://www.kaggle.com:8443/",
        "https://mirror.example.org/www.kaggle.com",
        "http://127.0.0.1:8000/",
    ],
)
def test_nobody_else_gets_them(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_secret")
    assert found()
    assert credentials.headers(httpx.URL(server)) == {}
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", server)
    assert credentials.headers(httpx.URL(server))
    assert found() is None


def test_they_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_secret")
    held = credentials.headers(KAGGLE)
    assert "secret" not in f"{held} {held!r} {[held]}"
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", "https://me:secret@www.kaggle.com")
    with pytest.raises(UsageError) as caught:
        credentials.headers(KAGGLE)
    assert "secret" not in str(caught.value)
