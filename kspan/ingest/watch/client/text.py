"""Texts of errors for messages. Pure."""


def one_line(error: object, limit: int = 300) -> str:
    """Return the text of an error in one line of at most ``limit`` characters."""
    return " ".join(str(error).split())[:limit] or type(error).__name__
