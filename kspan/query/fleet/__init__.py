"""Several clusters in one database: which one is meant, and lists of all of them."""
