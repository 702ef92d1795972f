"""A cluster is chosen by uid or name, and what is not clear is an error that says what to do."""

import pytest

from kspan.errors import QueryError
from kspan.query.fleet.choose import AmbiguousClusterError, UnknownClusterError, choose, labels, listed
from kspan.store.results import NamedCluster

PROD, STAGE, BARE = NamedCluster("u1", "prod"), NamedCluster("u2", "stage"), NamedCluster("u3")
TWIN = NamedCluster("u4", "prod")


@pytest.mark.parametrize("wanted, uid", [("prod", "u1"), ("stage", "u2"), ("u3", "u3"), ("u1", "u1")])
def test_a_name_or_uid_chooses_its_cluster(wanted: str, uid: str) -> None:
    assert choose([PROD, STAGE, BARE], wanted, "--cluster") == uid


def test_without_a_name_the_only_cluster_is_chosen_and_of_several_none() -> None:
    assert choose([PROD], "", "--cluster") == "u1"
    with pytest.raises(AmbiguousClusterError) as error:
        choose([PROD, BARE], "", "--cluster")
    assert str(error.value) == "several clusters: choose one with --cluster: prod (u1), u3"


def test_a_name_of_two_clusters_is_an_error_that_lists_their_uids() -> None:
    with pytest.raises(AmbiguousClusterError) as error:
        choose([PROD, STAGE, TWIN], "prod", "--cluster")
    assert str(error.value) == ("several clusters have the name 'prod': choose one by its uid with --cluster: u1, u4")


def test_an_unknown_name_lists_what_there_is_unless_that_is_private() -> None:
    with pytest.raises(UnknownClusterError) as error:
        choose([PROD, BARE], "nope", "--cluster")
    assert str(error.value) == "unknown cluster 'nope'; the database has prod (u1), u3"
    with pytest.raises(UnknownClusterError) as error:
        choose([PROD, BARE], "nope", "--cluster", private=True)
    assert str(error.value) == "unknown cluster 'nope'"


def test_a_uid_is_preferred_to_the_same_name_of_another_cluster() -> None:
    impostor = NamedCluster("u5", "u1")
    assert choose([PROD, impostor], "u1", "--cluster") == "u1"
    assert labels([PROD, impostor]) == {"u1": "prod", "u5": "u5"}, "and each label means its cluster"


def test_a_label_is_the_name_or_else_the_uid_and_always_means_its_cluster() -> None:
    clusters = [PROD, STAGE, BARE, TWIN]
    assert labels(clusters) == {"u1": "u1", "u2": "stage", "u3": "u3", "u4": "u4"}
    assert all(choose(clusters, label, "--cluster") == uid for uid, label in labels(clusters).items())


def test_hostile_and_many_names_are_one_short_line() -> None:
    hostile = [NamedCluster(f"u{n}", f"\x1b[31m{'x' * 300}\n{n}") for n in range(100)]
    for text in (listed(hostile), _error(hostile, "\x1b[31m\n" + "y" * 10_000)):
        assert text.isprintable()
        assert len(text) < 3_000
        assert text.endswith("and 80 more")


def _error(clusters: list[NamedCluster], wanted: str) -> str:
    with pytest.raises(QueryError) as error:
        choose(clusters, wanted, "--cluster")
    return str(error.value)
