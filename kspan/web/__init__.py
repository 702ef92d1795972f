"""The HTTP server: answers GET requests from a table of routes."""
