"""What the status of a Pod shows of its containers' runs."""

import json
from typing import Any

import pytest

from kspan.k8s.containers import (
    MESSAGE_LIMIT,
    Ended,
    ImageFacts,
    ImageName,
    Restarted,
    container_runs,
    image_facts,
    image_name,
    sentence,
)
from kspan.k8s.objects import decode_status
from kspan.times import MILLISECOND


def runs(**lists: Any) -> list[Ended | Restarted]:
    return container_runs(decode_status(json.dumps(lists).encode()))


def ended(exit_code: int, reason: str = "Error", **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": exit_code, "reason": reason, **more}}


def web(count: int, state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": "web", "restartCount": count, "state": state, "lastState": last or {}}


def numbers(status: dict[str, Any]) -> list[tuple[str, int]]:
    return [(type(run).__name__, run.number) for run in runs(containerStatuses=[status])]


@pytest.mark.parametrize(
    "status, expected",
    [
        (web(0, {"running": {}}), []),
        (web(0, ended(1)), [("Ended", 0)]),
        (web(1, {"running": {}}, ended(1)), [("Ended", 0), ("Restarted", 1)]),
        (web(2, {"waiting": {"reason": "CrashLoopBackOff"}}, ended(1)), [("Ended", 2)]),
        (web(2, ended(1, startedAt="2026-11-27T10:00:00Z"), ended(1)), [("Ended", 1), ("Restarted", 2), ("Ended", 2)]),
        (web(2, ended(1), ended(1)), [("Ended", 1), ("Ended", 2)]),
    ],
    ids=["runs", "ended", "restarted", "waits", "ended again", "ended, not known to have begun"],
)
def test_a_run_has_the_number_of_restarts_before_it(status: dict[str, Any], expected: list[tuple[str, int]]) -> None:
    assert numbers(status) == expected


def test_containers_of_all_three_lists_have_the_path_of_events() -> None:
    found = runs(
        initContainerStatuses=[web(0, ended(0))],
        containerStatuses=[web(0, ended(0))],
        ephemeralContainerStatuses=[web(0, ended(0))],
    )
    assert [run.field_path for run in found] == [
        "spec.initContainers{web}",
        "spec.containers{web}",
        "spec.ephemeralContainers{web}",
    ]


@pytest.mark.parametrize("code, stated, signal", [(137, 0, 9), (143, 0, 15), (1, 0, 0), (255, 0, 0), (0, 6, 6)])
def test_the_signal_is_stated_or_follows_from_the_exit_code(code: int, stated: int, signal: int) -> None:
    (run,) = runs(containerStatuses=[web(0, ended(code, signal=stated))])
    assert isinstance(run, Ended)
    assert (run.exit_code, run.signal) == (code, signal)


def test_the_end_of_a_long_message_is_kept() -> None:
    (run,) = runs(containerStatuses=[web(0, ended(1, message="x" * 4000 + "panic: out of cheese\n"))])
    assert isinstance(run, Ended)
    assert len(run.message) == MESSAGE_LIMIT
    assert run.message.endswith("xpanic: out of cheese")


@pytest.mark.parametrize(
    "status", [b"", b"[]", b'{"terminated"', b'{"containerStatuses": [{"state": {"terminated": 1}}]}']
)
def test_a_status_that_does_not_match_the_schema_shows_nothing(status: bytes) -> None:
    assert container_runs(decode_status(status)) == []


@pytest.mark.parametrize(
    "status, text",
    [
        (web(4, ended(137, "OOMKilled")), "container web was OOMKilled (137), restart 4"),
        (web(0, ended(0, "Completed")), "container web completed (0)"),
        (web(0, ended(1, message="no config")), "container web ended with Error (1): no config"),
        (web(0, ended(128, "StartError")), "container web ended with StartError (128)"),
    ],
)
def test_a_sentence_says_how_a_container_ended(status: dict[str, Any], text: str) -> None:
    assert sentence(runs(containerStatuses=[status])[0]) == text


def test_a_sentence_says_that_a_container_was_started_again() -> None:
    again = runs(containerStatuses=[web(1, {"running": {}}, ended(1))])[1]
    assert sentence(again) == "container web was started again, restart 1"


@pytest.mark.parametrize(
    "message, facts",
    [
        ('pulling image "web:v1"', ImageFacts("web:v1")),
        ('Pulling image "web:v1"', ImageFacts("web:v1")),
        ('Successfully pulled image "web:v1"', ImageFacts("web:v1")),
        ('Successfully pulled image "web:v1" in 1.2s', ImageFacts("web:v1", 1_200 * MILLISECOND)),
        (
            'Successfully pulled image "web:v1" in 834.1ms (1m2.5s including waiting)',
            ImageFacts("web:v1", 834_100_000, 62_500 * MILLISECOND),
        ),
        (
            'Successfully pulled image "web:v1" in 1.2µs (3.4s including waiting). Image size: 123 bytes.',
            ImageFacts("web:v1", 1_200, 3_400 * MILLISECOND, 123),
        ),
        ('Container image "web:v1" already present on machine', ImageFacts("web:v1", present=True)),
        (
            'Container image "web:v1" already present on machine and can be accessed by the pod',
            ImageFacts("web:v1", present=True),
        ),
        ('Failed to pull image "web:v9": rpc error: not found', ImageFacts("web:v9")),
        ('Back-off pulling image "web:v9": ErrImagePull', ImageFacts("web:v9")),
        ("Started container web", None),
        ('Error: ErrImagePull "web:v9"', None),
    ],
)
def test_what_a_message_states_about_an_image(message: str, facts: ImageFacts | None) -> None:
    assert image_facts(message) == facts


@pytest.mark.parametrize(
    "image, parts",
    [
        ("web", ("web", "", "")),
        ("web:v1", ("web", "v1", "")),
        ("localhost:5000/shop/web", ("localhost:5000/shop/web", "", "")),
        ("localhost:5000/shop/web:v1@sha256:0a", ("localhost:5000/shop/web", "v1", "sha256:0a")),
        ("web@sha256:0a", ("web", "", "sha256:0a")),
    ],
)
def test_the_name_of_an_image_has_parts(image: str, parts: tuple[str, str, str]) -> None:
    assert image_name(image) == ImageName(*parts)
