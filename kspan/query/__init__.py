"""Questions to the history, read-only: what caused what, which traces, what happened when, SQL.

What it promises: a question reads one snapshot of the database, writes nothing, and costs what its answer needs, not
the length of the history. Answers are values (structs and rows); how they look is the caller's business.
"""
