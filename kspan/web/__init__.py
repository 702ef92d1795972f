"""The HTTP server: health and metrics, and the query APIs of Jaeger over the history."""
