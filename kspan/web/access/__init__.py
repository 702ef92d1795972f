"""Access to the web server: tokens, reviews by the API server, sessions of browsers, visible namespaces."""
