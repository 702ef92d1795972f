"""The endpoints of both query APIs of Jaeger."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kspan import vocabulary
from kspan.emit.otel_spans import ClusterIdentity, readable_span
from kspan.emit.otlp_json_file import encode_lines
from kspan.errors import QueryError, StoreError
from kspan.model import SpanRow, TraceRow
from kspan.query.fleet.choose import AmbiguousClusterError, UnknownClusterError
from kspan.query.traces import read_traces
from kspan.query.visible import Visible
from kspan.web.history import BusyError, History, NotThereError, TooSlowError
from kspan.web.jaeger import legacy, v3
from kspan.web.jaeger import requests as reading
from kspan.web.jaeger.requests import BadRequestError
from kspan.web.jaeger.search import newest_spans, operations, search, services, summarised

_logger = logging.getLogger(__name__)

JSON: Final = "application/json"

_encode = msgspec.json.Encoder().encode
_Found = TypeVar("_Found")


class NoTraceError(Exception):
    """No trace matches."""


def routes(history: History) -> list[Route]:
    """Return the routes of both APIs."""
    old, new = _Legacy(history), _V3(history)
    return [
        Route("/api/services", old.services),
        Route("/api/services/{service:path}/operations", old.operations_of),
        Route("/api/operations", old.operations),
        Route("/api/traces", old.search),
        Route("/api/traces/{trace_id}", old.trace),
        Route("/api/dependencies", old.dependencies),
        Route("/api/v3/services", new.services),
        Route("/api/v3/operations", new.operations),
        Route("/api/v3/trace-summaries", new.summaries),
        Route("/api/v3/traces", new.search),
        Route("/api/v3/traces/{trace_id}", new.trace),
    ]


class _Api:
    """Asks the history, and turns errors into answers of the API."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def _answer(self, work: Callable[[], Awaitable[bytes]]) -> Response:
        try:
            body, status = await work(), 200
        except (BadRequestError, AmbiguousClusterError) as error:
            body, status = self._failure(400, str(error)), 400
        except UnknownClusterError as error:
            body, status = self._failure(404, str(error)), 404
        except NoTraceError as error:
            body, status = self._failure(404, str(error)), 404
        except HTTPException as error:
            body, status = self._failure(error.status_code, error.detail), error.status_code
        except TooSlowError as error:
            body, status = self._failure(504, str(error)), 504
        except (BusyError, NotThereError) as error:
            body, status = self._failure(503, str(error) or "too many questions at once: try again"), 503
        except (StoreError, QueryError) as error:
            _logger.warning("cannot answer a request of the Jaeger API: %s", error)
            body, status = self._failure(503, "the history cannot be read at the moment"), 503
        return Response(body, status, media_type=JSON)

    def _failure(self, status: int, text: str) -> bytes:
        raise NotImplementedError

    async def _ask(self, question: Callable[[Connection, str, Visible], _Found]) -> _Found:
        return await self._history.ask(question)


class _Legacy(_Api):
    """``/api``: for Grafana, and for single traces Jaeger UI."""

    def _failure(self, status: int, text: str) -> bytes:
        return _encode(legacy.Envelope(None, errors=[legacy.Error(status, text)]))

    async def services(self, _request: Request) -> Response:
        async def work() -> bytes:
            return _listed(await self._ask(services))

        return await self._answer(work)

    async def operations_of(self, request: Request) -> Response:
        async def work() -> bytes:
            return _listed(
                await self._ask(lambda c, name, seen: operations(c, name, seen, request.path_params["service"]))
            )

        return await self._answer(work)

    async def operations(self, request: Request) -> Response:
        async def work() -> bytes:
            service = request.query_params.get("service", "")
            if not service:
                raise BadRequestError("service is required")
            names = await self._ask(lambda c, name, seen: operations(c, name, seen, service))
            return _listed([v3.Operation(name) for name in names])

        return await self._answer(work)

    async def search(self, request: Request) -> Response:
        async def work() -> bytes:
            given = request.query_params
            if ids := given.getlist("traceID"):
                wanted = [reading.trace_id(text) for text in ids[:100]]
                return await self._ask(lambda c, name, seen: _traces(c, name, seen, wanted))
            asked = reading.legacy_search(given)
            return await self._ask(lambda c, name, seen: _traces(c, name, seen, search(c, name, seen, asked)))

        return await self._answer(work)

    async def trace(self, request: Request) -> Response:
        async def work() -> bytes:
            wanted = reading.trace_id(request.path_params["trace_id"])
            return await self._ask(lambda c, name, seen: _one(c, name, seen, wanted))

        return await self._answer(work)

    async def dependencies(self, request: Request) -> Response:
        async def work() -> bytes:
            since, until = reading.dependency_window(request.query_params)
            return await self._ask(lambda c, name, seen: _dependencies(newest_spans(c, name, seen, since, until)))

        return await self._answer(work)


