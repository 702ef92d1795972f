"""``kspan run``: the writer, the export jobs and the scheduler of one cluster, and their supervisor."""
