"""Transactions that are ended on a thread of their own."""

import threading

import pytest

from kspan.store.async_commit import Behind


def test_what_went_wrong_is_raised_once_by_whoever_waits() -> None:
    behind = Behind()

    def fail() -> None:
        raise OSError("disk full")

    behind.end(fail)
    with pytest.raises(OSError, match="disk full"):
        behind.settle()
    behind.settle()
    behind.close()


def test_who_wrote_goes_on_and_who_settles_waits() -> None:
    behind, go, ended = Behind(), threading.Event(), list[str]()

    def commit() -> None:
        go.wait(10)
        ended.append(threading.current_thread().name)

    behind.end(commit)
    assert ended == []
    go.set()
    behind.settle()
    assert ended == ["commit"]
    behind.close()
    behind.close()


def test_a_database_that_hangs_does_not_hold_up_the_end() -> None:
    behind, go = Behind(), threading.Event()

    def commit() -> None:
        go.wait(30)

    behind.end(commit)
    behind.close(patience=0.01)
    behind.close(patience=0.01)
    go.set()


def test_nothing_to_settle_waits_for_nothing() -> None:
    behind, before = Behind(), threading.active_count()
    behind.settle()
    assert threading.active_count() <= before
    behind.close()
