"""The OpenAPI 3.1 document of ``/v1``, made from the table of its endpoints and the structs of its answers."""

from functools import cache
from typing import Any, Final

import msgspec

from kspan import __version__
from kspan.query.sql.answer import SqlAnswer, SqlQuestion
from kspan.web.problem import MEDIA_TYPE
from kspan.web.v1.endpoints import ENDPOINTS, Endpoint
from kspan.web.v1.parameters import CLUSTER, Parameter
from kspan.web.v1.stream import PARAMETERS
from kspan.web.v1.wire import EVENTS, STATEMENTS, STREAM, Problem

_Json = dict[str, Any]

_ERRORS: Final = {
    "400": "The request cannot be understood.",
    "401": "A token is needed.",
    "403": "The asker may not see this.",
    "404": "There is no such thing, or the asker may not see it.",
    "414": "The address is too long.",
    "421": "The server is not known by this name.",
    "431": "The headers are too long.",
    "503": "The history cannot be read at the moment.",
    "504": "The answer took too long.",
}


@cache
def document() -> bytes:
    """Return the document as JSON."""
    schemas, components = msgspec.json.schema_components(
        [*(endpoint.answer for endpoint in ENDPOINTS), SqlQuestion, SqlAnswer, Problem],
        ref_template="#/components/schemas/{name}",
    )
    paths = {each.path: {"get": _operation(each, schema)} for each, schema in zip(ENDPOINTS, schemas, strict=False)}
    paths[STREAM] = _stream()
    paths[STATEMENTS] = _statements(schemas[len(ENDPOINTS)], schemas[len(ENDPOINTS) + 1])
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "kspan",
                "version": __version__,
                "description": "The history of a Kubernetes cluster: what happened, and what caused it.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "security": [{}, {"token": []}],
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _operation(endpoint: Endpoint, schema: _Json) -> _Json:
    errors = {status: _problem(about) for status, about in _ERRORS.items()}
    return {
        "operationId": "_".join(part.strip("{}") for part in endpoint.path.split("/")[2:]),
        "summary": endpoint.about,
        "parameters": [_parameter(each) for each in endpoint.parameters],
        "responses": {
            "200": {"description": endpoint.about, "content": {"application/json": {"schema": schema}}},
            "304": {"description": "It is still what the ETag of If-None-Match stands for."},
            **errors,
        },
    }


def _parameter(parameter: Parameter) -> _Json:
    return {
        "name": parameter.name,
        "in": "path" if parameter.in_path else "query",
        "required": parameter.in_path,
        "description": parameter.about,
        "schema": dict(parameter.schema),
        "example": parameter.example,
    }


def _statements(question: _Json, answer: _Json) -> _Json:
    errors = {**_ERRORS, "408": "The statement took too long to arrive.", "413": "It is too large."}
    errors |= {"415": "It was not sent as JSON."}
    return {
        "post": {
            "operationId": "sql",
            "summary": "Runs an SQL statement that can only read.",
            "description": "Only with --serve-sql, and for askers who may see everything.",
            "parameters": [_parameter(CLUSTER)],
            "requestBody": {"required": True, "content": {"application/json": {"schema": question}}},
            "responses": {
                "200": {"description": "Its rows.", "content": {"application/json": {"schema": answer}}},
                **{status: _problem(about) for status, about in errors.items()},
            },
        }
    }


def _problem(about: str) -> _Json:
    return {"description": about, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _stream() -> _Json:
    return {
        "get": {
            "operationId": "stream",
            "summary": "News: traces when they open and close, and occurrences.",
            "description": "Server-sent events `trace` (TraceItem) and `occurrence` (LineAnswer). A client that comes "
            "back with Last-Event-ID gets what it missed; `reset` says that this is not possible.",
            "parameters": [_parameter(each) for each in PARAMETERS],
            "responses": {
                "200": {
                    "description": "A stream without an end.",
                    "content": {EVENTS: {"schema": {"type": "string"}}},
                },
                **{status: _problem(_ERRORS[status]) for status in ("400", "401", "403", "503")},
            },
        }
    }
