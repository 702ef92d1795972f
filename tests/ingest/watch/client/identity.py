"""An OpenID Connect provider over HTTPS: its discovery document, and new tokens for refresh tokens of one use."""

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from tests.apiserver.certificate import Authority
from tests.quiet_server import QuietServer

Json = dict[str, Any]


def id_token(number: int, expires_in: float) -> str:
    """A JWT without a valid signature that expires in ``expires_in`` seconds."""
    claims = {"sub": "kspan", "jti": number, "exp": int(time.time() + expires_in)}
    parts = [{"alg": "HS256", "typ": "JWT"}, claims, {"signature": number}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


class IdentityProvider:
    """A context manager. ``issued`` is called with each new token; with ``hangs`` it does not answer."""

    def __init__(self, issued: Callable[[str], object]) -> None:
        self.refresh_token = "refresh-0"
        self.refreshed = 0
        self.refused = 0
        self.held = 0
        self.lifetime = 3600.0
        self.hangs = threading.Event()
        self.released = threading.Event()
        self._issued = issued
        self.authority = Authority()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*self.authority.issue("127.0.0.1"))
        self._server = QuietServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"provider": self}))
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="identity provider")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def user(self, token: str) -> Json:
        """The user entry of a kubeconfig with this id token."""
        config = {"idp-issuer-url": self.url, "client-id": "kspan", "client-secret": "client-secret"}
        config |= {"id-token": token, "refresh-token": self.refresh_token}
        config["idp-certificate-authority"] = str(self.authority.path)
        return {"auth-provider": {"name": "oidc", "config": config}}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.authority.remove()

    def refresh(self, given: str) -> Json | None:
        if given != self.refresh_token:
            self.refused += 1
            return None
        self.refreshed += 1
        self.refresh_token = f"refresh-{self.refreshed}"
        token = id_token(self.refreshed, self.lifetime)
        self._issued(token)
        answer = {"access_token": "unused", "token_type": "Bearer", "expires_in": self.lifetime}
        return answer | {"id_token": token, "refresh_token": self.refresh_token}


class _Handler(BaseHTTPRequestHandler):
    provider: IdentityProvider

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Not on stderr."""

    def do_GET(self) -> None:
        if self.provider.hangs.is_set():
            self.provider.held += 1
            self.provider.released.wait()
        issuer = self.provider.url
        self._answer(200, {"issuer": issuer, "token_endpoint": f"{issuer}/token"})

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        tokens = self.provider.refresh(form["refresh_token"][0]) if form["grant_type"] == ["refresh_token"] else None
        self._answer(200 if tokens else 400, tokens or {"error": "invalid_grant"})

    def _answer(self, code: int, body: Json) -> None:
        raw = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
