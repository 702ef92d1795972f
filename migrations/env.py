"""Runs migrations on the connection that kspan passes, or on `-x db=URL` for developers."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection

from kspan.store.engine import make_engine, transaction
from kspan.store.location import locate
from kspan.store.schema.column_types import Json, Payload, Word
from kspan.store.schema.tables import metadata


def render(kind: str, item: Any, _autogenerate: Any) -> str | Literal[False]:
    """Render our column types as plain ones, because a released migration must not depend on code that changes."""
    if kind != "type" or not isinstance(item, Json | Payload | Word):
        return False
    if isinstance(item, Word):
        return "sa.Text()"
    plain, other = ("LargeBinary", "JSON") if isinstance(item, Payload) else ("Text", "JSONB")
    return f'sa.{plain}().with_variant(sa.dialects.postgresql.{other}(), "postgresql")'


def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave out partitions, which are created and dropped at run time."""
    return kind != "table" or not str(name).startswith("journal_")


def run(connection: Connection) -> None:
    # transactional_ddl: our connections run BEGIN explicitly, so SQLite can roll back a migration too.
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_item=render,
        include_name=is_ours,
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if isinstance(given, Connection):
    run(given)
else:
    location = locate(context.get_x_argument(as_dictionary=True)["db"])
    with transaction(make_engine(location, read_only=False), writing=True) as own:
        run(own)
