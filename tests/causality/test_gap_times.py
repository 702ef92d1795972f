"""The estimated times of deletions that nobody watched, and recordings of them."""

import json
from pathlib import Path
from textwrap import dedent

import pytest

from kspan.model import RecordType
from kspan.times import SECOND, parse_time
from kspan.vocabulary import TIME_UNCERTAINTY
from tests.causality.actors import done, new_pod, new_replicas, settled
from tests.causality.cluster import MANAGER, Cluster
from tests.causality.drawing import CLUSTER, draw, shows
from tests.recordings import fold, journal_of

CASES = Path(__file__).parents[1] / "data" / "cases"


def deletions(c: Cluster) -> dict[str, tuple[float, float]]:
    """Seconds from the disconnect at which each object was deleted, and by how many that may be wrong, by name."""
    spans = [row for row in fold(CLUSTER, c.records)["spans"] if row["reason"] == "Delete"]
    since = min(parse_time(json.loads(r.payload)["watchedUntil"]) for r in c.records if r.type is RecordType.GAP)
    uncertain = {row["object_name"]: row["attributes"].get(TIME_UNCERTAINTY, 0) for row in spans}
    return {row["object_name"]: ((row["start_time"] - since) / SECOND, uncertain[row["object_name"]]) for row in spans}


def test_a_deletion_that_nothing_dates_is_estimated_in_the_middle_of_the_gap() -> None:
    c = Cluster()
    lone = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    c.first_list()
    with c:
        c.gone(lone)
        c.wait(1799.99)
    assert deletions(c) == {"lone": (900, 900)}


def test_a_deletion_is_as_late_as_its_effect_and_not_before_its_cause() -> None:
    c, _, rs, (pod,) = settled("web")
    with c:
        c.wait(600.5)
        c.gone(pod)
        new_pod(c, rs, "web-1-b", reported=False)
        c.wait(1200)
    ((at, uncertainty),) = deletions(c).values()
    assert at == pytest.approx(600, abs=1)
    assert uncertainty == pytest.approx(at, abs=1), "it may have been lost long before it was replaced"


def test_a_cascade_follows_its_cause_promptly() -> None:
    c = Cluster()
    shop = c.create("Namespace", "shop", by="kubectl-create")
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    c.first_list()
    c.stop_watching("Pod")
    c.wait(100)
    c.delete(shop)
    c.gone(pod)
    c.wait(20)
    c.list_again()
    c.gone(shop)
    found = deletions(c)
    (deleted, exact), (followed, uncertainty) = found["shop"], found["lone"]
    assert deleted == pytest.approx(100, abs=0.1)
    assert exact == 0
    assert followed == deleted
    assert uncertainty == pytest.approx(20, abs=0.1)


@pytest.mark.parametrize("case", ["gapcascade-seen", "gapcascade-unseen"])
def test_a_cascade_in_a_recording_is_one_tree_with_uncertain_times(case: str) -> None:
    rows = fold(*journal_of(CASES / f"{case}.jsonl"))
    tree = """
        Namespace.Delete x  by unknown  [root]
          Deployment.Delete web  by namespace-controller  [place]
            ReplicaSet.Delete web-1  by garbage-collector  [owner]
              Pod.Delete web-1-a  by garbage-collector  [owner]
        """
    assert draw(rows) == dedent(tree).strip()
    uncertain = {row["object_kind"] for row in rows["spans"] if row["attributes"].get(TIME_UNCERTAINTY)}
    assert {"Deployment", "ReplicaSet", "Pod"} <= uncertain
    assert ("Namespace" in uncertain) is (case == "gapcascade-unseen")


def test_a_transition_of_what_was_in_progress_before_a_gap_does_not_date_a_later_change_in_the_gap() -> None:
    """The Deployment became available because it had been created. It was scaled to zero half a minute later."""
    c = Cluster()
    c.apply("Deployment", "other")
    c.first_list()
    web = c.apply("Deployment", "web", replicas=2)
    rs = new_replicas(c, web, "web-1", 2, reported=False)
    c.status(web, observedGeneration=1, replicas=2)
    c.stop_watching("Deployment")
    c.wait(1)
    c.condition(web, "Available", "True")
    c.wait(30)
    c.remove(web, replicas=0)
    c.update(rs, by=MANAGER, replicas=0)
    scaled = c.now
    c.wait(0.5)
    done(c, rs, web)
    c.list_again()
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          ReplicaSet.Create web-1  by deployment-controller  [owner]
          Deployment.Available web  by deployment-controller  [own]

        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
        """,
    )
    (update,) = [row for row in fold(CLUSTER, c.records)["spans"] if row["name"] == "Deployment.Update"]
    uncertainty = update["attributes"].get(TIME_UNCERTAINTY, 0) * SECOND
    assert abs(update["start_time"] - scaled) <= max(uncertainty, SECOND)


def test_a_transition_of_an_object_that_was_done_before_a_gap_dates_a_change_in_the_gap() -> None:
    c, web, rs, _ = settled("web")
    with c:
        c.wait(600)
        c.remove(web, replicas=0)
        removed = c.now
        c.update(rs, by=MANAGER, replicas=0)
        c.condition(web, "Available", "True")
        done(c, rs, web)
        c.wait(600)
    (update,) = [row for row in fold(CLUSTER, c.records)["spans"] if row["name"] == "Deployment.Update"]
    assert abs(update["start_time"] - removed) <= SECOND
