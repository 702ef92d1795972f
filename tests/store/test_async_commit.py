"""Commits on a thread of their own."""

import threading

import pytest

from kspan.store.async_commit import AsyncCommit
from tests.limits import HANG_S


def test_the_error_of_a_commit_is_raised_once_to_the_thread_that_waits() -> None:
    commits = AsyncCommit()

    def fail() -> None:
        raise OSError("disk full")

    commits.start(fail)
    with pytest.raises(OSError, match="disk full"):
        commits.wait()
    commits.wait()
    commits.close()


def test_start_returns_before_the_commit_ends_and_wait_after_it() -> None:
    commits, go, ended = AsyncCommit(), threading.Event(), list[str]()

    def commit() -> None:
        go.wait(HANG_S)
        ended.append(threading.current_thread().name)

    commits.start(commit)
    assert ended == []
    go.set()
    commits.wait()
    assert ended == ["commit"]
    commits.close()
    commits.close()


def test_close_does_not_wait_for_a_database_that_hangs() -> None:
    commits, go = AsyncCommit(), threading.Event()

    def commit() -> None:
        go.wait(HANG_S)

    commits.start(commit)
    commits.close(timeout_s=0.01)
    commits.close(timeout_s=0.01)
    go.set()


def test_wait_returns_at_once_without_a_commit() -> None:
    commits, before = AsyncCommit(), threading.active_count()
    commits.wait()
    assert threading.active_count() <= before
    commits.close()
