"""Views count what an Event counts: not all repeats of an Event that was first seen with a count are received.

The removal of a finalizer is a span event too, and does not count.
"""

from typing import Any

from alembic import context, op

revision = "kspan_0005"
down_revision = "kspan_0004"


def upgrade() -> None:
    connection = op.get_bind()
    first = context.script.get_revision("kspan_0001").module
    dialect = connection.dialect.name
    shared = first._SYNTAX[dialect]  # noqa: SLF001
    views = {
        "occurrences": first._occurrences(shared),  # noqa: SLF001
        "failures": context.script.get_revision("kspan_0004").module._failures(first, dialect),  # noqa: SLF001
    }
    for name, text in views.items():
        before = f"1 + {first._repeats(shared)} AS times"  # noqa: SLF001
        assert before in text, name
        made = f"CREATE VIEW {name} AS {text.replace(before, f'{_times(first, dialect)} AS times')}"
        connection.exec_driver_sql(f"DROP VIEW {name}")
        # Not op.execute: SQLAlchemy would treat a colon in the text as a parameter. psycopg requires doubled percent
        # signs.
        connection.exec_driver_sql(made if dialect == "sqlite" else made.replace("%", "%%"))


def _times(first: Any, dialect: str) -> str:
    """As ``kspan.vocabulary.count_occurrences``: repeats can be fewer than the count of the Event, but not more."""
    received = f"1 + {_without_finalizers(first._repeats(first._SYNTAX[dialect]), dialect)}"  # noqa: SLF001
    if dialect == "sqlite":
        newest = "SELECT max(json_extract(e.value, '$.attributes.\"k8s.event.count\"')) FROM json_each(s.events) e"
        return f"max({received}, coalesce(({newest}) - s.event_count + 1, 1))"
    newest = "SELECT max((e -> 'attributes' ->> 'k8s.event.count')::bigint) FROM jsonb_array_elements(s.events) e"
    return f"greatest({received}, coalesce(({newest}) - s.event_count + 1, 1))"


def _without_finalizers(repeats: str, dialect: str) -> str:
    """Without the span events that say when a finalizer was removed."""
    lacks = {
        "sqlite": "json_type(e.value, '$.attributes.\"{}\"') IS NULL",
        "postgresql": "e -> 'attributes' -> '{}' IS NULL",
    }[dialect]
    condition = lacks.format("kspan.condition.type")
    assert condition in repeats
    return repeats.replace(condition, f"{condition} AND {lacks.format('kspan.deletion.finalizer')}")
