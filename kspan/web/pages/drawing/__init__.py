"""Drawings of pages, as numbers for SVG."""
