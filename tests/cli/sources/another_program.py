"""Another program in the place of the daemon."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.cli.sources.commands import Remote


@contextlib.contextmanager
def answering(
    daemon: Remote, body: bytes, headers: Mapping[str, str] | None = None, status: int = 200
) -> Iterator[list[str]]:
    """Let something else answer everything with this, which closes each connection after one answer without saying so.

    Yields the addresses that were asked for.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        daemon.api.backends.addresses["kspan", "kspan"] = "127.0.0.1", server.server_port
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()
