"""Entity tags (RFC 9110): what a client has already is not sent again."""

import hashlib

from starlette.requests import Request


def tag_of(content: bytes) -> str:
    """Return the tag that stands for some content."""
    return f'"{hashlib.sha256(content).hexdigest()[:24]}"'


def tags_known(request: Request) -> frozenset[str]:
    """Return the tags of what a client has already."""
    given = request.headers.get("if-none-match", "").split(",")
    return frozenset(each.strip().removeprefix("W/") for each in given)
