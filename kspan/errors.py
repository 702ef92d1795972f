"""Exceptions raised by kspan. Exceptions of libraries are translated into these at the boundary.

Each message is one line: what is wrong, where, and what to do about it.
"""


class KspanError(Exception):
    """Base class. Ends a command with exit code 2 and one line on standard error."""


class InputError(KspanError):
    """A recording or other input cannot be read, or a part of it is invalid.

    Args:
        source: name of the file, as the user gave it.
        line: number of the line, from 1 (0: the whole file).
        problem: what is wrong.
    """

    def __init__(self, source: str, line: int, problem: str) -> None:
        self.source = source
        self.line = line
        self.problem = problem
        where = f"{source}:{line}" if line else source
        super().__init__(f"{where}: {problem}")


class NotKubernetesError(InputError):
    """An input, or a part of it, holds no Kubernetes objects. In a folder such files are passed over."""


class StoreError(KspanError):
    """The database cannot be opened or belongs to another program or version, or an operation on it failed."""


class FencedError(KspanError):
    """Another process has taken over as writer for this cluster. Not a StoreError: retrying cannot help."""


class RulesError(KspanError):
    """A rules file is invalid. The message names the file, the line and the reason."""


class SettingsError(KspanError):
    """A setting (flag, environment variable or settings file) has an invalid value."""


class QueryError(KspanError):
    """The query cannot be answered: unknown object or trace, ambiguous name, or invalid time."""


class OutputError(KspanError, OSError):
    """Standard output cannot be written: the disk is full, or it is closed. Also an OSError, as libraries expect."""


class ExportError(KspanError):
    """An exporter cannot be set up, or traces were not accepted."""
