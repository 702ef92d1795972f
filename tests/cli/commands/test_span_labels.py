"""``--span-label``: a flag, an environment variable, a key of the settings file; recorded with the history."""

import json
from pathlib import Path

import pytest

from kspan.store import open_store
from tests.cli.commands.test_commands import kspan
from tests.recordings import recording


@pytest.mark.parametrize("way", ["flag", "environment", "file"])
def test_spans_about_a_pod_carry_a_label(tmp_path: Path, way: str) -> None:
    config, out, db = tmp_path / "config.toml", tmp_path / "out.jsonl", tmp_path / "db.sqlite"
    config.write_text('span-label = ["app", "none.example/x"]\n' if way == "file" else "")
    flags = ("--span-label", "app", "--span-label", "none.example/x") if way == "flag" else ()
    environment = {"KSPAN_SPAN_LABEL": "app none.example/x"} if way == "environment" else {}
    arguments = ("--db", db, "--export", f"file:{out}", "--no-progress", "--config", config, *flags)
    done = kspan("replay", recording("01-deployment-create"), *arguments, environment=environment)
    assert done.returncode == 0, done.stderr
    spans = [
        {each["key"]: each["value"] for each in span["attributes"]}
        for line in out.read_text().splitlines()
        for scope in json.loads(line)["resourceSpans"]
        for span in scope["scopeSpans"][0]["spans"]
    ]
    labelled = [span for span in spans if "k8s.pod.label.app" in span]
    assert labelled
    assert all("k8s.pod.name" in span for span in labelled)
    assert not any("k8s.pod.label.none.example/x" in span for span in spans)
    with open_store(str(db), read_only=True) as store:
        (period,) = store.fold_periods(*store.clusters())
        assert period.inputs.settings.span_labels == ("app", "none.example/x")
