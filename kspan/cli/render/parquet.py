"""Writes rows as a Parquet file, with pyarrow (the extra ``parquet``)."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any, Final, TextIO

from kspan.cli.render.values import Row, to_text
from kspan.errors import SettingsError
from kspan.query.sql.result import sized_head

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP: Final = 20_000
"""Rows of a row group. One group is held in memory; the first one determines the types of the columns."""

_GROUP_BYTES: Final = 32 * 1024 * 1024


def check_parquet(out: TextIO) -> None:
    """Raise SettingsError if pyarrow is not installed or ``out`` is a terminal."""
    try:
        import pyarrow as pa  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            "--output parquet needs pyarrow: install kspan with the extra 'parquet' (pip install '.[parquet]')"
        ) from error
    if out.isatty():
        raise SettingsError("Parquet cannot be printed on a terminal: redirect it, as in -o parquet > rows.parquet")


def write_parquet(names: Sequence[str], rows: Iterable[Row], out: IO[bytes]) -> None:
    """Write rows, one row group at a time.

    The first group determines the types of the columns; a column that is NULL in all of it becomes text. Raises
    SettingsError if a later value does not fit its column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = iter(rows)
    first = sized_head(source, _GROUP, _GROUP_BYTES)
    schema = _schema(names, first)
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        group = first
        while group:
            arrays = [_array(field, [row[i] for row in group]) for i, field in enumerate(schema)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            group = sized_head(source, _GROUP, _GROUP_BYTES)


def _schema(names: Sequence[str], rows: Sequence[Row]) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([(name, _type([row[i] for row in rows])) for i, name in enumerate(names)])


def _type(values: Sequence[Any]) -> "pa.DataType":
    import pyarrow as pa

    try:
        kind = pa.array(map(_plain, values)).type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.string()
    return pa.string() if pa.types.is_null(kind) else kind


def _array(field: "pa.Field", values: Sequence[Any]) -> "pa.Array":
    import pyarrow as pa

    if pa.types.is_string(field.type):
        return pa.array([None if value is None else to_text(value) for value in values], field.type)
    try:
        return pa.array(map(_plain, values), field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SettingsError(
            f"column {field.name!r} has values of several types (first: {field.type}): CAST it in the statement"
        ) from error


def _plain(value: Any) -> Any:
    """Convert NUMERIC to float and JSON to text, for readers of Parquet that lack these types."""
    if isinstance(value, Decimal):
        return float(value)
    return to_text(value) if isinstance(value, dict | list | tuple) else value
