"""The command line as users see it: commands, arguments, options and help texts.

These modules import nothing heavy, so that ``kspan --help`` is fast. Each command imports its implementation from
``kspan.cli.commands`` when it runs.
"""
