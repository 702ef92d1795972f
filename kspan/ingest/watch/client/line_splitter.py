"""Lines out of chunks of bytes. Pure."""

LONGEST = 64 * 1024 * 1024
"""Bytes of a line: etcd takes 1.5 MiB an object; what is so much longer has no end."""


class LineSplitter:
    """Takes chunks as they come, gives each line as soon as its end is there."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes, without their ends. ValueError for a line longer than LONGEST."""
        if b"\n" not in chunk:
            # Kept in parts: a line of many chunks would otherwise be copied once for each of them.
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
        """Whether there is a line without its end."""
        return bool(self._size)
