"""Trace and span ids: hashes of identities. Pure."""

import hashlib


def _digest(size: int, parts: tuple[str, ...]) -> str:
    # Each part carries its length, so that no choice of hostile names can make two identities collide.
    text = "".join([f"{len(part)}:{part}" for part in parts])
    raw = text.encode() if text.isascii() else b"".join([b"%d:%s" % (len(p), p) for p in map(str.encode, parts)])
    return hashlib.blake2b(raw, digest_size=size).hexdigest()


def span_id(*identity: str) -> str:
    """16 hexadecimal digits: the span id of an identity (cluster uid, object or Event uid, generation or count …)."""
    return _digest(8, ("span", *identity))


def trace_id(*identity: str) -> str:
    """32 hexadecimal digits: the trace id of an identity (cluster uid, root object's uid, generation, episode …)."""
    return _digest(16, ("trace", *identity))


def unnamed(kind: str, namespace: str, name: str) -> str:
    """Stands for the uid of an object that an Event names without one. No uid looks like it."""
    return f"{kind}/{namespace}/{name}"
