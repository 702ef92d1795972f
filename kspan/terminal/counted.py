"""Numbers with their nouns. Pure."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 span``, ``2 spans``. ``plural`` is for nouns that get more than an s."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"
