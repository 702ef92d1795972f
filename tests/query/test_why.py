"""From what happened to an object up to its root cause, on recordings and on histories that no recording has."""

from typing import Any

import msgspec
import pytest

from kspan.cli.render.why import as_text
from kspan.errors import QueryError
from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.model import SpanLink, TraceState
from kspan.pipeline.projector import Projector
from kspan.query import spans as reading
from kspan.query.answers import why as answers
from kspan.query.explain.effects import Effect, effects_in
from kspan.query.objects.names import parse_object
from kspan.query.why import EFFECTS, Why, why
from kspan.store import Store
from kspan.terminal.screen import Screen
from kspan.times import SECOND, parse_time
from tests.causality.cluster import Cluster
from tests.emit.rows import START, make_span, make_trace, rolling_update
from tests.query.conftest import Histories, History
from tests.query.made import CLUSTER, commit, make_object, make_pending


def ask(history: History, name: str, namespace: str = "", **options: Any) -> Why:
    with history.store.reading("ask") as connection:
        return why(connection, history.cluster, parse_object((name,), namespace), **options)


def chain(answer: Why) -> list[str]:
    return [f"{step.span.service}: {step.span.name} {step.span.object_name}" for step in answer.links]


@pytest.fixture(autouse=True)
def _unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "500")


def made(store: Store) -> History:
    return History(store, CLUSTER)


# On recordings


def test_a_deleted_pod_leads_to_the_change_of_its_deployment(histories: Histories) -> None:
    answer = ask(histories("02-rolling-update"), "pod/web-854b7f4f-9xzlt")
    assert answer.found.object.deleted_at
    assert chain(answer) == [
        "kubelet: Pod.ContainerTerminated web-854b7f4f-9xzlt",
        "kubelet: Pod.Killing web-854b7f4f-9xzlt",
        "replicaset-controller: Pod.Delete web-854b7f4f-9xzlt",
        "replicaset-controller: ReplicaSet.SuccessfulDelete web-854b7f4f",
        "deployment-controller: ReplicaSet.Update web-854b7f4f",
        "deployment-controller: Deployment.ScalingReplicaSet web",
        "kubectl: Deployment.Update web",
    ]
    root = answer.links[-1].span
    assert root.attributes["kspan.change.summary"].startswith("web.image: registry.example.com/shop/web:v2 → ")
    assert (answer.remote, answer.lost, answer.undecided) == (None, "", [])
    counts = {(effect.kind, effect.reason): (effect.count, effect.objects) for effect in answer.effects}
    assert counts["Pod", "Delete"] == (3, 3), "the fourth is in the chain"
    assert counts["Pod", "Started"] == (4, 4)


def test_at_ignores_later_occurrences(histories: Histories) -> None:
    history = histories("02-rolling-update")
    answer = ask(history, "deploy/web", at=parse_time("2026-11-22T10:25:29Z"))
    root = answer.links[-1].span
    assert root.attributes["kspan.change.summary"] == "replicas: 2 → 4"
    with pytest.raises(QueryError, match=r"no occurrence of .*web-854b7f4f-9xzlt is known until 2026-11-22"):
        ask(history, "pod/web-854b7f4f-9xzlt", at=parse_time("2026-11-22T10:00:00Z"))


def test_a_crash_loop_leads_to_the_creation_of_the_deployment(histories: Histories) -> None:
    answer = ask(histories("03-crashloop"), "po/crash-56547dc677-vd7fn")
    assert chain(answer)[:3] == [
        "kubelet: Pod.Ready=False crash-56547dc677-vd7fn",
        "kubelet: Pod.ContainerTerminated crash-56547dc677-vd7fn",
        "replicaset-controller: Pod.Create crash-56547dc677-vd7fn",
    ]
    assert chain(answer)[-1] == "kubectl: Deployment.Create crash"


def test_errors_come_first_among_the_effects(histories: Histories) -> None:
    effects = ask(histories("03-crashloop"), "deploy/crash").effects
    assert effects[0].error
    assert [effect.reason for effect in effects if effect.error] == ["ContainerTerminated", "BackOff"]
    assert effects[1].message.startswith("Back-off restarting failed container")
    assert [effect.error for effect in effects] == sorted((e.error for e in effects), reverse=True)
    assert [e.first for e in effects if not e.error] == sorted(e.first for e in effects if not e.error)


