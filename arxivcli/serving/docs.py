"""The description of the service as a page that needs no network, and what it says about tokens."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from arxivcli.serving.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection

    from fastapi import FastAPI

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
_START = "start.js"
_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>arxivcli</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_SCRIPT = b'SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui", validatorUrl: null, deepLinking: true});\n'
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def add(app: FastAPI) -> None:
    """Serve Swagger UI at /docs, from this machine."""
    folder = files("fastapi_offline") / "static"

    @app.get("/docs", include_in_schema=False)
    async def page() -> Response:
        return Response(_PAGE, headers={"content-security-policy": _POLICY}, media_type="text/html")

    @app.get("/docs/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        if name == _START:
            return Response(_SCRIPT, media_type="text/javascript")
        if name not in _ASSETS:
            raise Refusal(404, "there is nothing here")
        kept = {"cache-control": "max-age=86400"}
        return Response((folder / name).read_bytes(), headers=kept, media_type=_ASSETS[name])


def require_token(app: FastAPI, open_paths: Collection[str]) -> None:
    """Say in the description which routes need the token."""
    make = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = make()
            found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, methods in found["paths"].items():
                if path not in open_paths:
                    for operation in methods.values():
                        operation["security"] = [{"token": []}]
        return make()

    app.openapi = described  # type: ignore[method-assign]
