"""How far Events were followed is the same whether an index was kept or made again from what is left."""

from hypothesis import given
from hypothesis import strategies as st

from kspan.graph.state.event_tracks import TRACKED_EVENTS, EventTracks
from kspan.graph.state.records import EventTrack, ObjectState, Occurrence, Place, Repeat

EVENTS = ("event-a", "event-b")


def occurrence(arrival: int, event: str) -> Occurrence:
    return Occurrence(
        id=f"span-{arrival}",
        uid="pod",
        kind="Pod",
        namespace="shop",
        name="web",
        reason="BackOff",
        arrival=arrival,
        received=arrival,
        time=arrival,
        latest=arrival,
        reported_uid="pod",
        event_uid=event,
        event_count=arrival,
        message=f"message {arrival}",
    )


def made_again(live: list[Occurrence]) -> EventTracks:
    tracks = EventTracks()
    for occ in sorted(live, key=lambda o: o.arrival):
        tracks.add(occ)
    return tracks


steps = st.lists(
    st.tuples(st.sampled_from(["arrive", "place", "repeat", "close"]), st.integers(0, 99), st.sampled_from(EVENTS)),
    max_size=60,
)


@given(steps)
def test_an_updated_index_equals_a_new_one(given_steps: list[tuple[str, int, str]]) -> None:
    tracks, pod, live = EventTracks(), ObjectState(uid="pod"), dict[str, Occurrence]()
    for arrival, (verb, choice, event) in enumerate(given_steps, 1):
        there = sorted(live.values(), key=lambda o: o.arrival)
        chosen = there[choice % len(there)] if there else None
        if verb == "arrive" or chosen is None:
            live[f"span-{arrival}"] = occurrence(arrival, event)
            tracks.add(live[f"span-{arrival}"])
        elif verb == "place":
            chosen.place = Place("trace")
            tracks.placed(chosen)
        elif verb == "repeat":
            last = tracks.placed_before(chosen)
            if last is not None and last is not chosen and not chosen.place.trace:
                repeat = Repeat(chosen.time, chosen.event_count, chosen.message, chosen.arrival)
                last.repeats = (*last.repeats, repeat)
                tracks.forget(chosen)
                del live[chosen.id]
        elif chosen.place.trace:
            tracks.keep(chosen, pod)
            tracks.forget(chosen)
            del live[chosen.id]
        again = made_again(list(live.values()))
        for one in EVENTS:
            assert tracks.newest(pod, one) == again.newest(pod, one)
            asking = occurrence(10_000, one)
            assert tracks.placed_before(asking) is again.placed_before(asking)
        assert len(tracks) == len(again)


def test_the_newest_occurrence_counts_even_if_it_was_decided_first() -> None:
    tracks, pod = EventTracks(), ObjectState(uid="pod")
    first, second = occurrence(1, "event-a"), occurrence(2, "event-a")
    tracks.add(first)
    tracks.add(second)
    assert tracks.newest(pod, "event-a") == EventTrack(2, "message 2", 2)
    second.place = Place("trace")
    assert tracks.keep(second, pod)
    tracks.forget(second)
    assert tracks.newest(pod, "event-a") == EventTrack(2, "message 2", 2)
    assert not tracks.keep(first, pod)
    tracks.forget(first)
    assert pod.events == {"event-a": EventTrack(2, "message 2", 2)}


def test_an_object_remembers_a_bounded_number_of_events() -> None:
    tracks, pod = EventTracks(), ObjectState(uid="pod")
    for number in range(3 * TRACKED_EVENTS):
        occ = occurrence(number, f"event-{number}")
        tracks.add(occ)
        tracks.keep(occ, pod)
        tracks.forget(occ)
    assert len(pod.events) == TRACKED_EVENTS
    assert not len(tracks)
