"""Questions about rules: which Events no rule matched, and templates for new rules."""
