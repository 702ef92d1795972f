"""The interactive shell of ``kspan sql``: prompt and completion."""
