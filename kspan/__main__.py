"""``python -m kspan``."""

from kspan.cli import main

main()
