"""Read-only queries of the history: causes, traces, timelines, SQL.

A query reads one snapshot of the database and writes nothing. Its cost depends on its result, not on the length of the
history. (A timeline is read in pages, each with its own snapshot, because it can stay open in a pager.) Results are
structs and rows; ``kspan.cli.render`` prints them.

* ``why``, ``traces``, ``timeline``: the queries; ``spans`` reads what they share
* ``explain``: what ``why`` shows first, and its reason
* ``fleet``: which cluster a name means, and lists of all clusters
* ``objects``: finds the object that a name means
* ``time_args``: parses times
* ``sql``: runs SQL statements that can only read
* ``rules``: Events that no rule matches, and templates for new rules
"""
