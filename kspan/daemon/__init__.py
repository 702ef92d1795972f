"""What drives the house: the single writer, and the ways to feed it (a recording now, a live cluster later).

Promise: a step is committed whole with everything that follows from it, or not at all; killed anywhere and started
again with the same input, it ends with the same rows.
"""
