"""Runs kspan with a clock that stands still, so that its pages say the same on every day.

    python -m tests.browser.fixed_clock NANOSECONDS serve --db …

kspan reads the wall clock with ``time.time_ns()``, and durations with ``time.monotonic()``, which goes on.
"""

import sys
import time

from kspan.cli import main

if __name__ == "__main__":
    now = int(sys.argv.pop(1))
    time.time_ns = lambda: now
    main()
