"""Serves the style sheets, scripts and images of the pages from the package."""

from pathlib import PurePosixPath
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from kspan.web.pages.html import STATIC, asset_digest

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"


def routes() -> list[Route]:
    """Return the routes of the files."""
    return [Route("/static/{name}", _file), Route("/favicon.ico", _favicon)]


async def _file(request: Request) -> Response:
    return _answer(request.path_params["name"], request)


async def _favicon(request: Request) -> Response:
    return _answer("icon.svg", request)


def _answer(name: str, request: Request) -> Response:
    media_type = _TYPES.get(PurePosixPath(name).suffix)
    if media_type is None or name not in {file.name for file in STATIC.iterdir()}:
        return PlainTextResponse("no such file\n", 404)
    tag = f'"{asset_digest(name)}"'
    # Scripts import each other without a digest: the browser asks whether they are still the same.
    headers = {"ETag": tag, "Cache-Control": _FOR_EVER if "v" in request.query_params else "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response((STATIC / name).read_bytes(), media_type=media_type, headers=headers)
