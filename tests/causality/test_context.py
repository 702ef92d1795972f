"""Carried context: a change continues the trace of the tool that applied it."""

import pytest

from kspan.graph import Fold, built_in_rules
from kspan.graph.trace.trace_context import carried, read_context
from kspan.model import LogRecord, RecordType
from tests.causality.actors import done, new_replicas
from tests.causality.cluster import Cluster
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import RUN_OUT

KEY = "tracing.k8s.io/traceparent"
PIPELINE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_change_with_a_traceparent_joins_that_trace() -> None:
    """The deployment controller copies annotations to its ReplicaSets; a copied context is ignored."""
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1, annotations={KEY: PIPELINE})
    seen = web.version
    rs = c.create("ReplicaSet", "web-1", owner=web, replicas=1, annotations={KEY: PIPELINE})
    message = "Scaled up replica set web-1 from 0 to 1"
    c.event(web, "ScalingReplicaSet", message, by="deployment-controller", seen=seen)
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [carried]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
        """,
    )


def test_two_objects_with_the_same_context_share_the_trace() -> None:
    c = Cluster()
    c.apply("ConfigMap", "settings", annotations={KEY: PIPELINE})
    web = c.apply("Deployment", "web", replicas=1, annotations={KEY: PIPELINE})
    rs = new_replicas(c, web, "web-1", 1)
    done(c, rs, web)
    shows(
        c,
        """
        ConfigMap.Create settings  by kubectl  [carried]

        Deployment.Create web  by kubectl  [carried]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
        """,
    )


def test_a_context_whose_trace_was_closed_becomes_a_link() -> None:
    """An exported trace does not change any more."""
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1, annotations={KEY: PIPELINE})
    done(c, web)
    c.wait(60)
    c.apply("ConfigMap", "settings", annotations={KEY: PIPELINE})
    shows(
        c,
        f"""
        Deployment.Create web  by kubectl  [carried]

        ConfigMap.Create settings  by kubectl  [root] -> {PIPELINE[3:35]}
        """,
    )


def test_a_change_without_a_new_context_has_a_link_to_the_old_one() -> None:
    """The annotation stays when the object is changed again: a link, as in KEP-5915."""
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1, annotations={KEY: PIPELINE})
    done(c, web)
    c.wait(1)
    c.update(web, by="kubectl-scale", replicas=2)
    done(c, web)
    shows(
        c,
        f"""
        Deployment.Create web  by kubectl  [carried]

        Deployment.Update web  by kubectl  [root] -> {PIPELINE[3:35]}
        """,
    )


def test_a_new_context_comes_with_the_next_apply() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    done(c, web)
    c.wait(60)
    web.meta["annotations"][KEY] = PIPELINE
    c.update(web, image="app:v2")
    done(c, web)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]

        Deployment.Update web  by kubectl  [carried]
        """,
    )


INVALID = [
    "",
    "hello",
    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
    "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
    " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n",
    "\u0660\u0660-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "\udc00" * 3,
    "x" * 200_000,
]
VALID = [
    PIPELINE,
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
    "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-brings",
]


@pytest.mark.parametrize("value", VALID)
def test_traceparents_of_this_and_later_versions_are_read(value: str) -> None:
    assert read_context(value) == (PIPELINE[3:35], PIPELINE[36:52])
    assert read_context(carried({KEY: value}, [KEY])) == (PIPELINE[3:35], PIPELINE[36:52])


@pytest.mark.parametrize("value", INVALID, ids=lambda value: repr(value[:60]))
def test_an_invalid_traceparent_is_ignored_and_not_stored(value: str) -> None:
    assert read_context(value) is None
    mark = carried({KEY: value}, [KEY])
    assert read_context(mark) is None
    assert 0 < len(mark) < 20


def invalid_contexts(c: Cluster) -> int:
    folding = Fold(CLUSTER, built_in_rules())
    for sequence, record in enumerate([*c.records, LogRecord(RecordType.TICK, c.now + RUN_OUT)], 1):
        folding.apply(sequence, record)
    return folding.invalid_contexts


def test_each_change_with_an_invalid_context_is_counted_once() -> None:
    """A copy by the deployment controller is not counted, nor an annotation that stays."""
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1, annotations={KEY: "hello"})
    seen = web.version
    rs = c.create("ReplicaSet", "web-1", owner=web, replicas=1, annotations={KEY: "hello"})
    c.event(web, "ScalingReplicaSet", "Scaled up replica set web-1 from 0 to 1", by="deployment-controller", seen=seen)
    done(c, rs, web)
    assert invalid_contexts(c) == 1
    c.wait(60)
    c.update(web, by="kubectl-scale", replicas=2)
    assert invalid_contexts(c) == 1
    web.meta["annotations"][KEY] = "hello again"
    c.update(web, by="kubectl", replicas=3)
    assert invalid_contexts(c) == 2
    done(c, web)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]

        Deployment.Update web  by kubectl  [root]

        Deployment.Update web  by kubectl  [root]
        """,
    )


def test_the_event_of_a_change_with_an_invalid_context_is_its_parent() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    seen = web.version
    rs = c.create("ReplicaSet", "web-1", owner=web, replicas=1, annotations={KEY: "none"})
    c.event(web, "ScalingReplicaSet", "Scaled up replica set web-1 from 0 to 1", by="deployment-controller", seen=seen)
    done(c, rs, web)
    assert invalid_contexts(c) == 1
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
        """,
    )


def test_the_first_annotation_with_a_valid_context_is_used() -> None:
    other = PIPELINE.replace("0af7", "ffff")
    keys = ["a", "b", "c"]
    assert carried({"a": "no", "b": PIPELINE, "c": other}, keys) == PIPELINE
    assert carried({"b": PIPELINE, "c": other}, ["c", "b"]) == other
    assert carried({"d": PIPELINE}, keys) == ""


def test_a_deletion_has_a_link_to_the_context_of_the_object() -> None:
    c = Cluster()
    settings = c.apply("ConfigMap", "settings", annotations={KEY: PIPELINE})
    c.wait(60)
    c.gone(settings)
    shows(
        c,
        f"""
        ConfigMap.Create settings  by kubectl  [carried]

        ConfigMap.Delete settings  by unknown  [root] -> {PIPELINE[3:35]}
        """,
    )
