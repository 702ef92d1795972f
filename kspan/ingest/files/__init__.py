"""Recordings, kubectl output, Go kspan captures and other files as frames."""
