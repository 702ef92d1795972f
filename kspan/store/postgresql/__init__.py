"""What only PostgreSQL needs: partitions, COPY, leadership, text escapes."""
