"""Trace and span ids: hashes of identities. Pure."""

import hashlib


def _digest(size: int, parts: tuple[str, ...]) -> str:
    # With the length of each part, so that no choice of names can make two identities equal.
    text = "".join([f"{len(part)}:{part}" for part in parts])
    raw = text.encode() if text.isascii() else b"".join([b"%d:%s" % (len(p), p) for p in map(str.encode, parts)])
    return hashlib.blake2b(raw, digest_size=size).hexdigest()


def span_id(*identity: str) -> str:
    """Span id (16 hexadecimal digits) of an identity: cluster uid, object or Event uid, generation or count."""
    return _digest(8, ("span", *identity))


def trace_id(*identity: str) -> str:
    """Trace id (32 hexadecimal digits) of an identity: cluster uid, span id and version of what starts the trace."""
    return _digest(16, ("trace", *identity))


def unnamed(kind: str, namespace: str, name: str) -> str:
    """Placeholder uid of an object that an Event references by name only.

    It contains slashes, so it cannot equal a real uid.
    """
    return f"{kind}/{namespace}/{name}"
