"""The query APIs of Jaeger, for Jaeger UI (``/api/v3``, ``/api/traces/{id}``) and Grafana's data source (``/api``)."""
