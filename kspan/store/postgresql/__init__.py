"""Parts for PostgreSQL only: partitions, COPY, leadership, text escapes."""
