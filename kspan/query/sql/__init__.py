"""``kspan sql``: read-only statements on SQLite and PostgreSQL, and the tables they can use."""
