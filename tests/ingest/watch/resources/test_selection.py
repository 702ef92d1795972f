"""Names of resources as kubectl accepts them, and the namespaces that are watched."""

import pytest

from kspan.errors import SettingsError
from kspan.ingest.watch.resources.selection import Selection, WatchName, find, parse_watch
from kspan.k8s.resources import ADDITIONAL, DEFAULT, GRANTED, ServerResource


def resource(group: str, version: str, name: str, kind: str, *words: str, namespaced: bool = True) -> ServerResource:
    every = frozenset({name, kind.lower(), *words})
    return ServerResource(group, version, name, kind, namespaced, watchable=True, words=every)


SERVED = [
    resource("", "v1", "pods", "Pod", "po"),
    resource("", "v1", "events", "Event", "ev"),
    resource("", "v1", "secrets", "Secret"),
    resource("apps", "v1", "deployments", "Deployment", "deploy"),
    resource("events.k8s.io", "v1", "events", "Event", "ev"),
    resource("example.com", "v1", "widgets", "Widget", "wd"),
    resource("other.example.com", "v1", "widgets", "Widget"),
    resource("example.com", "v1", "deployments", "Deployment"),
]


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("pods", WatchName("pods")),
        ("Deploy", WatchName("deploy")),
        ("deployments.apps", WatchName("deployments", "apps")),
        ("deployments.v1.apps", WatchName("deployments", "apps", "v1")),
        ("widgets.example.com", WatchName("widgets", "example.com")),
        ("widgets.v1beta1.example.com", WatchName("widgets", "example.com", "v1beta1")),
        ("v1/pods", WatchName("pods", "", "v1")),
        ("apps/v1/deployments", WatchName("deployments", "apps", "v1")),
    ],
)
def test_names_are_parsed_as_kubectl_parses_them(text: str, wanted: WatchName) -> None:
    assert parse_watch(text) == wanted


@pytest.mark.parametrize("text", ["", "po ds", "a/b", "a/b/c/d", "pods.", "/pods", "p*", "../pods"])
def test_an_invalid_name_is_an_error_that_mentions_the_flag(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^invalid --watch"):
        parse_watch(text)


@pytest.mark.parametrize(
    "text, found",
    [
        ("po", "v1/pods"),
        ("pod", "v1/pods"),
        ("deploy", "apps/v1/deployments"),
        ("deployments", "apps/v1/deployments"),
        ("deployments.example.com", "example.com/v1/deployments"),
        ("widgets", "example.com/v1/widgets"),
        ("widgets.other.example.com", "other.example.com/v1/widgets"),
        ("events", "v1/events"),
        ("events.events.k8s.io", "v1/events"),
    ],
)
def test_a_name_finds_what_kubectl_would_find(text: str, found: str) -> None:
    served = find(parse_watch(text), SERVED)
    assert served is not None
    assert served.target().resource == found


def test_a_name_that_the_server_does_not_have_finds_nothing() -> None:
    assert find(parse_watch("gadgets"), SERVED) is None
    assert find(parse_watch("pods.apps"), SERVED) is None


def test_watch_replaces_the_default_resources_and_all_kinds_adds_them_again() -> None:
    assert Selection().defaults() == DEFAULT
    assert Selection(watch=("pods",)).defaults() == ()
    assert Selection(watch=("pods",), all_kinds=True).defaults() == DEFAULT


def test_additional_kinds_are_watched_unless_others_were_selected() -> None:
    assert Selection().additional() == ()
    assert Selection(additional_kinds=True).additional() == ADDITIONAL
    assert Selection(watch=("pods",), additional_kinds=True).additional() == ()
    assert Selection(watch=("pods",), all_kinds=True, additional_kinds=True).additional() == ADDITIONAL


def test_secrets_are_watched_only_if_they_are_named() -> None:
    names = {target.resource for target in (*DEFAULT, *ADDITIONAL)}
    assert "v1/secrets" not in names
    assert Selection(secrets=True).defaults() == (*DEFAULT, *GRANTED)
    assert Selection(watch=("pods",), secrets=True).defaults() == GRANTED
    assert [(target.resource, target.metadata_only) for target in GRANTED] == [("v1/secrets", True)]


def test_namespaces_do_not_limit_cluster_scoped_resources() -> None:
    selection = Selection(namespaces=("a", "b"))
    namespaces = {target.resource: selection.namespaces_of(target) for target in DEFAULT}
    assert namespaces["v1/pods"] == ("a", "b")
    assert namespaces["v1/nodes"] == ("",)


@pytest.mark.parametrize("name", ["", "A B", "a b", "Shop", "a,b", "-a", "a-", "a.b", "default?x=y", "a\n", "a" * 64])
def test_a_namespace_that_is_no_dns_label_is_an_error_that_mentions_the_flag(name: str) -> None:
    with pytest.raises(SettingsError, match=r"^invalid --namespace"):
        Selection(namespaces=("shop", name))


def test_a_dns_label_of_full_length_is_a_namespace() -> None:
    assert Selection(namespaces=("0", "a" * 63)).namespaces == ("0", "a" * 63)
