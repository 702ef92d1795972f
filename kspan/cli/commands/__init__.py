"""The commands: one module for each group of ``kspan`` commands. A command imports what it needs when it runs."""
