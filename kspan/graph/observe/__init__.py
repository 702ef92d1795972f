"""Record to occurrences: what one journal record shows about an object. Pure."""
