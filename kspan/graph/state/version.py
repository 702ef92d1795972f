"""The version of the fold."""

from typing import Final

FOLD_VERSION: Final = 2
"""Stored with the projection (table ``fold_history``). A database with a lower version is rebuilt from its journal; one
with a higher version is refused.

Raise it by one when the same journal gives other rows than in the last release: when a stored struct
(``kspan.graph.state.records``), a built-in rule or the choice of a cause changes. Then run ``make fold-version``.
``tests/store/test_fold_version.py`` fails if you forget."""
