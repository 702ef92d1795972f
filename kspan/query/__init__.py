"""Questions to the history, read-only: what caused what, which traces, what happened when, SQL.

What it promises: a question reads one snapshot of the database, writes nothing, and costs what its answer needs, not
the length of the history. (A timeline is read in pages, each a snapshot of its own: it may be left open in a pager.)
Answers are values (structs and rows); how they look is the caller's business.

``moments`` and ``naming`` read what people write (pure); ``finding`` says which object a name means; ``why``,
``traces`` and ``timeline`` answer, by what ``spans`` reads; ``sql`` and its neighbours run what people ask in SQL.
"""
