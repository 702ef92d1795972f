"""Prints results: tables, JSON, CSV, Parquet, traces, and the answer of ``kspan why``."""
