"""Carried context: an object that continues the trace of whoever applied it."""

import pytest

from tests.causality.actors import done, new_replicas
from tests.causality.cluster import Cluster
from tests.causality.drawing import shows

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


def test_a_change_without_a_new_context_is_nobodys_continuation() -> None:
    """The annotation is still there when somebody else changes the object."""
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1, annotations={KEY: PIPELINE})
    done(c, web)
    c.wait(1)
    c.update(web, by="kubectl-scale", replicas=2)
    done(c, web)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [carried]

        Deployment.Update web  by kubectl  [root]
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


@pytest.mark.parametrize(
    "value",
    [
        "",
        "hello",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    ],
)
def test_what_is_no_context_is_ignored(value: str) -> None:
    c = Cluster()
    done(c, c.apply("Deployment", "web", replicas=1, annotations={KEY: value}))
    shows(c, "Deployment.Create web  by kubectl  [root]")
