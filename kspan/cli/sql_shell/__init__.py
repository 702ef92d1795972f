"""The interactive prompt of ``kspan sql``, with completion."""
