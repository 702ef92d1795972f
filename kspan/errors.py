"""Everything that kspan raises on purpose: callers catch our words, never a library's.

Each message is one line that says what is wrong and, where there is something to do about it, what to do.
"""


class KspanError(Exception):
    """Base of all errors that end a command with exit code 2 and one line on standard error."""


class InputError(KspanError):
    """A recording or another input cannot be read, or a part of it makes no sense.

    ``source`` is the file's name as the user gave it, ``line`` counts from 1 (0: the file as a whole).
    """

    def __init__(self, source: str, line: int, problem: str) -> None:
        self.source = source
        self.line = line
        self.problem = problem
        where = f"{source}:{line}" if line else source
        super().__init__(f"{where}: {problem}")


class StoreError(KspanError):
    """The database cannot be opened, is not ours, is newer than this program, or failed while in use."""


class FencedError(KspanError):
    """Another process has become the one who writes to the cluster. No StoreError: nothing can be tried again."""


class RulesError(KspanError):
    """A rules file is not valid; the message names the file, the entry and the reason."""


class SettingsError(KspanError):
    """A setting (flag, environment variable, configuration file) has a value that cannot be used."""


class QueryError(KspanError):
    """A question that has no answer: no such object or trace, a name that means several, a time that is none."""


class ExportError(KspanError):
    """An exporter cannot be set up, or did not take what it was given."""
