"""``ApiServer``: the server, which runs in its own thread. See the package."""

import asyncio
import contextlib
import itertools
import json
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.apiserver import control, forwarding, handlers, port_forward, reviews, statuses, views
from tests.apiserver import faults as f
from tests.apiserver.certificate import Authority
from tests.apiserver.http import BadRequestError, Connection, Request
from tests.apiserver.kubeconfig import write_kubeconfig
from tests.apiserver.replaying import Replay
from tests.apiserver.resources import Json, Resource
from tests.apiserver.storage import Storage, decode
from tests.apiserver.watching import Watch, WatchOptions, spoil, trickle

HOST = "127.0.0.1"
DEFAULT_WATCH = 1800.0
"""Length in seconds of a watch without timeoutSeconds."""
_TEXT = "text/plain; charset=utf-8"
_NO_SNIFF = {"X-Content-Type-Options": "nosniff"}
_UNAUTHENTICATED = ("/healthz", "/livez", "/readyz")


def _connected(server: asyncio.Server) -> bool:
    """True if connections are left, including TLS handshakes. The loop must not end before them."""
    transports = getattr(server, "_active_count", 0) or getattr(server, "_clients", None)
    return bool(transports) or len(asyncio.all_tasks()) > 1


class ApiServer:
    """A Kubernetes API server on 127.0.0.1. A context manager: it serves from ``__enter__`` to ``__exit__``.

    Args:
        token: the required bearer token (None: none); ``tokens`` can be changed while the server runs.
        port: 0 uses a free one, and keeps it over ``stop`` and ``start``.
        https: use a certificate of its own CA (``authority``). A client with a certificate of that CA is authenticated
            as its common name if that is in ``users``; one with a certificate of another CA fails the handshake, as at
            a proxy that verifies certificates. A new ``authority`` is used from the next ``start`` on.
        bookmark_interval: seconds.
        reviewed (attribute): the users that reviews know, and their rights.
        backends (attribute): what runs behind Services (``run_behind``).
        too_large_wait: seconds before the answer to a list at a future version (3 in a real server).
        clock: the current time (Unix ns).
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        port: int = 0,
        https: bool = False,
        bookmark_interval: float = 60.0,
        too_large_wait: float = 0.0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.storage = Storage(clock)
        self.storage.listen(self._changed)
        self.faults = f.Faults(self._wake_all)
        self.tokens: set[str] = {token} if token else set()
        self.forbidden: set[tuple[str, str, str]] = set()
        self.bookmark_interval = bookmark_interval
        self.too_large_wait = too_large_wait
        self.paused = False
        self.requests: deque[Request] = deque(maxlen=100_000)
        self.port = port
        self.connections_accepted = 0
        self.failures: list[BaseException] = []
        self.replays: list[Replay] = []
        self.users: set[str] = set()
        self.reviewed = reviews.Users()
        self.backends = forwarding.Backends()
        self.authority = Authority() if https else None
        self._counts: Counter[tuple[str, str]] = Counter()
        self._watches: dict[str, set[Watch]] = {}
        self._pending: set[str] = set()
        self._pending_lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None
        for namespace in ("default", "kube-system"):
            self.put("v1/namespaces", {"metadata": {"name": namespace}, "status": {"phase": "Active"}})

    # life ------------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"{'https' if self.authority else 'http'}://{HOST}:{self.port}"

    @property
    def certificate_path(self) -> Path | None:
        """The CA of the server's certificate; None without https."""
        return self.authority.path if self.authority else None

    def start(self) -> None:
        """Start listening on the previous port with the previous state. Returns once it listens."""
        if self._thread is not None:
            raise RuntimeError("the server runs already")
        ready = threading.Event()
        failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(ready, failed), name="apiserver", daemon=True)
        self._thread.start()
        ready.wait()
        if failed:
            self._thread.join()
            self._thread = None
            raise failed[0]

    def stop(self) -> None:
        """Close every connection and refuse new ones until ``start``."""
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None or loop is None or stopping is None:
            return
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        self._thread = self._loop = self._stopping = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for replay in self.replays:
            replay.stop()
        self.faults.clear()
        self.stop()
        if self.authority:
            self.authority.remove()
        if error is None and self.failures:
            raise self.failures[0]

    def kubeconfig(
        self, path: Path | str, *, token: str | None = None, user: Json | None = None, cluster: Json | None = None
    ) -> Path:
        """Write a kubeconfig for this server; return its path.

        It has ``token`` (or a token that the server accepts) or another ``user`` entry, and additional ``cluster``
        fields.
        """
        used = token or next(iter(sorted(self.tokens)), None)
        cluster = {"server": self.url} | (cluster or {})
        if self.authority and "certificate-authority-data" not in cluster:
            cluster["certificate-authority"] = str(self.authority.path)
        if user is None:
            user = {"token": used} if used else {}
        write_kubeconfig(Path(path), cluster, user)
        return Path(path)

    # state -----------------------------------------------------------------------------------------------------------

    def put(self, resource: str, obj: Mapping[str, Any]) -> str:
        """Create or replace an object; return its new resourceVersion."""
        return str(self.storage.put(resource, obj).version)

    def get(self, resource: str, namespace: str, name: str) -> Json | None:
        stored = self.storage.get(resource, namespace, name)
        return decode(stored.raw) if stored else None

    @property
    def cluster_uid(self) -> str:
        """The uid of the namespace kube-system."""
        return self.storage.collection("v1/namespaces").objects["", "kube-system"].uid

    def patch(self, resource: str, namespace: str, name: str, patch: Mapping[str, Any]) -> str:
        """Merge into an object; return its new resourceVersion. Raises KeyError if it does not exist."""
        with self.storage.lock:
            found = self.get(resource, namespace, name)
            if found is None:
                raise KeyError(f"no {resource} {namespace}/{name}")
            merged = handlers.merge(found, dict(patch))
            if merged.get("spec") != found.get("spec"):
                merged["metadata"].pop("generation", None)
            return self.put(resource, merged)

    def run_behind(self, namespace: str, name: str, address: tuple[str, int], labels: Json | None = None) -> None:
        """Create a Service and its Pod, behind which something listens at an address of this machine."""
        for resource, obj in forwarding.service_and_pod(namespace, name, labels):
            self.put(resource, obj)
        self.backends.addresses[namespace, name] = address

    def terminate(self, resource: str, namespace: str, name: str) -> str:
        """Set the deletionTimestamp, like the deletion of an object with finalizers."""
        return self.patch(resource, namespace, name, {"metadata": {"deletionTimestamp": self.storage.timestamp()}})

    def delete(self, resource: str, namespace: str, name: str) -> str:
        """Delete an object (a CRD with its resources); return the resourceVersion of the deletion."""
        return str(self.storage.delete(resource, namespace, name).version)

    def add_resource(
        self, name: str, kind: str, *, namespaced: bool = True, verbs: Iterable[str] | None = None
    ) -> None:
        """Serve a resource (``example.com/v1/widgets``) without a CRD."""
        extra = {"verbs": tuple(verbs)} if verbs else {}
        self.storage.add_resource(Resource(name, kind, namespaced, True, **extra))
        self._wake_all()

    def remove_resource(self, name: str) -> None:
        self.storage.remove_resource(name)

    def compact(self, version: int | str | None = None, resource: str | None = None) -> None:
        """Drop the history up to a version (None: all); older watches and continue tokens get 410."""
        self.storage.compact(None if version is None else int(version), resource)
        self._wake_all()

    def serve_recording(
        self,
        path: Path | str,
        speed: float = 1.0,
        resources: Iterable[str] | None = None,
        *,
        stepwise: bool = False,
        wait_for: Iterable[str] = (),
    ) -> Replay:
        """Serve a recording: its first lists at once, its changes at the recorded pace times ``speed`` (0: no delays).

        With ``stepwise``, changes wait for ``Replay.advance``. ``wait_for``: resources that must be watched before the
        first change.
        """
        replay = Replay(self.storage, Path(path), speed, None if resources is None else frozenset(resources))
        self.replays.append(replay)
        self._wake_all()
        if not stepwise:
            waited = tuple(wait_for)
            replay.start(lambda: all(self.open_watches(resource) for resource in waited))
        return replay

    # counting --------------------------------------------------------------------------------------------------------

    def requests_seen(self, resource: str | None = None, verb: str | None = None) -> int:
        """Requests so far; ``resource`` is the path for discovery. Verbs as in ``Faults.add``."""
        return sum(n for (a, b), n in list(self._counts.items()) if resource in (None, a) and verb in (None, b))

    def request_counts(self) -> dict[tuple[str, str], int]:
        """Requests by (resource, verb)."""
        return dict(self._counts)

    def open_watches(self, resource: str | None = None) -> int:
        return sum(len(watches) for name, watches in list(self._watches.items()) if resource in (None, name))

    def watched(self) -> set[str]:
        """The resources with an open watch."""
        return {name for name, watches in list(self._watches.items()) if watches}

    def forbid(self, resource: str, verb: str = "*", namespace: str = "*") -> None:
        """Answer requests of a resource with 403 until ``allow``, everywhere or in one namespace."""
        self.forbidden.add((resource, verb, namespace))

    def allow(self, resource: str, verb: str = "*", namespace: str = "*") -> None:
        self.forbidden.discard((resource, verb, namespace))

    def pause(self) -> None:
        """Deliver nothing in any watch; lists are still answered."""
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self._wake_all()

    # the thread ------------------------------------------------------------------------------------------------------

    def _run(self, ready: threading.Event, failed: list[BaseException]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:  # passed to start() or __exit__
            (self.failures if ready.is_set() else failed).append(error)
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        tls = None
        if self.authority:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*self.authority.issue(HOST))
            tls.load_verify_locations(self.authority.path)
            tls.verify_mode = ssl.CERT_OPTIONAL
        patience = {"ssl_handshake_timeout": 2.0} if tls else {}
        tasks: set[asyncio.Task[None]] = set()
        stopping = asyncio.Event()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            self.connections_accepted += 1
            try:
                await self._converse(Connection(reader, writer))
            except asyncio.CancelledError:
                pass
            finally:
                tasks.discard(task)

        server = await asyncio.start_server(
            accept, HOST, self.port, limit=2**20, ssl=tls, reuse_address=True, **patience
        )
        self.port = server.sockets[0].getsockname()[1]
        with self._pending_lock:
            self._pending.clear()
        self._loop, self._stopping = asyncio.get_running_loop(), stopping
        ready.set()
        await stopping.wait()
        # A connection that was accepted just now has a task that has not run yet, and has no server after close().
        for listening in server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        await asyncio.sleep(0)
        server.close()
        while _connected(server):
            for task in list(tasks):
                task.cancel()
            await asyncio.sleep(0.002)
        await server.wait_closed()

    async def _converse(self, connection: Connection) -> None:
        try:
            while connection.usable:
                request = await connection.next_request()
                if request is None:
                    break
                request.user = connection.user
                await self._answer(connection, request)
        except (BadRequestError, OSError):
            pass
        except asyncio.CancelledError:
            connection.writer.transport.abort()  # a client that does not read would delay the closing
            raise
        except Exception as error:
            self.failures.append(error)
        finally:
            await connection.close()

    async def _answer(self, connection: Connection, request: Request) -> None:
        if request.path.startswith(control.PREFIX):
            await connection.respond(request, *control.answer(self, request))
            return
        self.requests.append(request)
        try:
            await self._dispatch(connection, request)
        except statuses.StatusError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
            body = json.dumps(error.body, separators=(",", ":")).encode() + b"\n"
            await connection.respond(request, error.code, body, headers=headers)
        except handlers.NoRouteError:
            await connection.respond(request, 404, b"404 page not found\n", _TEXT, _NO_SNIFF)

    async def _dispatch(self, connection: Connection, request: Request) -> None:
        if request.path in _UNAUTHENTICATED:
            await connection.respond(request, 200, b"ok", _TEXT)
            return
        if (review := reviews.find_review(request)) is not None:
            await self._review(connection, request, review)
            return
        if (proxied := forwarding.find_proxied(request)) is not None:
            await self._proxy(connection, request, proxied)
            return
        if (forwarded := port_forward.find_forwarded(request)) is not None:
            await self._forward(connection, request, forwarded)
            return
        try:
            target = handlers.find_target(self.storage, request.path)
        except handlers.NoRouteError:
            self._count(request, request.path, "unknown")
            self._authenticate(request)
            raise
        request.verb = "discovery" if target is None else handlers.verb_of(request, target)
        self._count(request, request.path if target is None else target.resource.name, request.verb)
        self._authenticate(request)
        if await self._refused(connection, request):
            return
        if target is None:
            body = json.dumps(handlers.discover(self.storage, request.path), separators=(",", ":")).encode()
            await connection.respond(request, 200, body + b"\n")
            return
        asked = itertools.product([request.resource], ["*", request.verb], ["*", target.namespace])
        if not self.forbidden.isdisjoint(asked):
            verb = "list" if request.verb == "continue" else request.verb
            raise statuses.forbidden(target.resource, verb, target.namespace, target.name)
        await self._serve_target(connection, request, target)

    async def _proxy(self, connection: Connection, request: Request, target: forwarding.Proxied) -> None:
        verb = forwarding.verb_of(request)
        self._count(request, forwarding.PROXY, verb)
        self._authenticate(request)
        if not self.forbidden.isdisjoint(itertools.product([forwarding.PROXY], ["*", verb], ["*", target.namespace])):
            raise forwarding.forbidden(target, verb, statuses.USER)
        if await self._refused(connection, request):
            return
        if self.get("v1/services", target.namespace, target.name) is None:
            raise statuses.not_found(self.storage.collection("v1/services").resource, target.name)

        def is_cut() -> bool:
            return self.faults.take(forwarding.PROXY, verb, f.Break) is not None

        await forwarding.forward(self.backends, connection, request, target, is_cut)

    async def _forward(self, connection: Connection, request: Request, target: port_forward.Forwarded) -> None:
        self._count(request, port_forward.PORT_FORWARD, "create")
        self._authenticate(request)
        if (port_forward.PORT_FORWARD, "create", "*") in self.forbidden:
            raise port_forward.forbidden(target, statuses.USER)
        if self.get("v1/pods", target.namespace, target.pod) is None:
            raise statuses.not_found(self.storage.collection("v1/pods").resource, target.pod)
        address = self.backends.addresses.get((target.namespace, target.pod.removesuffix("-0")))
        await port_forward.forward(connection, request, target, address)

    async def _review(self, connection: Connection, request: Request, resource: Resource) -> None:
        self._count(request, resource.name, "create")
        self._authenticate(request)
        if (resource.name, "create", "*") in self.forbidden:
            raise statuses.forbidden(resource, "create", "")
        if not await self._refused(connection, request):
            await connection.respond(request, 201, reviews.answer(self.reviewed, resource, request))

    def _count(self, request: Request, resource: str, verb: str) -> None:
        request.resource, request.verb = resource, verb
        self._counts[resource, verb] += 1

    def _authenticate(self, request: Request) -> None:
        if not self.tokens and not self.users:
            return
        # The scheme is case-insensitive (RFC 9110, section 11.1); the official client writes "bearer" in a pod.
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if request.user not in self.users and (scheme.lower() != "bearer" or given not in self.tokens):
            raise statuses.unauthorized()

    async def _refused(self, connection: Connection, request: Request) -> bool:
        injection = self.faults.take(request.resource, request.verb, f.Gone, f.Refuse)
        if injection is None:
            return False
        if isinstance(injection.fault, f.Gone):
            raise self._gone(request)
        assert isinstance(injection.fault, f.Refuse)
        code, retry = injection.fault.code, injection.fault.retry_after
        if code == 429:
            # Priority and fairness answers in plain text.
            headers = {"Retry-After": str(retry or 1)} | _NO_SNIFF
            await connection.respond(request, 429, b"Too many requests, please try again later.\n", _TEXT, headers)
            return True
        raise statuses.StatusError(statuses.generic(code), retry)

    def _gone(self, request: Request) -> statuses.StatusError:
        if request.verb == "continue":
            return handlers.expired_continue(request.params["continue"])
        if request.verb == "watch":
            resource = self.storage.collection(request.resource).resource
            version = handlers.number(request.params, "resourceVersion") or 0
            return statuses.StatusError(statuses.watch_too_old(resource, version, version + 1))
        return statuses.list_too_old()

    async def _serve_target(self, connection: Connection, request: Request, target: handlers.Target) -> None:
        if request.verb == "watch":
            await self._watch(connection, request, target)
        elif request.verb in ("list", "continue"):
            await self._list(connection, request, target)
        elif request.verb == "get":
            await connection.respond(request, 200, handlers.get_object(self.storage, target, request))
        else:
            await connection.respond(request, *handlers.write_object(self.storage, target, request))

    async def _list(self, connection: Connection, request: Request, target: handlers.Target) -> None:
        def render(raw: bytes) -> bytes:
            return spoil(self.faults, request.resource, request.verb, raw)

        try:
            body = handlers.list_objects(self.storage, target, request, render)
        except statuses.StatusError as error:
            if error.code == 504:
                await asyncio.sleep(self.too_large_wait)
            raise
        injection = self.faults.take(request.resource, request.verb, f.Break, f.Stall, f.Slow)
        if injection is None:
            await connection.respond(request, 200, body)
            return
        connection.begin(request, 200)
        if isinstance(injection.fault, f.Slow):
            await trickle(connection, body, injection)
            await connection.end()
            return
        connection.chunk(body[: len(body) // 2])
        if isinstance(injection.fault, f.Break):
            await connection.cut(reset=injection.fault.reset)
            return
        while not injection.lifted:
            await asyncio.sleep(0.02)
        connection.chunk(body[len(body) // 2 :])
        await connection.end()

    async def _watch(self, connection: Connection, request: Request, target: handlers.Target) -> None:
        watch = Watch(self, connection, target.collection, self._watch_options(request, target))
        watches = self._watches.setdefault(request.resource, set())
        watches.add(watch)
        connection.begin(request, 200)
        try:
            await connection.writer.drain()
            await watch.run()
        finally:
            watches.discard(watch)

    def _watch_options(self, request: Request, target: handlers.Target) -> WatchOptions:
        params = request.params
        initial = handlers.flag(params, "sendInitialEvents")
        if initial and params.get("resourceVersionMatch") != "NotOlderThan":
            raise statuses.initial_events_refused()
        bookmarks = handlers.flag(params, "allowWatchBookmarks")
        return WatchOptions(
            version=None if initial else handlers.number(params, "resourceVersion") or None,
            timeout=float(handlers.number(params, "timeoutSeconds") or DEFAULT_WATCH),
            bookmarks=bookmarks,
            initial_bookmark=initial and bookmarks,
            metadata=views.wants_metadata(request.headers.get("accept", "")),
            select=handlers.select(request, target),
        )

    # waking the watches ----------------------------------------------------------------------------------------------

    def _changed(self, resource: str) -> None:
        with self._pending_lock:
            loop = self._loop
            if loop is None or resource in self._pending:
                return
            self._pending.add(resource)
        with contextlib.suppress(RuntimeError):  # the loop was closed at this moment
            loop.call_soon_threadsafe(self._wake)

    def _wake_all(self) -> None:
        for resource in list(self._watches):
            self._changed(resource)

    def _wake(self) -> None:
        with self._pending_lock:
            pending, self._pending = self._pending, set()
        for resource in pending:
            for watch in self._watches.get(resource, ()):
                watch.wake.set()
