"""Log formats, and secrets that are masked."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from kspan.terminal import logging_setup as logs


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_off_a_terminal_each_record_is_a_json_object_with_its_fields(root_logger: logging.Logger) -> None:
    out = io.StringIO()
    logs.set_up("info", out)
    logging.getLogger("kspan.x").warning("gone %d", 1, extra={"resource": "v1/pods", "namespace": "default"})
    logging.getLogger("kspan.x").debug("not logged")
    line = json.loads(out.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "kspan.x",
        "message": "gone 1",
        "resource": "v1/pods",
        "namespace": "default",
    }


def test_an_error_is_one_line_of_json_too(root_logger: logging.Logger) -> None:
    out = io.StringIO()
    logs.set_up("info", out)
    try:
        raise ValueError("Authorization: Bearer abcdef.123456")
    except ValueError:
        logging.getLogger("kspan.x").exception("it broke")
    (line,) = out.getvalue().splitlines()
    assert "ValueError" in json.loads(line)["error"]
    assert "abcdef" not in line


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer s3cr3t-t0ken",
        "{'authorization': 'Bearer s3cr3t-t0ken'}",
        "Authorization: Basic s3cr3t-t0ken==",
        "HTTPSConnectionPool(host='x'): /api?token=s3cr3t-t0ken&watch=1",
        "postgresql://kspan:s3cr3t-t0ken@db/kspan",
        "password=s3cr3t-t0ken",
        '{"access_token": "s3cr3t-t0ken"}',
        "x-api-key: s3cr3t-t0ken",
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.s3cr3t-t0ken",
    ],
)
def test_no_token_is_logged(text: str) -> None:
    shown = logs.masked(text)
    assert "s3cr3t" not in shown
    assert logs.MASK in shown


def test_text_without_a_secret_is_not_changed() -> None:
    text = "v1/secrets is not watched: 403 secrets is forbidden; retrying in 600 s (http://127.0.0.1:80/a)"
    assert logs.masked(text) == text
