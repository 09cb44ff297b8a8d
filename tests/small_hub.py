"""A Hugging Face hub on loopback that has some models, as far as downloading needs it."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from double.exchange import Answer, Request, page
from loopback import address, site

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pytest

NAME = "somebody/small-scibert"
OLD = ("scibert",)
"""Models with this in their name have safetensors in pull request 7 only, as most of SciBERT's age."""


@contextmanager
def serving(models: Mapping[str, Path]) -> Iterator[str]:
    """The address of a hub that has these folders under these names."""

    def respond(request: Request) -> Answer:
        for name, folder in models.items():
            for start, ask in ((f"/api/models/{name}", _facts), (f"/{name}/resolve/", _file)):
                if request.path.startswith(start):
                    return ask(name, folder, request.path.removeprefix(start))
        return page(404, "text/plain", "", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")

    with site(respond) as served:
        yield address(served, "")


@contextmanager
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[None]:
    """Inside, this process asks a hub that has `folder` as NAME, and keeps in `cache` what it gets."""
    with serving({NAME: folder}) as endpoint, monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        patch.setattr("huggingface_hub.hf_api.api.endpoint", endpoint)
        patch.setattr("transformers.utils.hub._hf_api", None)  # made when first asked, and kept with its endpoint
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        yield


def _facts(name: str, folder: Path, asked: str) -> Answer:
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    if asked in {"", "/revision/main"}:
        some = {"id": name, "_id": "1", "modelId": name, "private": False, "tags": [], "sha": _commit("main")}
        return _json(some | {"siblings": [{"rfilename": file} for file in files]})
    if asked.startswith("/tree/"):  # how later versions of the library ask what there is
        some = {"type": "file", "oid": "0" * 40}
        return _json([some | {"path": name, "size": path.stat().st_size} for name, path in files.items()])
    if asked == "/discussions":
        request = {
            "title": "Adding `safetensors` variant of this model",
            "num": 7,
            "status": "open",
            "isPullRequest": True,
            "author": {"name": "SFconvertbot", "_id": "1"},
            "repo": {"name": name, "type": "model"},
            "createdAt": "2024-01-01T00:00:00.000Z",
        }
        return _json({"discussions": [request], "count": 1, "start": 0})
    if asked.startswith("/commits/"):
        names = ["main"] if asked.endswith("/main") else ["refs/pr/7", "main"]
        rest = {"title": "", "message": "", "authors": [], "date": "2024-01-01T00:00:00.000Z"}
        return _json([{"id": _commit(name), **rest} for name in names])
    return page(404, "text/plain", "", X_Error_Code="EntryNotFound")


def _file(name: str, folder: Path, asked: str) -> Answer:
    for revision in ("main", "refs/pr/7"):
        for written in (revision, revision.replace("/", "%2F"), _commit(revision)):
            if asked.startswith(f"{written}/"):
                return _content(name, folder / asked.removeprefix(f"{written}/"), revision)
    return page(404, "text/plain", "", X_Error_Code="RevisionNotFound")


def _content(name: str, path: Path, revision: str) -> Answer:
    hidden = path.suffix == ".safetensors" and revision == "main" and any(part in name for part in OLD)
    if hidden or not path.is_file():
        return page(404, "text/plain", "", X_Error_Code="EntryNotFound", X_Repo_Commit=_commit(revision))
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    return page(200, "application/octet-stream", content, ETag=etag, X_Repo_Commit=_commit(revision))


def _commit(revision: str) -> str:
    return hashlib.sha1(revision.encode(), usedforsecurity=False).hexdigest()


def _json(content: object) -> Answer:
    return page(200, "application/json", json.dumps(content))