def test_probes_of_different_kinds_are_different_effects(histories: Histories) -> None:
    history, at = histories("09-probe-failure"), parse_time("2026-11-22T10:36:30Z")

    def probes(effects: list[Effect]) -> list[tuple[str, int, str]]:
        return [(each.probe, each.count, each.message) for each in effects if each.reason == "Unhealthy"]

    answer = ask(history, "deploy/web", "probe-failure", at=at)
    assert answer.trace is not None
    assert probes(answer.effects) == [("Readiness", 2, "Readiness probe failed: ")], "two of them until then"
    with history.store.reading("ask") as connection:
        whole = effects_in(connection, history.cluster, answer.trace.trace_id, [])
    assert probes(whole) == [("Readiness", 17, "Readiness probe failed: "), ("Liveness", 4, "Liveness probe failed: ")]


def test_a_deleted_namespace_explains_its_pods(histories: Histories) -> None:
    answer = ask(histories("11-delete-cascade"), "pod/keep-758ff95746-cpgw9", "delete-cascade")
    assert chain(answer)[-1] == "unknown: Namespace.Delete delete-cascade"


def test_with_at_the_outcome_is_said_to_be_of_now(histories: Histories, capsys: pytest.CaptureFixture[str]) -> None:
    history = histories("03-crashloop")
    now = [line for line in text_of(ask(history, "deploy/crash"), capsys) if line.startswith("outcome")]
    at = parse_time("2026-11-22T10:27:00Z")
    then = [line for line in text_of(ask(history, "deploy/crash", at=at), capsys) if line.startswith("outcome")]
    assert len(now) == 1
    assert then == [now[0].replace("outcome:", "outcome (as of now):", 1)]


def test_a_failed_job_leads_to_its_creation(histories: Histories) -> None:
    answer = ask(histories("07-job-cronjob"), "job/bad")
    assert chain(answer) == ["job-controller: Job.BackoffLimitExceeded bad", "kubectl: Job.Create bad"]


def test_an_unschedulable_pod_leads_to_the_change_of_its_requests(histories: Histories) -> None:
    answer = ask(histories("05-unschedulable"), "pod/big-55d77dccb5-9x5qp", at=parse_time("2026-11-22T10:30:20Z"))
    assert chain(answer)[0] == "default-scheduler: Pod.FailedScheduling big-55d77dccb5-9x5qp"
    assert chain(answer)[-1].endswith("Deployment.Create big")


def test_a_custom_kind_is_found_by_its_plural_and_group(histories: Histories) -> None:
    history = histories("13-custom-controller")
    with history.store.reading("look") as connection:
        names = connection.exec_driver_sql("select name from objects where kind = 'Widget'").scalars().all()
    for called in ("widgets.example.com", "Widget", "widgets", "widgets.v1.example.com"):
        assert ask(history, f"{called}/{names[0]}").found.object.kind == "Widget"
    with pytest.raises(QueryError, match="is not known"):
        ask(history, f"widgets.other.example/{names[0]}")


# Episodes


def test_an_episode_continues_through_its_link_to_the_earlier_rollout(store: Store) -> None:
    trace, spans = rolling_update(pods=1)
    born = next(span for span in spans if span.name == "Pod.Create")
    link = SpanLink(born.trace_id, born.span_id, {})
    late = make_span("Pod.BackOff", trace="later", subject=born.object_name, start=START + 600 * SECOND, links=[link])
    first = make_span("Pod.Unhealthy", trace="later", subject=born.object_name, start=START + 500 * SECOND)
    late = msgspec.structs.replace(late, parent_span_id=first.span_id)
    later = make_trace([first, late], previous_trace_id=trace.trace_id)
    commit(store, [make_object("Pod", born.object_name)], [*spans, first, late], [trace, later])
    answer = ask(made(store), f"pod/{born.object_name}")
    assert [step.span.name for step in answer.links][:2] == ["Pod.BackOff", "Pod.Create"], (
        "a link is nearer than a parent"
    )
    assert answer.links[0].continues == trace.trace_id
    assert answer.links[-1].span.name == "Deployment.Update"
    assert [followed.trace_id for followed in answer.followed] == [later.trace_id]


def test_an_episode_of_a_pruned_trace_names_that_trace(store: Store) -> None:
    late = make_span("Pod.BackOff", links=[SpanLink("ab" * 16, "cd" * 8, {})])
    commit(store, [make_object("Pod", "web")], [late], [make_trace([late], previous_trace_id="ab" * 16)])
    answer = ask(made(store), "pod/web")
    assert answer.lost == "ab" * 16
    assert len(answer.links) == 1


