"""Who may ask, and about which namespaces: tokens, reviews by the API server, sessions of browsers."""
