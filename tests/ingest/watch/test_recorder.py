"""``kspan record``: what the reflectors deliver, in the contract's format."""

import gzip
import threading
from pathlib import Path

import pytest

from kspan.errors import SettingsError
from kspan.ingest import read_frames
from kspan.ingest.frames import Frame, FrameType
from kspan.ingest.watch import Recorded, Selection, Stopped, record
from kspan.ingest.watch.recorder import RecordingFile
from tests.ingest.watch.scripted import Request, Script, ScriptedServer, change, listed, pod, sends, stay_silent
from tests.ingest.watch.test_watcher import Cluster
from tests.ingest.watch.watching import connection_to, until, word
from tests.limits import HANG_S

POD = b'{"kind":"Pod",\n "metadata":{"uid":"u","resourceVersion":"5","name":"a"}}'


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_a_recording_can_be_read_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    cluster = Cluster()
    script = Script(listed(10, pod("a", 5)), sends(change("MODIFIED", pod("a", 11)), then=stay_silent))
    stop, result = threading.Event(), list[Recorded]()

    def answer(request: Request, reply: object) -> None:
        (script if request.path == "/api/v1/pods" else cluster)(request, reply)  # type: ignore[arg-type]

    with ScriptedServer(answer) as server:
        connection = connection_to(server.url, tmp_path)
        selection = Selection(watch=("pods",))
        thread = threading.Thread(target=lambda: result.append(record(connection, selection, str(path), 0, stop)))
        thread.start()
        until(lambda: len(server.requests) and any(request.watch for request in server.requests), "a watch")
        until(lambda: _complete(path, 4), "the change on disk before the end")
        stop.set()
        thread.join(HANG_S)
        connection.close()
    frames = list(read_frames([str(path)]))
    assert [word(frame) for frame in frames] == ["LIST @10", "LISTED a@5", "BOOKMARK @10", "MODIFIED a@11"]
    assert result[0].frames == 4
    assert result[0].resources == {"v1/pods": 4}


def _complete(path: Path, lines: int) -> bool:
    """Whether a file that is still being written shows so many lines."""
    if not path.exists():
        return False
    data = path.read_bytes()
    if path.suffix == ".gz":
        import zlib

        data = zlib.decompressobj(wbits=31).decompress(data) if data else b""
    return data.count(b"\n") >= lines


def test_flushed_frames_survive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.gz"
    file = RecordingFile(str(path))
    file.write(Frame(10**18, "v1/pods", FrameType.ADDED, POD, "", 0))
    file.flush()
    copy = tmp_path / "killed.jsonl.gz"
    copy.write_bytes(path.read_bytes())
    file.close()
    frames = list(read_frames([str(copy)], skip_bad=True))
    assert [word(frame) for frame in frames] == ["ADDED a@5"]
    assert len(gzip.decompress(path.read_bytes()).splitlines()) == 1


@pytest.mark.parametrize("redact_env", [True, False])
def test_a_recording_is_redacted_like_the_journal(tmp_path: Path, redact_env: bool) -> None:
    path = tmp_path / "out.jsonl"
    file = RecordingFile(str(path), redact_env=redact_env)
    spec = b'"spec":{"containers":[{"name":"c","env":[{"name":"PASSWORD","value":"hunter2"}]}]}'
    file.write(Frame(10**18, "v1/pods", FrameType.ADDED, POD[:-1] + b"," + spec + b"}", "", 0))
    file.close()
    assert (b"hunter2" in path.read_bytes()) is not redact_env
    assert [word(frame) for frame in read_frames([str(path)])] == ["ADDED a@5"]


def test_writing_to_a_closed_recording_raises_stopped(tmp_path: Path) -> None:
    file = RecordingFile(str(tmp_path / "out.jsonl"))
    file.close()
    with pytest.raises(Stopped):
        file.write(Frame(10**18, "v1/pods", FrameType.ADDED, POD, "", 0))


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="missing"):
        RecordingFile(str(tmp_path / "missing" / "out.jsonl.gz"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_recording_with_its_reason(tmp_path: Path) -> None:
    with ScriptedServer(Cluster()) as server:
        connection = connection_to(server.url, tmp_path)
        with pytest.raises(SettingsError, match="no space left"):
            record(connection, Selection(), "/dev/full", 5.0, threading.Event())
        connection.close()
