"""``kspan sql``: runs read-only statements on SQLite and PostgreSQL, and describes the tables."""
