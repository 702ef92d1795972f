"""Rules for Events about another object: the built-in TOML file, its loader, and matching. Pure."""
