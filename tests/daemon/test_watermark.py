"""When event time advances, and when it is held back."""

from kspan.daemon.watermark import BRIEF, LONG, Watermark
from kspan.times import SECOND

HOLD = 5 * SECOND
NOW = 1_000 * SECOND


def passing() -> Watermark:
    watermark = Watermark(HOLD)
    for resource in ("v1/pods", "v1/events"):
        watermark.connected(resource, NOW)
    watermark.synced(NOW - HOLD)
    assert not watermark.is_held_back(NOW)
    return watermark


def test_event_time_is_held_back_until_hold_after_all_resources_are_listed() -> None:
    watermark = Watermark(HOLD)
    assert watermark.is_held_back(NOW)
    watermark.synced(NOW)
    assert watermark.is_held_back(NOW + HOLD - 1)
    assert not watermark.is_held_back(NOW + HOLD)


def test_records_received_while_event_time_is_held_back_prolong_it() -> None:
    watermark = Watermark(HOLD)
    watermark.synced(NOW)
    watermark.received(NOW + HOLD - 1)
    assert watermark.is_held_back(NOW + HOLD)
    assert watermark.is_held_back(NOW + 2 * HOLD - 2)
    assert not watermark.is_held_back(NOW + 2 * HOLD - 1)


def test_a_busy_cluster_cannot_hold_event_time_back_indefinitely() -> None:
    watermark = Watermark(HOLD)
    watermark.synced(NOW)
    until = NOW
    while watermark.is_held_back(until):
        until += SECOND
        watermark.received(until)
    assert until == NOW + 3 * HOLD
    watermark.received(until + SECOND)
    assert not watermark.is_held_back(until + SECOND)


def test_a_watch_that_is_renewed_at_once_does_not_hold_event_time_back() -> None:
    watermark = passing()
    watermark.disconnected("v1/pods", NOW)
    assert not watermark.is_held_back(NOW + BRIEF)
    watermark.connected("v1/pods", NOW + BRIEF)
    assert not watermark.is_held_back(NOW + BRIEF + 1)


def test_event_time_is_held_back_while_a_watch_is_disconnected_and_for_hold_after() -> None:
    watermark = passing()
    watermark.disconnected("v1/pods", NOW)
    back = NOW + 20 * SECOND
    assert watermark.is_held_back(back)
    watermark.connected("v1/pods", back)
    assert watermark.is_held_back(back + HOLD - 1)
    assert not watermark.is_held_back(back + HOLD)


def test_one_watch_that_stays_disconnected_does_not_hold_event_time_back_indefinitely() -> None:
    watermark = passing()
    watermark.disconnected("v1/pods", NOW)
    assert watermark.is_held_back(NOW + LONG)
    assert not watermark.is_held_back(NOW + LONG + 1)


def test_event_time_is_held_back_while_all_watches_are_disconnected() -> None:
    watermark = passing()
    watermark.disconnected("v1/pods", NOW)
    watermark.disconnected("v1/events", NOW)
    back = NOW + 3_600 * SECOND
    assert watermark.is_held_back(back)
    watermark.connected("v1/pods", back)
    assert watermark.is_held_back(back + HOLD - 1)
    assert not watermark.is_held_back(back + HOLD)


def test_a_resource_that_cannot_be_watched_is_not_waited_for() -> None:
    watermark = passing()
    watermark.disconnected("v1/pods", NOW)
    watermark.removed("v1/pods")
    assert not watermark.is_held_back(NOW + 10 * SECOND)


def test_event_time_is_held_back_after_an_outage_of_the_database() -> None:
    watermark = passing()
    watermark.database_recovered(NOW)
    assert watermark.is_held_back(NOW + HOLD - 1)
    assert not watermark.is_held_back(NOW + HOLD)


def test_a_doubt_holds_event_time_back_at_once_and_for_hold_after_the_confirmation() -> None:
    watermark = passing()
    watermark.doubted("v1/events", NOW)
    assert watermark.is_held_back(NOW)
    watermark.connected("v1/events", NOW + 1)
    assert watermark.is_held_back(NOW + HOLD)
    assert not watermark.is_held_back(NOW + HOLD + 1)


def test_a_doubt_that_becomes_a_disconnect_holds_event_time_back_no_longer_than_either() -> None:
    watermark = passing()
    watermark.doubted("v1/events", NOW)
    watermark.disconnected("v1/events", NOW + LONG - SECOND)
    assert watermark.is_held_back(NOW + LONG)
    assert not watermark.is_held_back(NOW + LONG + 1)


def test_a_confirmation_after_event_time_was_released_does_not_hold_it_back_again() -> None:
    watermark = passing()
    watermark.doubted("v1/events", NOW)
    watermark.connected("v1/events", NOW + LONG + 1)
    assert not watermark.is_held_back(NOW + LONG + 1)


def test_event_time_is_held_back_while_all_watches_are_in_doubt() -> None:
    watermark = passing()
    for resource in ("v1/pods", "v1/events"):
        watermark.doubted(resource, NOW)
    assert watermark.is_held_back(NOW + 3_600 * SECOND)


def test_a_doubt_about_a_watch_that_is_removed_is_over() -> None:
    watermark = passing()
    watermark.doubted("v1/pods", NOW)
    watermark.removed("v1/pods")
    assert not watermark.is_held_back(NOW)


def test_a_brief_disconnect_after_a_doubt_is_ignored_again() -> None:
    watermark = passing()
    watermark.doubted("v1/pods", NOW)
    watermark.connected("v1/pods", NOW)
    watermark.disconnected("v1/pods", NOW + 2 * HOLD)
    assert not watermark.is_held_back(NOW + 2 * HOLD + BRIEF)
