"""Splits chunks of bytes into lines. Pure."""

LONGEST = 64 * 1024 * 1024
"""Bytes of a line. etcd accepts objects of 1.5 MiB; a line this long has no end."""


class LineSplitter:
    """Takes chunks in order, and returns each line as soon as it is complete."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that this chunk completes, without line ends. ValueError if a line exceeds LONGEST."""
        if b"\n" not in chunk:
            # Kept in parts: joining at every chunk would copy a long line once per chunk.
            self._parts.append(chunk)
            self._size += len(chunk)
            if self._size > LONGEST:
                raise ValueError(f"a line of more than {LONGEST >> 20} MiB")
            return []
        if self._parts:
            chunk = b"".join((*self._parts, chunk))
            self._parts.clear()
        lines = chunk.split(b"\n")
        rest = lines.pop()
        self._size = len(rest)
        if rest:
            self._parts.append(rest)
        return lines

    @property
    def torn(self) -> bool:
        """True if the last line is not complete."""
        return bool(self._size)
