"""The answers of /v1 are those that its OpenAPI document describes, for requests made from that document."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.store import open_store
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import History
from tests.recordings import recording

EXAMPLES: Final = 15
"""Requests of each operation and mode."""

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ASGIApp]:
    path = str(tmp_path_factory.mktemp("openapi") / "db.sqlite")
    with open_store(path) as writing:
        replay(writing, read_frames([str(recording("02-rolling-update"))]), built_in_rules())
    with open_store(path, read_only=True) as store:
        (cluster,) = store.clusters()
        yield make_app({}, Access(hosts=None), History(lambda _: (store, cluster)))


def disagreements(app: ASGIApp, mode: GenerationMode) -> tuple[int, list[str]]:
    """Return the number of operations in the document of an application, and where its answers differ from it.

    Streams without an end are left out: they have tests of their own.
    """
    asked, found = 0, []
    for result in schemathesis.openapi.from_asgi("/v1/openapi.json", app).get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        if "text/event-stream" in str(operation.definition.raw):
            continue
        given_in = [each["in"] for each in operation.definition.raw.get("parameters", [])]
        if mode is GenerationMode.NEGATIVE and "query" not in given_in:
            continue  # Without parameters, none can be wrong.
        asked += 1

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        try:
            ask()
        except FailureGroup as group:
            found += [f"{operation.label}: {failure}" for failure in group.exceptions]
    return asked, found


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_answers_are_as_documented(app: ASGIApp, mode: GenerationMode) -> None:
    asked, found = disagreements(app, mode)
    assert found == []
    assert asked > 0


@pytest.mark.parametrize(
    "answer, expected",
    [
        (Response('{"count":1}', media_type="application/json"), []),
        (Response('{"count":"1"}', media_type="application/json"), ["GET /v1/count: Response violates schema"]),
        (Response("1", media_type="text/plain"), ["GET /v1/count: Undocumented Content-Type"]),
        (Response("{}", 418, media_type="application/json"), ["GET /v1/count: Undocumented status code"]),
        (
            Response("{}", 500, media_type="application/json"),
            ["GET /v1/count: Server error", "GET /v1/count: Undocumented status code"],
        ),
    ],
    ids=["right", "body", "type", "status", "failure"],
)
def test_an_answer_that_is_not_as_documented_is_found(answer: Response, expected: list[str]) -> None:
    counted = {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer"}}}
    fine = {"description": "the count", "content": {"application/json": {"schema": counted}}}
    parameters = [{"name": "kind", "in": "query", "schema": {"type": "string", "maxLength": 9}}]
    operation = {"parameters": parameters, "responses": {"200": fine, "400": {"description": "a mistake"}}}
    paths = {"/v1/count": {"get": operation}}
    document = {"openapi": "3.1.0", "info": {"title": "a count", "version": "1"}, "paths": paths}

    async def describe(_request: Request) -> Response:
        return JSONResponse(document)

    async def count(_request: Request) -> Response:
        return answer

    made = Starlette(routes=[Route("/v1/openapi.json", describe), Route("/v1/count", count)])
    asked, found = disagreements(made, GenerationMode.POSITIVE)
    assert asked == 1
    assert sorted(text.splitlines()[0] for text in found) == expected
