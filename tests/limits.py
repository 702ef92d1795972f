"""How long a test waits before it fails."""

HANG_S = 300.0
"""Seconds after which something that a test waits for counts as hanging.

Not a measure of speed: the tests pass on a machine that is ten times slower. Where a test shows that something does not
delay an end (a receiver that does not answer, a lock), that lasts longer than this.
"""
