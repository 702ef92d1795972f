"""Finds objects by kind and name."""
