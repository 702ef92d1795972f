"""Carried context: an object that continues the trace of whoever applied it."""

import pytest

from kspan.graph import Fold, built_in_rules
from kspan.graph.observe.trace_context import carried, read_context
from kspan.model import LogRecord, RecordType
from tests.causality.actors import done, new_replicas
from tests.causality.cluster import Cluster
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import RUN_OUT

KEY = "tracing.k8s.io/traceparent"
PIPELINE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_change_with_a_traceparent_joins_that_trace() -> None:
    """The deployment controller copies annotations to its ReplicaSets: theirs carry nothing of their own."""
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


def test_a_context_whose_trace_was_closed_is_linked_to() -> None:
    """What was emitted does not change any more."""
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


def test_a_change_without_a_new_context_only_relates_to_it() -> None:
    """The annotation is still there when somebody else changes the object: a link, as KEP-5915 has it."""
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
def test_the_contexts_of_this_version_and_of_later_ones_are_read(value: str) -> None:
    assert read_context(value) == (PIPELINE[3:35], PIPELINE[36:52])
    assert read_context(carried({KEY: value}, [KEY])) == (PIPELINE[3:35], PIPELINE[36:52])


@pytest.mark.parametrize("value", INVALID, ids=lambda value: repr(value[:60]))
def test_what_is_no_context_is_none_and_nothing_of_its_size_is_remembered(value: str) -> None:
    assert read_context(value) is None
    mark = carried({KEY: value}, [KEY])
    assert read_context(mark) is None
    assert 0 < len(mark) < 20


def invalid_contexts(c: Cluster) -> int:
    folding = Fold(CLUSTER, built_in_rules())
    for sequence, record in enumerate([*c.records, LogRecord(RecordType.TICK, c.now + RUN_OUT)], 1):
        folding.apply(sequence, record)
    return folding.invalid_contexts


def test_what_is_no_context_is_ignored_and_counted_once_for_each_change_that_brings_it() -> None:
    """Neither the copy that the deployment controller makes counts, nor that it is still there."""
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


def test_the_event_of_a_change_stays_above_it_where_its_context_is_none() -> None:
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


def test_the_first_key_with_a_valid_context_counts() -> None:
    other = PIPELINE.replace("0af7", "ffff")
    keys = ["a", "b", "c"]
    assert carried({"a": "no", "b": PIPELINE, "c": other}, keys) == PIPELINE
    assert carried({"b": PIPELINE, "c": other}, ["c", "b"]) == other
    assert carried({"d": PIPELINE}, keys) == ""


def test_a_deletion_only_relates_to_the_context_that_the_object_carries() -> None:
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
