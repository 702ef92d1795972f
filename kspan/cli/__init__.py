"""The command line. Commands import their libraries when they run, so that ``--help`` is fast."""

import sys


def main(*, kubectl: bool = False) -> None:
    """Run ``kspan``. Exit code: 0 success, 1 a check failed (``db verify``), 2 an error, 130 interrupted."""
    from kspan.terminal.stdout import guard_standard_streams

    guard_standard_streams()
    code = _run(kubectl=kubectl)
    sys.exit(_flush(code))


def kubectl_main() -> None:
    """Run ``kubectl kspan``: the same commands, which ask the daemon in the cluster by default."""
    main(kubectl=True)


def kubectl_complete() -> None:
    """Print what kubectl offers for the last argument of ``kubectl kspan``."""
    from kspan.cli.app import program
    from kspan.cli.completion import complete_for_kubectl
    from kspan.cli.remote_option import KUBECTL

    complete_for_kubectl(
        sys.argv[1:], lambda: program()(prog_name="kspan", complete_var="_KSPAN_COMPLETE", obj=KUBECTL)
    )


def _run(*, kubectl: bool = False) -> int:
    from kspan.errors import KspanError
    from kspan.paths import why_unusable
    from kspan.terminal.stdout import silence_stdout

    try:
        from kspan.cli.app import program
        from kspan.cli.remote_option import KUBECTL

        if kubectl:
            program()(prog_name="kubectl kspan", obj=KUBECTL)
        else:
            program()(prog_name="kspan")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BrokenPipeError:
        # The reader of the pipe (head, less) has exited.
        silence_stdout()
    except KspanError as error:
        return _report(error)
    except OSError as error:
        # Something that no command expects, such as a working directory that was deleted.
        where = f"{error.filename}: " if error.filename else ""
        return _report(Exception(f"{where}{why_unusable(error)}"))
    except KeyboardInterrupt:
        # Before a command started; within a command Typer exits with the same code.
        return 130
    return 0


def _flush(code: int) -> int:
    """Write the rest of the output. Return the exit code: ``code``, or that of an error, if it is the first one."""
    from kspan.errors import OutputError
    from kspan.terminal.stdout import silence_stdout

    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
    except OutputError as error:
        if code == 0:
            return _report(error)
        silence_stdout()
    return code


def _report(error: Exception) -> int:
    """Print an error in one line, and its notes."""
    from kspan.errors import OutputError
    from kspan.terminal.stdout import silence_stdout
    from kspan.terminal.text import harmless

    if isinstance(error, OutputError):
        silence_stdout()
    # The message may contain names and messages from the cluster.
    print(f"kspan: error: {harmless(str(error))}", file=sys.stderr)
    for note in getattr(error, "__notes__", ()):
        print(f"kspan: {note}", file=sys.stderr)
    return 2
