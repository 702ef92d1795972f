"""Frames to committed rows: the journal and its projection in one transaction, without a daemon.

A journal batch is committed whole with everything that follows from it, or not at all. Killed anywhere and started
again with the same input, it ends with the same rows.
"""
