"""Reporters of Events: client-go's tools/record with its correlator, and the sink that writes them, late or not.

events_cache.go: a spam filter of 25 Events an object, one more each 5 minutes; more than 10 messages of a kind within
10 minutes become one "(combined from similar events)"; the same again only raises a count. The scheduler uses the
newer events.k8s.io API, without a correlator. Each component of a host writes through one queue.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.simulator.cluster import Cluster
from tests.simulator.objects import KCM, Cause, Obj, deleting, micros, name_of, seconds, uid_of
from tests.simulator.truth import Note, Truth

SPAM_BURST, SPAM_REFILL = 25.0, 300
COMBINE_MORE_THAN, COMBINE_WITHIN = 10, 600


@dataclass
class Series:
    """One Event object and what it counted so far."""

    name: str
    about: Obj
    first: float
    count: int = 0
    uid: str | None = None
    written: Obj | None = None


@dataclass
class Report:
    """One occurrence on its way to the API."""

    component: str
    host: str
    reason: str
    message: str
    warning: bool
    cause: Cause
    above: Note | None
    note: Note
    time: float
    count: int = 0
    combined: bool = False
    by_scheduler: bool = False


@dataclass
class Similar:
    messages: set[str] = field(default_factory=set)
    last: float = 0


class Reporters:
    """``dropped``: the share of Events that never arrive."""

    def __init__(self, cluster: Cluster, truth: Truth, dropped: float = 0.0) -> None:
        self.cluster, self.truth, self.dropped = cluster, truth, dropped
        self.series: dict[tuple[Any, ...], Series] = {}
        self._similar: dict[tuple[Any, ...], Similar] = {}
        self._tokens: dict[tuple[Any, ...], tuple[float, float]] = {}
        self._free: dict[tuple[str, str], float] = {}

    def event(
        self,
        component: str,
        o: Obj,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        host: str = "",
        field_path: str | None = None,
        cause: Cause = None,
        above: Note | None = None,
        version: str | None = None,
        by_name: bool = False,
    ) -> Note:
        """Tells it. ``by_name``: a reference of a name only, as the taint eviction controller makes it."""
        scheduler = component == "default-scheduler"
        report = Report(
            component, host, reason, message, warning, cause, above, Note(), self.cluster.now, by_scheduler=scheduler
        )
        about = _reference(o, field_path, version, by_name)
        subject = (component, host, about["kind"], about.get("namespace"), about["name"], about.get("uid"))
        key: tuple[Any, ...] = (*subject, reason, report.time)
        if not scheduler:
            allowed = self._allowed(subject, report.time)
            report.combined = self._too_many((*subject, reason, warning), report)
            if report.combined:
                report.message = f"(combined from similar events): {message}"
            if not allowed:
                return report.note
            same = None if report.combined else report.message
            key = (*subject, about.get("fieldPath"), reason, warning, same)
        if self.cluster.random.random() >= self.dropped:
            self._queue(report, o, about, key)
        return report.note

    def _allowed(self, subject: tuple[Any, ...], now: float) -> bool:
        tokens, at = self._tokens.get(subject, (SPAM_BURST, now))
        tokens = min(SPAM_BURST, tokens + (now - at) / SPAM_REFILL)
        allowed = tokens >= 1
        self._tokens[subject] = (tokens - 1 if allowed else tokens, now)
        return allowed

    def _too_many(self, group: tuple[Any, ...], report: Report) -> bool:
        similar = self._similar.setdefault(group, Similar(last=report.time))
        if report.time - similar.last > COMBINE_WITHIN:
            similar.messages = set()
        similar.last = report.time
        similar.messages.add(report.message)
        return len(similar.messages) > COMBINE_MORE_THAN

    def _queue(self, report: Report, o: Obj, about: Obj, key: tuple[Any, ...]) -> None:
        cluster, t = self.cluster, report.time
        series = self.series.get(key)
        if series is None:
            name = f"{name_of(o)}.{int(t * 1e6) * 1000 + cluster.random.randrange(1000):x}"
            series = self.series[key] = Series(name, about, t)
        series.count += 1
        report.count = series.count
        writer = (report.component, report.host)
        free = self._free.get(writer, 0)
        at = max(free, t + cluster.between(0.005, 0.03))
        if cluster.late:
            at = min(at + cluster.between(0.3, 1) * cluster.late * 0.2, max(t + cluster.late, t + 0.05))
        self._free[writer] = at = max(at, free + 0.002)
        written_to = series
        cluster.after(at - cluster.now, lambda: self._write(written_to, report))

    def _write(self, series: Series, report: Report) -> None:
        cluster, t = self.cluster, report.time
        namespace = series.about.get("namespace") or "default"
        home = cluster.get("Namespace", namespace)
        if namespace != "default" and (home is None or (deleting(home) and not series.uid)):
            return
        if series.written is None:
            series.uid = cluster.new_uid()
            series.written = self._new_event(series, report, namespace)
            cluster.publish("ADDED", series.written)
        else:
            series.written |= {"count": report.count, "lastTimestamp": seconds(t), "message": report.message}
            cluster.publish("MODIFIED", series.written)
        report.note.written = series.uid
        self.truth.events.append(
            {
                "uid": series.uid,
                "count": report.count,
                "name": series.name,
                "reason": report.reason,
                "component": report.component,
                "kind": series.about["kind"],
                "object": series.about["name"],
                "namespace": namespace,
                "time": t,
                "listed": not cluster.recording,
                "message": report.message[:80],
                "action": report.cause,
                "above": report.above,
            }
        )

    def _new_event(self, series: Series, report: Report, namespace: str) -> Obj:
        now = seconds(self.cluster.now)
        scheduler, component, host = report.by_scheduler, report.component, report.host
        manager = {"kubelet": "kubelet", "default-scheduler": "kube-scheduler"}.get(component, KCM)
        fields: Obj = {
            "manager": manager,
            "operation": "Update",
            "apiVersion": "events.k8s.io/v1" if scheduler else "v1",
            "time": now,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:count": {}},
        }
        metadata = {
            "name": series.name,
            "namespace": namespace,
            "uid": series.uid,
            "resourceVersion": "",
            "creationTimestamp": now,
            "managedFields": [fields],
        }
        new: Obj = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": metadata,
            "involvedObject": series.about,
            "reason": report.reason,
            "message": report.message,
            "source": {},
            "firstTimestamp": None,
            "lastTimestamp": None,
            "type": "Warning" if report.warning else "Normal",
            "eventTime": None,
            "reportingComponent": "",
            "reportingInstance": "",
        }
        if scheduler:
            action = "Binding" if report.reason == "Scheduled" else "Scheduling"
            return new | {
                "eventTime": micros(report.time),
                "action": action,
                "reportingComponent": component,
                "reportingInstance": f"{component}-vm",
            }
        return new | {
            "source": {"component": component} | ({"host": host} if host else {}),
            "firstTimestamp": seconds(series.first),
            "lastTimestamp": seconds(report.time),
            "count": report.count,
            "reportingComponent": "" if report.combined else component,
            "reportingInstance": "" if report.combined else host,
        }


def _reference(o: Obj, field_path: str | None, version: str | None, by_name: bool) -> Obj:
    reference: Obj = {"kind": o["kind"], "namespace": o["metadata"].get("namespace"), "name": name_of(o)}
    if by_name:
        reference["apiVersion"] = "v1"
    else:
        seen = version or o["metadata"]["resourceVersion"]
        reference |= {"uid": uid_of(o), "apiVersion": o["apiVersion"], "resourceVersion": seen}
    if field_path:
        reference["fieldPath"] = field_path
    return {k: v for k, v in reference.items() if v}
