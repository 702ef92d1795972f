"""The declared tables, their column types and views, and migrations."""
