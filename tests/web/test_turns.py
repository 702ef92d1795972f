"""A few questions are answered at once, a few more wait for their turn, and the others are refused."""

import asyncio
import threading

import pytest

from kspan.web.history import BusyError, Turns
from tests.limits import HANG_S


def test_a_question_waits_for_its_turn_and_one_too_many_is_refused() -> None:
    turns, go_on = Turns(1, 1), threading.Event()
    began: list[str] = []

    def ask(name: str) -> str:
        began.append(name)
        assert go_on.wait(HANG_S)
        return name

    async def three() -> list[str]:
        first = asyncio.create_task(turns.run(ask, "first"))
        second = asyncio.create_task(turns.run(ask, "second"))
        while not began:
            await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await turns.run(ask, "third")
        assert began == ["first"]
        go_on.set()
        return [await first, await second, await turns.run(ask, "again")]

    assert asyncio.run(three()) == ["first", "second", "again"]


def test_an_error_gives_the_turn_back() -> None:
    turns = Turns(1, 0)

    def fail() -> None:
        raise ValueError("wrong")

    async def twice() -> None:
        for _ in range(2):
            with pytest.raises(ValueError, match="wrong"):
                await turns.run(fail)

    asyncio.run(twice())
