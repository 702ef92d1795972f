"""An HTTP server for tests whose clients may break off."""

from http.server import ThreadingHTTPServer


class QuietServer(ThreadingHTTPServer):
    """Says nothing of a client that is gone in the middle of an answer, and its threads hold up no end."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A daemon that was killed, or a test that is over, breaks its connections off."""
