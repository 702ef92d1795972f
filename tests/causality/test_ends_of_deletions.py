"""What is being deleted is in progress until it is gone, and its span shows what it waited for."""

from typing import Any

from kspan.model import SpanEvent, SpanLink, SpanRow, SpanState
from kspan.terminal.deletions import held_text
from kspan.times import SECOND
from kspan.vocabulary import FINALIZERS
from tests.causality.actors import kill, new_pod, rolled_out, run
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER, draw, shows
from tests.recordings import Rows, fold

IN_USE = "kubernetes.io/pvc-protection"
HOLD = "example.com/hold"


def deletion(rows: Rows, name: str) -> dict[str, Any]:
    (span,) = [row for row in rows["spans"] if row["reason"] == "Delete" and row["object_name"] == name]
    return span


def lasts(span: dict[str, Any]) -> float:
    took: int = span["end_time"] - span["start_time"]
    return round(took / SECOND, 1)


def verdict(rows: Rows, span: dict[str, Any]) -> tuple[str, str]:
    (trace,) = [row for row in rows["traces"] if row["trace_id"] == span["trace_id"]]
    return trace["outcome"], trace["reason"]


def held(span: dict[str, Any]) -> str:
    fields = {name: span[name] for name in SpanRow.__struct_fields__}
    events = [e if isinstance(e, SpanEvent) else SpanEvent(**e) for e in span["events"]]
    links = [e if isinstance(e, SpanLink) else SpanLink(**e) for e in span["links"]]
    return held_text(SpanRow(**fields | {"state": SpanState(span["state"]), "events": events, "links": links}))


def claim(c: Cluster) -> Thing:
    data = c.apply("PersistentVolumeClaim", "data", storageClassName="")
    data.meta["finalizers"] = [IN_USE]
    c.first_list()
    return data


def test_a_claim_in_use_is_being_deleted_until_its_pod_is_gone() -> None:
    c = Cluster()
    data = claim(c)
    c.delete(data, finalizers=(IN_USE,))
    c.wait(14.99)
    c.gone(data)
    shows(
        c,
        """
        PersistentVolumeClaim.Delete data  by unknown  [root]
          * FinalizerRemoved
        """,
        notes=True,
    )
    rows = fold(CLUSTER, c.records)
    span = deletion(rows, "data")
    assert lasts(span) == 15
    assert span["attributes"][FINALIZERS] == [IN_USE]
    assert held(span) == f"held by {IN_USE} for 15.0s"
    assert verdict(rows, span) == ("ok", "")


def test_each_finalizer_held_a_deletion_until_it_was_removed() -> None:
    c = Cluster()
    widget = c.create("Widget", "one", by="kubectl-create")
    c.first_list()
    c.delete(widget, finalizers=(HOLD, "example.com/quick", "example.com/last"))
    c.release(widget, "example.com/quick")
    c.wait(4)
    c.release(widget, HOLD)
    c.wait(30)
    c.gone(widget)
    shows(
        c,
        """
        Widget.Delete one  by unknown  [root]
          * FinalizerRemoved
          * FinalizerRemoved
          * FinalizerRemoved
        """,
        notes=True,
    )
    span = deletion(fold(CLUSTER, c.records), "one")
    assert span["attributes"][FINALIZERS] == [HOLD, "example.com/quick", "example.com/last"]
    assert held(span) == f"held by {HOLD} for 4.0s; held by example.com/last for 34.0s"


def test_what_still_hangs_after_the_maximum_age_of_a_trace_is_not_ok_and_its_finalizer_is_named() -> None:
    c = Cluster()
    widget = c.create("Widget", "one", by="kubectl-create")
    c.first_list()
    c.delete(widget, finalizers=(HOLD, "example.com/quick"))
    c.wait(2)
    c.release(widget, "example.com/quick")
    shows(
        c,
        """
        (incomplete)
        Widget.Delete one  by unknown  [root]
          * FinalizerRemoved
        """,
        notes=True,
    )
    rows = fold(CLUSTER, c.records)
    span = deletion(rows, "one")
    assert verdict(rows, span) == ("incomplete", f"Widget one is still being deleted: held by {HOLD}")
    assert held(span) == f"still held by {HOLD} after 15m05s; held by example.com/quick for 2.0s"


