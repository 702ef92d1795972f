"""Terminal output of all commands: lines, trees, and text that is safe to print."""
