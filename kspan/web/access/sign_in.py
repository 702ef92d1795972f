"""Signing in with a browser, which cannot send a token in a header: a page, a form and a cookie.

The form is sent with POST, the only request that is not a GET or HEAD: in a GET the token would be part of an address,
and addresses are kept in histories and logs. It changes nothing but the table of sessions.
"""

import html
import math
import re
import time
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope

from kspan.web.access.doors import Door
from kspan.web.access.sessions import SESSION_S, Attempts, Sessions

LOGIN: Final = "/login"
LOGOUT: Final = "/logout"
STYLE: Final = "/login.css"
COOKIE: Final = "kspan-session"

LARGEST_FORM: Final = 8 * 1024
"""Bytes of the form. A token of a ServiceAccount has about 1,000."""

FORM_S: Final = 10.0
"""Seconds in which the form has to arrive."""

_FORM: Final = "application/x-www-form-urlencoded"
_LOCAL: Final = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2000}")
"""A path and query on this server, of visible ASCII. For a browser, two slashes begin the name of another host, also if
one of them is a backslash, or if a tab is between them."""


class SignIn:
    """The requests that open and close sessions.

    Args:
        door: checks the tokens that are entered.
        clock: the current time in seconds.
    """

    def __init__(self, door: Door, clock: Callable[[], float] = time.monotonic) -> None:
        self._door = door
        self._sessions = Sessions(clock)
        self._attempts = Attempts(clock)

    def token_of(self, headers: Headers) -> str | None:
        """Return the token of the session that a request of our own pages has; None if there is none."""
        # Browsers send this header over HTTPS and to localhost. Without it, SameSite=Strict has to do.
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return None
        return self._sessions.token(_cookie(headers))

    async def answer(self, scope: Scope, receive: Receive) -> Response | None:
        """Answer a request for signing in or out; None for any other request."""
        path, method = scope["path"], scope["method"]
        if path == STYLE and method != "POST":
            return Response(_style(), media_type="text/css", headers={"Cache-Control": "max-age=3600"})
        if path == LOGIN:
            return await self._enter(scope, receive) if method == "POST" else page("/", status=200)
        if path == LOGOUT and method != "POST":
            return self._leave(Headers(scope=scope))
        return None

    def _leave(self, headers: Headers) -> Response:
        response = RedirectResponse(LOGIN, 303)
        if self.token_of(headers) is not None:
            self._sessions.close(_cookie(headers))
            response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    async def _enter(self, scope: Scope, receive: Receive) -> Response:
        headers = Headers(scope=scope)
        if not _is_own(headers):
            return PlainTextResponse("sign in with the page of this server\n", 403)
        if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return PlainTextResponse(f"the form has to be {_FORM}\n", 415)
        client = scope.get("client") or ("",)
        if wait := math.ceil(self._attempts.wait(str(client[0]))):
            text = f"too many attempts: try again in {wait} s\n"
            return PlainTextResponse(text, 429, {"Retry-After": str(wait)})
        body = await _body(receive)
        if body is None:
            return PlainTextResponse(f"the form is larger than {LARGEST_FORM} bytes, or did not arrive in time\n", 413)
        fields = dict(parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True))
        token, target = fields.get("token", "").strip(), local_path(fields.get("next", "/"))
        try:
            await self._door.admit(token, None)
        except HTTPException as error:
            problem = "This token is not valid." if error.status_code == 401 else f"{error.detail}."
            return page(target, status=error.status_code, problem=problem)
        self._attempts.forgive(str(client[0]))
        response = RedirectResponse(target, 303)
        # Behind a proxy that ends TLS, only the browser knows that it used it.
        secure = scope["scheme"] == "https" or headers.get("origin", "").startswith("https://")
        session = self._sessions.open(token)
        response.set_cookie(COOKIE, session, int(SESSION_S), secure=secure, httponly=True, samesite="strict")
        return response


def page(target: str, *, status: int = 401, problem: str = "", again: bool = False) -> Response:
    """Return the page with the form.

    Args:
        target: where the form leads to; anything but a path on this server becomes ``/``.
        status: HTTP status.
        problem: why the previous attempt failed.
        again: let the browser ask once more, from this page. A browser that follows a link of another site does not
            send the cookie, although it may have a session.
    """
    target = html.escape(local_path(target))
    refresh = f'<meta http-equiv="refresh" content="0; url={target}">\n' if again else ""
    alert = f'<p role="alert">{html.escape(problem)}</p>\n' if problem else ""
    text = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}<title>Sign in · kspan</title>
<link rel="stylesheet" href="{STYLE}">
<main>
<h1>Sign in to kspan</h1>
{alert}<form method="post" action="{LOGIN}">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input name="next" type="hidden" value="{target}">
<button>Sign in</button>
</form>
<p>The token is that of <code>--auth-token-file</code>, or one of the cluster:
<code>kubectl create token NAME</code></p>
</main>
</html>
"""
    return Response(text, status, media_type="text/html")


def local_path(text: str) -> str:
    """Return a path and query on this server; ``/`` for everything else, and for the form itself."""
    fits = _LOCAL.fullmatch(text) is not None and urlsplit(text).path not in (LOGIN, LOGOUT)
    return text if fits else "/"


def _is_own(headers: Headers) -> bool:
    """True if a browser sent the form from a page of this server.

    Another site could otherwise sign a reader in with a token of its own.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and origin is None:
        return False
    if site is not None and site != "same-origin":
        return False
    return origin is None or origin.partition("://")[2].lower() == headers.get("host", "").lower()


async def _body(receive: Receive) -> bytes | None:
    """Return the body of a request; None if it is too large, too slow or incomplete."""
    body = b""
    with anyio.move_on_after(FORM_S):
        while True:
            message = await receive()
            body += bytes(message.get("body", b""))
            if message["type"] != "http.request" or len(body) > LARGEST_FORM:
                return None
            if not message.get("more_body"):
                return body
    return None


def _cookie(headers: Headers) -> str:
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


@cache
def _style() -> bytes:
    return (files("kspan.web.access") / "sign_in.css").read_bytes()
