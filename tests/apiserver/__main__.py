"""``python -m tests.apiserver``: the server as a process. Prints ``ready URL``; ends on SIGTERM or SIGINT."""

import argparse
import signal
import sys
from pathlib import Path

from tests.apiserver import ApiServer


def main() -> int:
    options = _parse()
    server = ApiServer(
        token=options.token, port=options.port, https=options.https, bookmark_interval=options.bookmark_interval
    )
    for recording in options.recording:
        server.serve_recording(
            recording,
            options.speed,
            options.resource or None,
            stepwise=options.stepwise,
            wait_for=options.wait_for,
        )
    # Blocked before the server's thread exists, so that it is the main thread that gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    with server:
        if options.kubeconfig:
            server.kubeconfig(options.kubeconfig)
        print(f"ready {server.url}", flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.apiserver", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--recording", type=Path, action="append", default=[], help="one that is served; repeatable")
    parser.add_argument("--speed", type=float, default=1.0, help="times faster than it was recorded; 0: no waiting")
    parser.add_argument("--resource", action="append", default=[], help="only these of the recording; repeatable")
    parser.add_argument("--stepwise", action="store_true", help="deltas wait for POST /_test/advance or /_test/begin")
    parser.add_argument(
        "--wait-for", action="append", default=[], help="a resource that has to be watched before the first delta"
    )
    parser.add_argument("--token", help="the bearer token that is asked for")
    parser.add_argument("--https", action="store_true")
    parser.add_argument("--bookmark-interval", type=float, default=60.0, help="seconds")
    parser.add_argument("--kubeconfig", type=Path, help="where to write one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
