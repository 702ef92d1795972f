"""When time passes for what waits, and when it stands still."""

from kspan.daemon.watermark import BRIEF, LONG, Passage
from kspan.times import SECOND

HOLD = 5 * SECOND
NOW = 1_000 * SECOND


def passing() -> Passage:
    passage = Passage(HOLD)
    for resource in ("v1/pods", "v1/events"):
        passage.connected(resource, NOW)
    passage.synced(NOW - HOLD)
    assert not passage.stands_still(NOW)
    return passage


def test_it_stands_still_until_a_while_after_every_stream_is_there() -> None:
    passage = Passage(HOLD)
    assert passage.stands_still(NOW)
    passage.synced(NOW)
    assert passage.stands_still(NOW + HOLD - 1)
    assert not passage.stands_still(NOW + HOLD)


def test_what_comes_at_the_end_of_a_standstill_is_given_its_time_too() -> None:
    passage = Passage(HOLD)
    passage.synced(NOW)
    passage.news(NOW + HOLD - 1)
    assert passage.stands_still(NOW + HOLD)
    assert passage.stands_still(NOW + 2 * HOLD - 2)
    assert not passage.stands_still(NOW + 2 * HOLD - 1)


def test_news_without_end_does_not_stop_it_for_ever() -> None:
    passage = Passage(HOLD)
    passage.synced(NOW)
    until = NOW
    while passage.stands_still(until):
        until += SECOND
        passage.news(until)
    assert until == NOW + 3 * HOLD
    passage.news(until + SECOND)
    assert not passage.stands_still(until + SECOND)


def test_a_watch_that_is_renewed_at_once_does_not_stop_it() -> None:
    passage = passing()
    passage.cut("v1/pods", NOW)
    assert not passage.stands_still(NOW + BRIEF)
    passage.connected("v1/pods", NOW + BRIEF)
    assert not passage.stands_still(NOW + BRIEF + 1)


def test_it_stands_still_while_a_watch_is_cut_off_and_until_what_was_missed_has_come() -> None:
    passage = passing()
    passage.cut("v1/pods", NOW)
    back = NOW + 20 * SECOND
    assert passage.stands_still(back)
    passage.connected("v1/pods", back)
    assert passage.stands_still(back + HOLD - 1)
    assert not passage.stands_still(back + HOLD)


def test_one_watch_that_stays_away_does_not_stop_it_for_good() -> None:
    passage = passing()
    passage.cut("v1/pods", NOW)
    assert passage.stands_still(NOW + LONG)
    assert not passage.stands_still(NOW + LONG + 1)


def test_it_stands_still_for_as_long_as_every_watch_is_cut_off() -> None:
    passage = passing()
    passage.cut("v1/pods", NOW)
    passage.cut("v1/events", NOW)
    back = NOW + 3_600 * SECOND
    assert passage.stands_still(back)
    passage.connected("v1/pods", back)
    assert passage.stands_still(back + HOLD - 1)
    assert not passage.stands_still(back + HOLD)


def test_what_cannot_be_watched_is_not_waited_for() -> None:
    passage = passing()
    passage.cut("v1/pods", NOW)
    passage.gone("v1/pods")
    assert not passage.stands_still(NOW + 10 * SECOND)


def test_it_stands_still_after_an_outage_of_the_database() -> None:
    passage = passing()
    passage.mended(NOW)
    assert passage.stands_still(NOW + HOLD - 1)
    assert not passage.stands_still(NOW + HOLD)
