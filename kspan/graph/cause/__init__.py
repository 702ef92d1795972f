"""Occurrence to cause: chooses which occurrence explains another, and decides when. Pure."""