def test_a_remote_parent_ends_the_chain_with_its_trace(store: Store) -> None:
    root = make_span("Deployment.Update", parent_span_id="cd" * 8, remote_parent=True, rule="carried")
    commit(store, [make_object("Deployment", "web")], [root], [make_trace([root])])
    assert ask(made(store), "deploy/web").remote == (root.trace_id, "cd" * 8)


def test_an_older_trace_context_of_the_object_is_related_and_not_a_cause(store: Store) -> None:
    root = make_span("Deployment.Update", links=[SpanLink("ab" * 16, "cd" * 8, {})])
    commit(store, [make_object("Deployment", "web")], [root], [make_trace([root])])
    answer = ask(made(store), "deploy/web")
    assert (answer.related, answer.lost, answer.remote) == (("ab" * 16, "cd" * 8), "", None)


# What is not decided or not closed


def test_an_undecided_occurrence_is_reported_with_the_chain_before_it(store: Store) -> None:
    trace, spans = rolling_update(pods=1)
    pod = next(span for span in spans if span.name == "Pod.Create").object_name
    pending = make_pending("Pod.Unhealthy", subject=pod, start=START + 900 * SECOND)
    commit(store, [make_object("Pod", pod)], [*spans, pending], [trace])
    answer = ask(made(store), f"pod/{pod}")
    assert [span.reason for span in answer.undecided] == ["Unhealthy"]
    assert answer.links[-1].span.name == "Deployment.Update"


def test_an_object_with_only_undecided_occurrences_has_no_chain(store: Store) -> None:
    commit(store, [make_object("Pod", "web")], [make_pending("Pod.Create")])
    answer = ask(made(store), "pod/web")
    assert [span.reason for span in answer.undecided] == ["Create"]
    assert (answer.links, answer.trace, answer.effects) == ([], None, [])


def test_an_open_trace_has_the_summaries_of_changes(store: Store) -> None:
    cluster = Cluster()
    web = cluster.apply("Deployment", "web", replicas=2)
    cluster.wait(300)
    cluster.apply("Deployment", "web", replicas=4)
    cluster.wait(6)
    cluster.apply("ConfigMap", "other", data={})
    watched(store, cluster)
    answer = ask(made(store), f"deploy/{web.name}")
    assert answer.trace is not None
    assert answer.trace.state is TraceState.OPEN
    assert answer.links[-1].span.attributes["kspan.change.summary"] == "replicas: 2 → 4"
    assert answer.links[-1].span.rule == "root"


# What it waited for, and what it resumed


def text_of(answer: Why, capsys: pytest.CaptureFixture[str]) -> list[str]:
    as_text(answer, Screen())
    return capsys.readouterr().out.splitlines()


