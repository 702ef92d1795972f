"""Readers of recordings, kubectl output, Go kspan captures and YAML or JSON documents."""
