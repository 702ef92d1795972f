"""Trace context that objects carry in annotations: W3C's traceparent (https://www.w3.org/TR/trace-context/). Pure.

Whoever applies an object puts it there (KEP-5915: ``tracing.k8s.io/traceparent``). The change that brings it continues
that trace. A later change of the object only relates to it, and gets a span link, as the KEP has it.
"""

import re
import zlib
from collections.abc import Iterable, Mapping

LENGTH = 55
"""Characters of ``version-traceid-parentid-flags``; of what later versions may add nothing is needed."""

_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<span>[0-9a-f]{16})-[0-9a-f]{2}(?P<more>-.*)?",
    re.DOTALL,
)


def read_context(text: str) -> tuple[str, str] | None:
    """(trace id, span id) of a traceparent; None where it is none.

    Version ff and ids of zeros alone are invalid, and so is upper case. Version 00 ends with the flags; what a later
    version adds has to begin with a dash.
    """
    found = _TRACEPARENT.fullmatch(text) if text else None
    if found is None or (found["version"] == "00" and found["more"]):
        return None
    return found["trace"], found["span"]


def carried(annotations: Mapping[str, str], keys: Iterable[str]) -> str:
    """The context of the first key that has a valid one, else a mark that stands for the first invalid value.

    The mark differs where the value does, and is no context: an invalid value may be of any size.
    """
    values = [annotations[key] for key in keys if key in annotations]
    valid = next((value for value in values if read_context(value) is not None), "")
    if valid or not values:
        return valid[:LENGTH]
    return f"invalid {zlib.crc32(values[0].encode(errors='replace')):08x}"
