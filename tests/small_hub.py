"""A Hugging Face hub on loopback that has one model, as far as downloading needs it."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from double.exchange import Answer, Request, page
from loopback import address, site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

NAME = "somebody/small-scibert"
_PR = {
    "title": "Adding `safetensors` variant of this model",
    "num": 7,
    "status": "open",
    "isPullRequest": True,
    "author": {"name": "SFconvertbot", "_id": "1"},
    "repo": {"name": NAME, "type": "model"},
    "createdAt": "2024-01-01T00:00:00.000Z",
}


@contextmanager
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[list[str]]:
    """Serves a folder as the model NAME; safetensors are in its pull request 7 only, as for most models of SciBERT's
    age. Yields the list of what was asked for.
    """
    asked: list[str] = []

    def respond(request: Request) -> Answer:  # noqa: PLR0911
        asked.append(request.path)
        if request.path == f"/api/models/{NAME}":
            return _json({"id": NAME, "_id": "1", "modelId": NAME, "private": False, "tags": [], "siblings": []})
        if request.path == f"/api/models/{NAME}/discussions":
            return _json({"discussions": [_PR], "count": 1, "start": 0})
        if request.path.startswith(f"/api/models/{NAME}/commits/"):
            names = ["main"] if request.path.endswith("/main") else ["refs/pr/7", "main"]
            rest = {"title": "", "message": "", "authors": [], "date": "2024-01-01T00:00:00.000Z"}
            return _json([{"id": _commit(name), **rest} for name in names])
        if request.path.startswith(f"/api/models/{NAME}/tree/"):
            return page(404, "text/plain", "", X_Error_Code="EntryNotFound")
        start = f"/{NAME}/resolve/"
        if not request.path.startswith(start):
            return page(404, "text/plain", "", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        revision, _, file = request.path.removeprefix(start).replace("%2F", "/").rpartition("/")
        path = folder / file
        commit = revision if len(revision) == len(_commit("")) else _commit(revision)
        converted = commit == _commit("refs/pr/7")
        if not path.is_file() or (path.suffix == ".safetensors" and not converted):
            return page(404, "text/plain", "", X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        content = path.read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        return page(200, "application/octet-stream", content, ETag=f'"{etag}"', X_Repo_Commit=commit)

    with site(respond) as served, monkeypatch.context() as patch:
        endpoint = address(served, "")
        patch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        patch.setattr("huggingface_hub.hf_api.api.endpoint", endpoint)
        patch.setattr("transformers.utils.hub._hf_api", None)  # made when first asked, and kept with its endpoint
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        yield asked


def _commit(revision: str) -> str:
    return hashlib.sha1(revision.encode(), usedforsecurity=False).hexdigest()


def _json(content: object) -> Answer:
    return page(200, "application/json", json.dumps(content))