def test_a_deletion_says_which_finalizer_held_it(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Cluster()
    data = cluster.apply("PersistentVolumeClaim", "data")
    cluster.wait(300)
    cluster.delete(data, finalizers=("kubernetes.io/pvc-protection",))
    cluster.wait(6)
    cluster.apply("ConfigMap", "other", data={})
    watched(store, cluster)
    answer = ask(made(store), "pvc/data")
    assert text_of(answer, capsys)[3:4] == ["still held by kubernetes.io/pvc-protection"], "as long as it is there"
    cluster.records.clear()
    cluster.wait(8)
    cluster.gone(data)
    cluster.wait(60)
    cluster.apply("ConfigMap", "another", data={})
    watched(store, cluster)
    answer = ask(made(store), "pvc/data")
    assert text_of(answer, capsys)[3:4] == ["held by kubernetes.io/pvc-protection for 14.0s"]
    assert answers.why(answer).chain[0].held == "held by kubernetes.io/pvc-protection for 14.0s"


def test_a_namespace_that_hangs_says_once_what_remains_in_it(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Cluster()
    shop = cluster.create("Namespace", "shop", by="kubectl-create")
    cluster.wait(60)
    cluster.delete(shop)
    message = "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
    cluster.condition(shop, "NamespaceFinalizersRemaining", "True", reason="SomeFinalizersRemain", message=message)
    cluster.wait(1000)
    cluster.apply("ConfigMap", "other", data={})
    watched(store, cluster)
    text = text_of(ask(made(store), "ns/shop"), capsys)
    verdict = f"incomplete: Namespace shop is still being deleted: {message}"
    assert text[3] == f"outcome: {verdict}"
    assert text[5].endswith("Namespace.Delete shop"), "the row does not repeat it"


def test_a_rollout_that_was_resumed_says_what_was_changed_while_it_was_paused(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster()
    web = cluster.apply("Deployment", "web", image="app:v1")
    cluster.wait(60)
    cluster.update(web, by="kubectl-rollout", paused=True)
    cluster.wait(60)
    cluster.update(web, by="kubectl-set", image="app:v2")
    cluster.wait(60)
    cluster.update(web, by="kubectl-rollout", paused=False)
    cluster.create("ReplicaSet", "web-2", owner=web, replicas=1)
    cluster.wait(1000)
    cluster.apply("ConfigMap", "other", data={})
    watched(store, cluster)
    answer = ask(made(store), "rs/web-2")
    assert chain(answer)[-1] == "kubectl: Deployment.Update web"
    assert reading.summary_of(answer.links[-1].span) == "paused: true → false", "the resume is the root cause"
    assert [reading.manager_of(span) for span in answer.resumed] == ["kubectl-set"]
    assert answer.related is None
    (line,) = (line for line in text_of(answer, capsys) if "while it was paused" in line)
    assert line.startswith("rolls out what kubectl set changed while it was paused at 10:02:0")
    assert "app:v1 → app:v2" in line


# Which object


def test_a_reused_name_means_the_newest_object_unless_uid_is_given(store: Store) -> None:
    spans, objects = [], []
    for number in range(3):
        uid, start = f"{number}-uid", START + number * 100 * SECOND
        objects.append(
            make_object("Pod", "db-0", uid=uid, created_at=start, deleted_at=0 if number == 2 else start + 9)
        )
        spans.append(make_span("Pod.Create", trace=uid, subject="db-0", object_uid=uid, start=start))
    commit(store, objects, spans, [make_trace([span]) for span in spans])
    answer = ask(made(store), "pod/db-0")
    assert answer.found.object.uid == "2-uid"
    assert [other.uid for other in answer.found.others] == ["1-uid", "0-uid"]
    assert ask(made(store), "pod/db-0", uid="0").links[0].span.object_uid == "0-uid"
    assert ask(made(store), "pod/db-0", at=START + 150 * SECOND).found.object.uid == "1-uid"
    with pytest.raises(QueryError, match=r"no object has uid 'x'"):
        ask(made(store), "pod/db-0", uid="x")


def test_a_name_in_several_namespaces_needs_a_namespace(store: Store) -> None:
    spans = [make_span("Pod.Create", trace=ns, object_namespace=ns, object_uid=ns) for ns in ("shop", "test")]
    objects = [make_object("Pod", "web", namespace=ns, uid=ns) for ns in ("shop", "test")]
    commit(store, objects, spans, [make_trace([span]) for span in spans])
    with pytest.raises(QueryError, match=r"^Pod web is in 2 namespaces: choose one with -n: shop, test$"):
        ask(made(store), "pod/web")
    assert ask(made(store), "pod/web", "test").found.object.namespace == "test"


def test_a_cluster_scoped_object_is_found_with_any_namespace(store: Store) -> None:
    span = make_span("Node.NodeNotReady", subject="a", object_namespace="")
    commit(store, [make_object("Node", "a", namespace="")], [span], [make_trace([span])])
    assert ask(made(store), "no/a", "shop").links[0].span.name == "Node.NodeNotReady"


def two_groups(store: Store, kind: str, *groups: str) -> History:
    spans = [make_span(f"{kind}.Create", trace=group, object_uid=group) for group in groups]
    objects = [make_object(kind, "web", api_version=group, uid=group) for group in groups]
    commit(store, objects, spans, [make_trace([span]) for span in spans])
    return made(store)


def test_a_built_in_kind_takes_precedence_over_a_custom_kind_of_the_same_name(store: Store) -> None:
    history = two_groups(store, "Service", "v1", "serving.knative.dev/v1")
    assert ask(history, "svc/web").found.object.uid == "v1"
    assert ask(history, "services.serving.knative.dev/web").found.object.uid == "serving.knative.dev/v1"


def test_custom_kinds_of_one_name_need_a_group(store: Store) -> None:
    history = two_groups(store, "Widget", "a.example/v1", "b.example/v1")
    with pytest.raises(QueryError, match=r"use one of widgets\.a\.example/web, widgets\.b\.example/web$"):
        ask(history, "widgets/web")
    assert ask(history, "widgets.b.example/web").found.object.uid == "b.example/v1"


@pytest.mark.parametrize(
    "name, expected",
    [
        ("pod/web", "Pod web is not known: did you mean deployment/web -n rolling-update?"),
        ("pod/web-854b7f4f", r"did you mean replicaset/web-854b7f4f -n rolling-update\?"),
        ("pod/web-854b7f4", r"did you mean pod/web-854b7f4f-\w+ -n rolling-update or pod/"),
        ("pod/web-854b7f4f-9xzlx", r"did you mean pod/web-854b7f4f-9xzlt -n rolling-update"),
        ("deploy/wed", "did you mean deployment/web -n rolling-update"),
        ("deploy/zzzzzz", "Deployment zzzzzz is not known; known: deployment/smoke -n default, deployment/web "),
        ("depoyment/web", "no object of kind 'depoyment' is known: did you mean deployment?"),
        ("gadget/web", "no object of kind 'gadget' is known: use one of APIService, "),
        ("cm/web", r"ConfigMap web is not known: did you mean deployment/web -n rolling-update\?"),
    ],
)
def test_an_unknown_object_is_refused_with_similar_names(histories: Histories, name: str, expected: str) -> None:
    with pytest.raises(QueryError, match=expected):
        ask(histories("02-rolling-update"), name)


def test_an_object_without_occurrences_is_refused(histories: Histories) -> None:
    with pytest.raises(
        QueryError, match=r"^no occurrence of Namespace default is known: it existed before kspan started to watch"
    ):
        ask(histories("02-rolling-update"), "ns/default")


# Damage and size


def test_a_cycle_of_parents_ends_the_chain(store: Store) -> None:
    one, other = make_span("Pod.A", parent="b", key="a"), make_span("Pod.B", parent="a", key="b", start=START + 1)
    commit(store, [make_object("Pod", "web")], [one, other], [make_trace([one, other])])
    assert len(ask(made(store), "pod/web").links) == 2


def test_a_cycle_of_links_ends_the_chain(store: Store) -> None:
    one, other = make_span("Pod.A", trace="a"), make_span("Pod.B", trace="b", start=START + 1)
    one = msgspec.structs.replace(one, links=[SpanLink(other.trace_id, other.span_id, {})])
    other = msgspec.structs.replace(other, links=[SpanLink(one.trace_id, one.span_id, {})])
    commit(store, [make_object("Pod", "web")], [one, other], [make_trace([one]), make_trace([other])])
    assert len(ask(made(store), "pod/web").links) == 2


def test_a_chain_ends_after_a_thousand_links(store: Store) -> None:
    spans = [make_span(f"Pod.S{n}", key=str(n), parent=str(n - 1) if n else "", start=START + n) for n in range(1500)]
    commit(store, [make_object("Pod", "web")], spans, [make_trace(spans)])
    assert len(ask(made(store), "pod/web").links) == 1001


def test_the_first_groups_of_effects_are_shown_and_the_rest_counted(store: Store) -> None:
    root = make_span("Deployment.Update", key="root")
    spans = [root, *(make_span(f"Pod.R{n:02}", parent="root", start=START + n, subject=f"p{n}") for n in range(20))]
    commit(store, [make_object("Deployment", "web")], spans, [make_trace(spans)])
    answer = ask(made(store), "deploy/web")
    assert len(answer.effects) == EFFECTS
    assert answer.more_effects == 20 - EFFECTS


@pytest.mark.parametrize("more, said", [(1, "and 1 more kind of occurrence"), (2, "and 2 more kinds of occurrences")])
def test_one_more_kind_of_effects_is_one_kind(
    store: Store, capsys: pytest.CaptureFixture[str], more: int, said: str
) -> None:
    root = make_span("Deployment.Update", key="root")
    others = (make_span(f"Pod.R{n:02}", parent="root", start=START + n, subject="p") for n in range(EFFECTS + more))
    spans = [root, *others]
    commit(store, [make_object("Deployment", "web")], spans, [make_trace(spans)])
    assert f"  {said}" in text_of(ask(made(store), "deploy/web"), capsys)


def watched(store: Store, cluster: Cluster) -> None:
    """Commits what a watch of the cluster brought until now."""
    projector = Projector(store, CLUSTER, built_in_rules())
    projector.add(JournalBatch([record]) for record in cluster.records)
    projector.flush()
