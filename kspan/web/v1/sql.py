"""``/v1/sql``: runs a statement that can only read. It is the only address of ``/v1`` with POST."""

import itertools
from typing import Any, Final

import anyio
import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kspan.errors import QueryError
from kspan.query.sql.answer import SqlAnswer, SqlQuestion, to_wire
from kspan.query.sql.lexer import read_statement
from kspan.query.sql.result import size_of
from kspan.query.sql.run import run_statement
from kspan.query.visible import Visible
from kspan.store import Store
from kspan.store.tables.cluster_names import has_others
from kspan.web.access.asker import AskedCluster, asked_cluster, of_asker
from kspan.web.history import History, Turns
from kspan.web.v1.problems import BadRequestError, with_problems
from kspan.web.v1.wire import STATEMENTS

NOT_SERVED: Final = "SQL is not served here: start kspan run or kspan serve with --serve-sql"

ROWS: Final = 100_000
"""Maximum number of rows of an answer."""

BYTES: Final = 32 << 20
"""Bytes of values after which an answer ends."""

ROW_BYTES: Final = 8 << 20
"""Maximum size of a row."""

SECONDS: Final = 30.0
"""Longest time that a statement may take."""

LARGEST: Final = 64 << 10
"""Bytes of a question."""

BODY_S: Final = 10.0
"""Seconds that a question may take to arrive."""

_AT_ONCE: Final = 2
_WAITING: Final = 8
_JSON: Final = "application/json"

_encode = msgspec.json.Encoder(decimal_format="number").encode


def route(history: History) -> Route:
    """Return the route."""
    asked = _Statements(history)

    async def answer(request: Request) -> Response:
        if request.method != "POST":
            raise HTTPException(405, "send a statement with POST", {"Allow": "POST"})
        if not history.serves_sql:
            raise HTTPException(403, NOT_SERVED)
        # A page of another site can send a form or text to this machine, but not this type without being asked first.
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
            raise HTTPException(415, f"the statement has to be sent as {_JSON}")
        return Response(await asked.answer(_question(await _body(request))), media_type=_JSON)

    return Route(STATEMENTS, with_problems(answer), methods=["GET", "POST"])


class _Statements:
    """Runs statements, a few at once."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._turns = Turns(_AT_ONCE, _WAITING)

    async def answer(self, question: SqlQuestion) -> bytes:
        return await self._turns.run(self._run, question, of_asker())

    def _store(self, asked: AskedCluster, question: SqlQuestion) -> tuple[Store, str]:
        """Return the store and the value of ``:cluster``: empty if there are several, and it is not needed."""
        store, own = self._history.store()
        if self._history.private and _has_others(store, own):
            # A statement can read all of the database, and the asker has rights in one of its clusters. The answer is
            # that of a server that serves no SQL, so that it does not reveal the others.
            raise HTTPException(403, NOT_SERVED)
        if not own and not asked.given:
            needed = "cluster" in read_statement(question.statement, store.dialect).parameters
            if not needed or "cluster" in question.parameters:
                return store, ""
        return self._history.resolve(asked)

    def _run(self, question: SqlQuestion, visible: Visible) -> bytes:
        if not visible.everything():
            raise HTTPException(403, "statements are only for those who may list the Events of all namespaces")
        limit = min(question.limit or ROWS, ROWS)
        seconds = min(question.timeout or SECONDS, SECONDS)
        try:
            store, cluster = self._store(asked_cluster(), question)
            values = {"cluster": cluster, **question.parameters}
            statement = read_statement(question.statement, store.dialect)
            with run_statement(store, statement, values, seconds, limit + 1, ROW_BYTES * 4, shared=True) as result:
                found: list[list[Any]] = []
                size = 0
                for row in itertools.islice(result.rows, limit + 1):
                    if len(found) == limit or size > BYTES:
                        return _encode(SqlAnswer(store.dialect, result.columns, found, more=True))
                    size += size_of(row)
                    found.append([to_wire(value) for value in row])
                return _encode(SqlAnswer(store.dialect, result.columns, found, more=False))
        except QueryError as error:
            raise BadRequestError(str(error)) from error


def _has_others(store: Store, cluster: str) -> bool:
    with store.reading("look for other clusters", seconds=SECONDS) as connection:
        return has_others(connection, cluster)


def _question(body: bytes) -> SqlQuestion:
    try:
        question = msgspec.json.decode(body, type=SqlQuestion)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRequestError(f"the body is not a statement: {error}") from None
    if question.limit < 0 or question.timeout < 0:
        raise BadRequestError("limit and timeout must not be negative")
    return question


async def _body(request: Request) -> bytes:
    body = b""
    with anyio.move_on_after(BODY_S):
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                raise HTTPException(413, f"a statement has at most {LARGEST} bytes")
        return body
    raise HTTPException(408, "the statement took too long to arrive")