def test_a_pod_that_ends_gracefully_is_held_by_nothing() -> None:
    c = Cluster()
    _, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    kill(c, pod)
    run(c, new_pod(c, rs, "web-1-b"))
    c.wait(4)
    c.gone(pod)
    rows = fold(CLUSTER, c.records)
    span = deletion(rows, pod.name)
    assert 4 < lasts(span) < 5, "until it is gone, not until it is killed"
    assert FINALIZERS not in span["attributes"]
    assert held(span) == ""


def remains(c: Cluster, shop: Thing, kind: str, status: str, message: str) -> None:
    c.condition(shop, kind, status, reason="SomethingRemains" if status == "True" else "Removed", message=message)


def test_a_namespace_that_hangs_shows_what_remains_in_it() -> None:
    c = Cluster()
    shop = c.create("Namespace", "shop", by="kubectl-create")
    c.create("Widget", "one", by="kubectl-create", namespace="shop")
    c.first_list()
    c.delete(shop)
    two, one = (f"Some resources are remaining: widgets.example.com has {n} resource instances" for n in (2, 1))
    finalizers = f"Some content in the namespace has finalizers remaining: {HOLD} in 1 resource instances"
    remains(c, shop, "NamespaceContentRemaining", "True", two)
    remains(c, shop, "NamespaceFinalizersRemaining", "True", finalizers.replace("1 res", "2 res"))
    c.wait(15)
    remains(c, shop, "NamespaceContentRemaining", "True", one)
    c.wait(15)
    remains(c, shop, "NamespaceFinalizersRemaining", "True", finalizers)
    c.wait(15)
    remains(c, shop, "NamespaceFinalizersRemaining", "True", f"{finalizers}!")
    shows(
        c,
        """
        (incomplete)
        Namespace.Delete shop  by unknown  [root]
          * NamespaceContentRemaining
          * NamespaceFinalizersRemaining
          * NamespaceContentRemaining
          * NamespaceFinalizersRemaining
        """,
        notes=True,
    )
    rows = fold(CLUSTER, c.records)
    span = deletion(rows, "shop")
    assert verdict(rows, span) == ("incomplete", f"Namespace shop is still being deleted: {finalizers}!")
    assert held(span).endswith(f"s: {finalizers}!")


def test_a_namespace_that_is_gone_shows_what_it_waited_for() -> None:
    c = Cluster()
    shop = c.create("Namespace", "shop", by="kubectl-create")
    c.first_list()
    c.delete(shop)
    message = "Some resources are remaining: pods. has 1 resource instances"
    remains(c, shop, "NamespaceContentRemaining", "True", message)
    c.wait(30)
    remains(c, shop, "NamespaceContentRemaining", "False", "All content successfully removed")
    c.gone(shop)
    rows = fold(CLUSTER, c.records)
    assert held(deletion(rows, "shop")) == f"waited 30.0s: {message}"
    assert verdict(rows, deletion(rows, "shop")) == ("ok", "")


def test_what_a_list_shows_without_its_deletion_was_held_by_nothing_known() -> None:
    c = Cluster()
    data = claim(c)
    c.stop_watching("PersistentVolumeClaim")
    c.delete(data, finalizers=(IN_USE,))
    c.wait(60)
    c.gone(data)
    c.list_again("PersistentVolumeClaim")
    assert "PersistentVolumeClaim.Delete data" in draw(fold(CLUSTER, c.records))
    assert held(deletion(fold(CLUSTER, c.records), "data")) == ""
