"""Times are printed in the zone that the reader wants, and read in the same zone."""

import contextvars
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from kspan.errors import SettingsError
from kspan.query.time_args import parse_moment
from kspan.terminal.screen import clock
from kspan.terminal.zone import set_zone, zone, zone_label
from kspan.times import SECOND, parse_time

WINTER, SUMMER = parse_time("2026-11-22T10:25:05.290Z"), parse_time("2026-07-01T23:30:00Z")


def in_own_context(work: Callable[[], None]) -> None:
    contextvars.copy_context().run(work)


@pytest.mark.parametrize(
    "name, winter, summer, labels",
    [
        ("UTC", "2026-11-22 10:25:05.290", "2026-07-01 23:30:00.000", ("UTC", "UTC")),
        ("utc", "2026-11-22 10:25:05.290", "2026-07-01 23:30:00.000", ("UTC", "UTC")),
        ("Europe/Berlin", "2026-11-22 11:25:05.290", "2026-07-02 01:30:00.000", ("CET", "CEST")),
        ("Asia/Kolkata", "2026-11-22 15:55:05.290", "2026-07-02 05:00:00.000", ("IST", "IST")),
    ],
)
def test_a_zone_has_its_own_clock_and_label(name: str, winter: str, summer: str, labels: tuple[str, str]) -> None:
    def work() -> None:
        set_zone(name)
        assert (clock(WINTER, day=True), clock(SUMMER, day=True)) == (winter, summer)
        assert (zone_label(WINTER), zone_label(SUMMER)) == labels

    in_own_context(work)


@pytest.mark.parametrize("name", ["Mars", "../../etc/passwd", "", "Europe/", "/etc/localtime"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="--time-zone: unknown time zone"):
        in_own_context(lambda: set_zone(name))


@pytest.mark.parametrize("tz, printed", [("America/New_York", "05:25 EST 19:30 EDT"), ("UTC", "10:25 UTC 23:30 UTC")])
def test_local_is_the_zone_of_the_environment_with_its_summer_time(tz: str, printed: str) -> None:
    code = (
        "from kspan.terminal.zone import *; set_zone('local'); "
        f"print(*(f'{{in_zone(t):%H:%M}} {{zone_label(t)}}' for t in ({WINTER}, {SUMMER})))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"TZ": tz}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == printed


def test_a_printed_time_is_read_in_the_same_zone() -> None:
    def work() -> None:
        for name in ("Europe/Berlin", "America/New_York", "UTC"):
            set_zone(name)
            for moment in (WINTER, SUMMER):
                assert parse_moment(clock(moment, day=True), SUMMER, "--at", zone()) == moment
            time_of_day = clock(WINTER)
            assert parse_moment(time_of_day, WINTER + SECOND, "--at", zone()) == WINTER
            assert parse_moment(time_of_day, WINTER + 7200 * SECOND, "--at", zone()) == WINTER

    in_own_context(work)


def test_a_time_with_a_zone_is_read_as_it_says() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for text in ("2026-11-22T10:25:05.290Z", "2026-11-22 12:25:05.290 +02:00", "2026-11-22 10:25:05.29 UTC"):
        assert parse_moment(text, 0, "--at", berlin) == WINTER
    assert parse_moment("2026-11-22", 0, "--at", UTC) == parse_time("2026-11-22T00:00:00Z")
    assert parse_moment("2026-11-22", 0, "--at", berlin) == parse_time("2026-11-21T23:00:00Z")