class _V3(_Api):
    """``/api/v3``: for Jaeger UI, and for Grafana if its toggle is on."""

    def _failure(self, status: int, text: str) -> bytes:
        return _encode(v3.Failure(v3.Problem(status, text)))

    async def services(self, _request: Request) -> Response:
        async def work() -> bytes:
            return _encode(v3.Services(await self._ask(services)))

        return await self._answer(work)

    async def operations(self, request: Request) -> Response:
        async def work() -> bytes:
            service = request.query_params.get("service", "")
            names = await self._ask(lambda c, name, seen: operations(c, name, seen, service))
            return _encode(v3.Operations([v3.Operation(name) for name in names]))

        return await self._answer(work)

    async def summaries(self, request: Request) -> Response:
        async def work() -> bytes:
            asked = reading.v3_search(request.query_params)
            return await self._ask(lambda c, name, seen: _summaries(c, name, search(c, name, seen, asked)))

        return await self._answer(work)

    async def search(self, request: Request) -> Response:
        async def work() -> bytes:
            asked = reading.v3_search(request.query_params)
            return await self._ask(lambda c, name, seen: _otlp(c, name, seen, search(c, name, seen, asked)))

        return await self._answer(work)

    async def trace(self, request: Request) -> Response:
        async def work() -> bytes:
            wanted = reading.trace_id(request.path_params["trace_id"])
            return await self._ask(lambda c, name, seen: _otlp(c, name, seen, [wanted]))

        return await self._answer(work)


def _listed(found: list[Any]) -> bytes:
    return _encode(legacy.Envelope(found, total=len(found)))


def _dependencies(spans: list[SpanRow]) -> bytes:
    return _listed(legacy.dependencies(spans))


def _summaries(connection: Connection, cluster: str, trace_ids: list[str]) -> bytes:
    return _encode(v3.summaries(summarised(connection, cluster, trace_ids)))


def _traces(connection: Connection, cluster: str, visible: Visible, trace_ids: list[str]) -> bytes:
    identity = {vocabulary.CLUSTER_UID: cluster}
    found = _read(connection, cluster, visible, trace_ids)
    return _listed([legacy.trace_json(*each, identity) for each in found])


def _one(connection: Connection, cluster: str, visible: Visible, trace_id: str) -> bytes:
    if not (found := _read(connection, cluster, visible, [trace_id])):
        raise NoTraceError("trace not found")
    return _listed([legacy.trace_json(*found[0], {vocabulary.CLUSTER_UID: cluster})])


def _otlp(connection: Connection, cluster: str, visible: Visible, trace_ids: list[str]) -> bytes:
    if not (found := _read(connection, cluster, visible, trace_ids)):
        raise NoTraceError("No traces found")
    identity = ClusterIdentity(cluster)
    lines = [line for _, spans in found for line in encode_lines([readable_span(span, identity) for span in spans])]
    return v3.traces_json(lines)


def _read(
    connection: Connection, cluster: str, visible: Visible, trace_ids: list[str]
) -> list[tuple[TraceRow, list[SpanRow]]]:
    """Return the visible ones of these traces. Links into other ones are left out."""
    found = read_traces(connection, cluster, visible.traces(connection, cluster, trace_ids))
    return [(trace, visible.spans(connection, cluster, spans)) for trace, spans in found]
