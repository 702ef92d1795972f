"""Finding objects by kind and name."""
