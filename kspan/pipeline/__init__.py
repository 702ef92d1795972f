"""From frames to committed rows: the journal and its projection in one transaction, without a daemon.

A journal batch is committed together with everything that follows from it, or not at all. A process that is killed at
any moment and started again with the same input ends with the same rows.
"""
