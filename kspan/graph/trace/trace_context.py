"""Trace context in annotations of objects: W3C traceparent (https://www.w3.org/TR/trace-context/). Pure.

The annotation is set by the client that applies the object (KEP-5915: ``tracing.k8s.io/traceparent``). The change that
sets it continues that trace. A later change of the object gets a span link to it, as the KEP describes.
"""

import re
import zlib
from collections.abc import Iterable, Mapping

LENGTH = 55
"""Length of ``version-traceid-parentid-flags`` in characters. Additions of later versions are not needed."""

_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<span>[0-9a-f]{16})-[0-9a-f]{2}(?P<more>-.*)?",
    re.DOTALL,
)


def read_context(text: str) -> tuple[str, str] | None:
    """Return the trace id and the span id of a traceparent; None if it is invalid.

    Version ff, ids of zeros only, and upper case are invalid. Version 00 ends with the flags; an addition of a later
    version must begin with a dash.
    """
    found = _TRACEPARENT.fullmatch(text) if text else None
    if found is None or (found["version"] == "00" and found["more"]):
        return None
    return found["trace"], found["span"]


def carried(annotations: Mapping[str, str], keys: Iterable[str]) -> str:
    """Return the context of the first key with a valid one.

    If all are invalid, the result is a short text that identifies the first invalid value and is invalid too: the value
    itself can be of any size. Empty if no key is present.
    """
    values = [annotations[key] for key in keys if key in annotations]
    if not values:
        return ""
    valid = next((value for value in values if read_context(value) is not None), "")
    if valid:
        return valid[:LENGTH]
    return f"invalid {zlib.crc32(values[0].encode(errors='replace')):08x}"
