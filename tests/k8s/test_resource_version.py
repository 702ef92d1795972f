"""resourceVersions as numbers."""

import pytest

from kspan.k8s.resource_version import EPOCH_STEP, version_number


@pytest.mark.parametrize(
    "text, expected",
    [
        ("1", 1),
        ("0", 0),
        (str(10**18 - 1), 10**18 - 1),
        (str(10**18), 0),  # more digits than etcd's counter can have
        ("", 0),
        ("-1", 0),
        ("1.5", 0),
        ("abc", 0),
        ("²", 0),
    ],
)
def test_only_numbers_that_etcd_can_count_to_are_valid(text: str, expected: int) -> None:
    assert version_number(text) == expected


def test_versions_of_a_later_epoch_are_greater() -> None:
    assert version_number("5", 1) > version_number(str(EPOCH_STEP - 1))
    assert version_number("5", 2) > version_number("900", 1) > version_number("900")
    assert version_number("x", 2) == 0
