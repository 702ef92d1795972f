"""Reads a file with a token."""

from pathlib import Path
from typing import Final

from kspan.errors import SettingsError
from kspan.paths import why_unusable

LONGEST: Final = 8 * 1024
"""Bytes of a token. Those of Kubernetes have about 1,000."""


def read_token(path: Path, where: str, *, shortest: int, wrong: str) -> str:
    """Return the token in a file. Raises SettingsError.

    Args:
        path: the file. Blanks around the token do not count.
        where: how the error begins: the option and the file.
        shortest: number of characters that it has at least.
        wrong: what the error says of something else than a token.
    """
    try:
        with path.open("rb") as file:
            token = file.read(LONGEST + 1).decode("ascii").strip()
    except OSError as error:
        raise SettingsError(f"{where}: {why_unusable(error)}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{where}: the token has to be ASCII") from error
    if not shortest <= len(token) <= LONGEST or not token.isprintable() or " " in token:
        raise SettingsError(f"{where}: {wrong}")
    return token
