"""The result of a check of the tables."""

from typing import NamedTuple


class Finding(NamedTuple):
    """Rows that do not agree with other rows, or with what kspan recorded about them."""

    table: str
    key: str
    """Key of the row, without the cluster; or a description of several rows."""
    problem: str
    columns: tuple[str, ...] = ()
    """Columns that do not agree; empty if the whole row does not."""
