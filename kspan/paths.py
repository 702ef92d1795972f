"""Paths that users give, and what is wrong with them, in the same words everywhere."""

import os
from pathlib import Path
from typing import Final

STDOUT: Final = Path("/dev/stdout")
"""Standard output as a file, for what writes to a path."""


def expanded(path: str | Path) -> Path:
    """Return the path with ``~`` expanded. It stays as it is for a user without a home directory."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises RuntimeError for such a user


def why_unusable(error: OSError | ValueError) -> str:
    """Return why a file cannot be read or written, to follow the name of the file and a colon."""
    match error:
        case FileNotFoundError():
            return "no such file"
        case IsADirectoryError():
            return "is a directory"
        case PermissionError():
            return "permission denied"
        case OSError(strerror=str(text)):
            return text[:1].lower() + text[1:]
        case _:
            return str(error)


def why_unwritable(path: str | Path, error: OSError) -> str:
    """Return why a file cannot be written. A missing one can be created, if its directory exists."""
    if isinstance(error, FileNotFoundError):
        return f"the directory {Path(path).parent} does not exist"
    return why_unusable(error)


def check_writable(path: Path) -> str:
    """Return why a file cannot be written, as far as this is known before writing; empty if it can."""
    try:
        if not path.parent.is_dir():
            return f"the directory {path.parent} does not exist"
        if path.is_dir():
            return "is a directory"
        written = path if path.exists() else path.parent
    except OSError as error:
        return why_unusable(error)
    return "" if os.access(written, os.W_OK, effective_ids=True) else f"no permission to write to {written}"


def is_missing(path: Path) -> bool:
    """Return whether a file is missing. False if that cannot be known: using the file reports the reason."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def exists(path: Path) -> bool:
    """Return whether a file exists. False also if that cannot be known."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises PermissionError
