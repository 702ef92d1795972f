"""Lists of single namespaces, as in dumps, delete nothing: neither one another's objects nor what was known before."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.store import open_store
from kspan.times import parse_time

NAMESPACES = ("shop", "kube-system", "web", "data")

dumped = st.tuples(
    st.sampled_from(NAMESPACES),
    st.sets(st.integers(0, 3), min_size=1),  # the objects that are in the list
    st.sampled_from([100, 100, 150, 200]),  # the version of the list
)
dumps = st.lists(st.lists(dumped, min_size=1, max_size=4, unique_by=lambda dump: dump[0]), min_size=1, max_size=4)


def deployment(namespace: str, number: int) -> dict[str, Any]:
    meta = {"name": f"d{number}", "namespace": namespace, "uid": f"{namespace}-{number}", "resourceVersion": "50"}
    meta |= {"creationTimestamp": "2026-05-01T10:00:00Z"}
    return {"metadata": meta, "spec": {"replicas": 1}, "status": {}}


def typed_list(version: int, items: list[dict[str, Any]], **more: str) -> str:
    metadata = {"resourceVersion": str(version), **more}
    return json.dumps(
        {"kind": "DeploymentList", "apiVersion": "apps/v1", "metadata": metadata, "items": items}, indent=1
    )


def service(version: int, **selector: str) -> dict[str, Any]:
    meta = {"name": "web", "namespace": "shop", "uid": "s", "resourceVersion": str(version)}
    meta |= {"creationTimestamp": "2026-05-01T10:00:00Z"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": selector}}


def snapshot(second: int, *items: dict[str, Any]) -> str:
    """A list of kubectl with a Node that sent a heartbeat in this second after 11:00."""
    meta = {"name": "n", "uid": "n", "resourceVersion": str(second), "creationTimestamp": "2026-05-01T10:00:00Z"}
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": f"2026-05-01T11:00:{second:02}Z"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": {"conditions": [ready]}}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [node, *items], "metadata": {}}, indent=1)


@pytest.mark.parametrize("calls", [1, 2])
def test_a_change_that_states_no_time_was_made_between_the_two_lists_that_show_it(calls: int, tmp_path: Path) -> None:
    files = [tmp_path / "before.json", tmp_path / "after.json"]
    files[0].write_text(snapshot(10, service(5, app="web")))
    files[1].write_text(snapshot(50, service(9, app="web", ver="v2")))
    with open_store("sqlite://") as store:
        for group in [files] if calls == 1 else [files[:1], files[1:]]:
            replay(store, read_frames([str(file) for file in group]), built_in_rules(), cluster="c")
        (span,) = store.projection_rows("c", "spans")
    assert span["attributes"]["kspan.change.summary"] == "selector.ver: v2"
    assert span["start_time"] == parse_time("2026-05-01T11:00:30Z")
    assert span["attributes"]["kspan.time.uncertainty"] == 20


@settings(max_examples=60, deadline=None)
@given(calls=dumps, whole_before=st.booleans(), in_one_file=st.booleans(), partial=st.booleans())
def test_lists_of_single_namespaces_delete_nothing(
    calls: list[list[tuple[str, set[int], int]]], whole_before: bool, in_one_file: bool, partial: bool
) -> None:
    """Each call replays some lists: files of their own, or one after the other in one file as on standard output; with
    the first part of a list of the whole cluster at the end."""
    known: set[str] = set()
    with TemporaryDirectory() as folder, open_store("sqlite://") as store:
        path = Path(folder)
        if whole_before:
            everything = [deployment(namespace, n) for namespace in NAMESPACES for n in range(4)]
            (path / "whole.json").write_text(typed_list(60, everything))
            replay(store, read_frames([str(path / "whole.json")]), built_in_rules(), cluster="c")
            known = {obj["metadata"]["uid"] for obj in everything}
        for lists in calls:
            texts = [typed_list(version, [deployment(ns, n) for n in sorted(names)]) for ns, names, version in lists]
            if partial:
                texts.append(typed_list(300, [deployment("shop", 0), deployment("web", 0)], **{"continue": "token"}))
                known |= {"shop-0", "web-0"}
            files = [path / f"{number}.json" for number in range(len(texts))]
            for file, text in zip(files, texts, strict=True):
                file.write_text(text)
            if in_one_file:
                files = [path / "all.json"]
                files[0].write_text("\n".join(texts))
            replay(store, read_frames([str(file) for file in files]), built_in_rules(), cluster="c")
            known |= {f"{namespace}-{n}" for namespace, names, _ in lists for n in names}
        assert {row["uid"] for row in store.projection_rows("c", "objects") if not row["deleted_at"]} == known
        assert list(store.projection_rows("c", "spans")) == []
