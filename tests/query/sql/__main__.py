"""``make docs``: writes the schema into ``docs/sql.md``."""

from tests.query.sql.document import DOCUMENT, with_schema

DOCUMENT.write_text(with_schema(DOCUMENT.read_text()))
