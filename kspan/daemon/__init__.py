"""``kspan run``: the writer, the exports, the schedule and the HTTP server, supervised."""
