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
    # Blocked before the server's thread starts, so that the main thread receives them.
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
    parser.add_argument("--recording", type=Path, action="append", default=[], help="a recording to serve; repeatable")
    parser.add_argument("--speed", type=float, default=1.0, help="times faster than recorded; 0: without delays")
    parser.add_argument("--resource", action="append", default=[], help="only these of the recording; repeatable")
    parser.add_argument("--stepwise", action="store_true", help="changes wait for POST /_test/advance or /_test/begin")
    parser.add_argument(
        "--wait-for", action="append", default=[], help="a resource that must be watched before the first change"
    )
    parser.add_argument("--token", help="the required bearer token")
    parser.add_argument("--https", action="store_true")
    parser.add_argument("--bookmark-interval", type=float, default=60.0, help="seconds")
    parser.add_argument("--kubeconfig", type=Path, help="where to write one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
