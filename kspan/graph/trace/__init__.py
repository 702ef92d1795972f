"""Placing decided occurrences into traces, and closing traces. Pure."""
