"""The page that people use: one answer that needs nothing else, and may load and run nothing but what is in it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from fastapi import FastAPI

_SCRIPTS = ("asking.js", "paper.js", "tables.js", "papers.js")
_DOCS = ' <a href="docs">For programs</a>'


def add(app: FastAPI, *, docs: bool, fetch: bool) -> None:
    """Serve the page at /; with `docs` it leads there, with `fetch` it asks for papers by arXiv id."""
    content, policy = _page(docs, fetch)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(content, headers={"content-security-policy": policy}, media_type="text/html")


@cache
def _page(docs: bool, fetch: bool) -> tuple[bytes, str]:
    """The page, and the policy that lets its own style and script, known by their hashes, do their work."""
    style = _read("style.css")
    # One module: nothing in it is visible outside, and it runs once the page is there.
    script = "\n".join(map(_read, (*_SCRIPTS, *(("fetching.js",) if fetch else ()))))
    parts = {
        "{{style}}": f"<style>{style}</style>",
        "{{script}}": f'<script type="module">{script}</script>',
        "{{docs}}": _DOCS if docs else "",
        "{{fetching}}": _read("fetching.html") if fetch else "",
    }
    html = _read("index.html")
    for place, part in parts.items():
        html = html.replace(place, part)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return html.encode(), policy


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return (files("arxivcli.serving") / "assets" / name).read_text("utf-8")
