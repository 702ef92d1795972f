"""Data files and helpers for the tests of the readers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kspan.errors import InputError
from kspan.ingest import Frame, read_frames

DATA = Path(__file__).parents[2] / "data"
RECORDING = DATA / "recordings" / "01-deployment-create" / "recording.jsonl.gz"
CAPTURE = DATA / "kspan-go" / "deployment-2-pods.yaml"
INPUTS = DATA / "inputs"
KUBECTL_JSON = INPUTS / "kubectl-get-mixed.json"
KUBECTL_YAML = INPUTS / "kubectl-get-mixed.yaml"

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "11111111-2222-3333-4444-555555555555",
        "resourceVersion": "7",
        "creationTimestamp": "2026-11-22T10:00:00Z",
    },
}


def record(**changes: Any) -> bytes:
    """A valid line of a recording (an added Pod) with changed fields; None removes a field."""
    line = {"received": "2026-11-22T10:00:00.000001Z", "resource": "v1/pods", "type": "ADDED", "object": POD}
    return json.dumps({key: value for key, value in {**line, **changes}.items() if value is not None}).encode()


def write(folder: Path, *lines: bytes, name: str = "input") -> str:
    path = folder / name
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return str(path)


def read(*paths: str | Path) -> list[Frame]:
    return list(read_frames([str(path) for path in paths]))


def read_until_error(*paths: str) -> tuple[list[Frame], InputError | None]:
    """The frames before the error, and the error."""
    frames: list[Frame] = []
    try:
        for frame in read_frames(paths):
            frames.append(frame)  # noqa: PERF402 - the frames before the error count
    except InputError as error:
        return frames, error
    return frames, None


def read_skipping(paths: Sequence[str]) -> tuple[list[Frame], list[InputError]]:
    skipped: list[InputError] = []
    return list(read_frames(paths, skip_bad=True, on_skip=skipped.append)), skipped
