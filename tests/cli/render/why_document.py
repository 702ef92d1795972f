"""Writes ``docs/why.md``: the answers of ``kspan why`` to situations that engineers on call meet.

``python -m tests.cli.render.why_document`` (a part of ``make docs``) writes it again after a change of the traces.
"""

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

from kspan.cli.render.why import as_text
from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay, replayed_with
from kspan.query.objects.names import parse_object
from kspan.query.why import why
from kspan.store import open_store
from kspan.terminal.screen import Screen
from kspan.times import parse_time

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "why.md"

_HEAD = """# Answers of `kspan why`

Written by `make docs`. The first three lines say what failed, why, and the state of the object now; they fold at the
width of the terminal. `history` says who created the object, or its owner, if that is not the reason; `outcome` says
how the trace stands, unless the lines above say it. Below are the chain of causes and the other effects. What is
inferred, and not recorded, has `probably` or its confidence. The inputs are in `tests/data/`; all but those in
`stories/*.jsonl` are recordings of a real cluster.
"""


class Situation(NamedTuple):
    """A question about an input."""

    title: str
    file: str
    object: str
    namespace: str
    at: str = ""


SITUATIONS = (
    Situation("A bare Pod that was OOMKilled", "stories/oom.jsonl", "pod/cache", "shop"),
    Situation(
        "A container that a liveness probe killed",
        "recordings/09-probe-failure/recording.jsonl.gz",
        "pod/web-74d8db89b-5k8g6",
        "probe-failure",
    ),
    Situation("A Pod that flaps", "stories/flapping.jsonl", "pod/web-66c9d8f7b-p8s2d", "shop"),
    Situation("The Deployment of that Pod", "stories/flapping.jsonl", "deploy/web", "shop"),
    Situation("A crash loop", "recordings/03-crashloop/recording.jsonl.gz", "pod/crash-56547dc677-vd7fn", "crashloop"),
    Situation("A Pod that a drain evicted", "stories/drain.jsonl", "pod/web-7d5f8c9b6-k2x8p", "shop"),
    Situation("A preempted Pod", "stories/preemption.jsonl.gz", "pod/low-5994559984-czjk7", "preemption"),
    Situation("A Job past its deadline", "stories/deadline.jsonl", "job/report", "shop"),
    Situation("A rollout whose image cannot be pulled", "stories/image.jsonl", "deploy/web", "shop"),
    Situation("A Pod of that rollout", "stories/image.jsonl", "pod/web-5b8d7c6f4-tq7xn", "shop"),
    Situation("A Pod that waits for a claim", "stories/volumes.jsonl.gz", "pod/b", "volumes", "2026-11-27T07:47:10Z"),
    Situation(
        "The same Pod when it has the claim", "stories/volumes.jsonl.gz", "pod/b", "volumes", "2026-11-27T07:47:52Z"
    ),
    Situation("That Pod after somebody deleted it", "stories/volumes.jsonl.gz", "pod/b", "volumes"),
    Situation("A bad Flux commit: the Deployment", "stories/flux.jsonl", "deploy/web", "shop"),
    Situation("A bad Flux commit: the Kustomization", "stories/flux.jsonl", "kustomization/apps", "flux-system"),
)


def command(asked: Situation) -> str:
    """The command that asks."""
    at = f" --at {asked.at}" if asked.at else ""
    return f"kspan why {asked.object} -n {asked.namespace}{at}"


def answer(asked: Situation) -> str:
    """What it prints into a pipe."""
    with open_store("sqlite://") as store:
        frames = read_frames([str(ROOT / "tests" / "data" / asked.file)])
        replay(store, frames, built_in_rules(), settings=replayed_with())
        (cluster,) = store.clusters()
        with store.reading("ask") as connection:
            wanted = parse_object((asked.object,), asked.namespace)
            found = why(connection, cluster, wanted, at=parse_time(asked.at) if asked.at else 0)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        as_text(found, Screen())
    return printed.getvalue()


def document() -> str:
    """The text of ``docs/why.md``."""
    return "\n".join([_HEAD, *map(_section, SITUATIONS)])


def _section(asked: Situation) -> str:
    return f"## {asked.title}\n\n`{asked.file}`\n\n```text\n$ {command(asked)}\n{answer(asked)}```\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
