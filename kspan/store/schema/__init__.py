"""Tables, column types, views and migrations."""
