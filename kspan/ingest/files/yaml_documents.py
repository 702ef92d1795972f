"""Splits a stream into YAML documents, and builds values from the parser's events.

PyYAML's loaders are not used, because files come from anywhere: aliases (the "billion laughs" attack), tags and deep
nesting are rejected before anything is built from them.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import yaml

from kspan.errors import InputError, NotKubernetesError
from kspan.ingest.files.json_documents import WATCH_TYPES, Document, Item, NoObjectError, is_list, list_of, to_json
from kspan.k8s.strict_json import MAX_DEPTH, quoted

MAX_DOCUMENT = 128 * 1024 * 1024
"""Bytes of one YAML document; parsing takes about thirty times as much memory."""

_START = re.compile(rb"---(?:\s|$)")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL = {"", "~", "null", "Null", "NULL"}
# YAML 1.1, which Kubernetes uses.
_TRUE = {word for base in ("true", "yes", "on") for word in (base, base.capitalize(), base.upper())}
_FALSE = {word for base in ("false", "no", "off") for word in (base, base.capitalize(), base.upper())}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_OCTAL = re.compile(r"([-+]?)0([0-7]+)")
_HEX = re.compile(r"([-+]?)0x([0-9a-fA-F]+)")
# Go writes 1e+06. An exponent without a sign is a string: not every tool quotes a hash such as 12e45.
_FLOAT = re.compile(r"(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?|[-+]?[0-9]+[eE][-+][0-9]+")
_STR_TAG = "tag:yaml.org,2002:str"


class YamlText(msgspec.Struct, frozen=True):
    """One document, not parsed yet. ``line`` (from 1) is the line of its first byte."""

    line: int
    text: bytes


def split_documents(lines: Iterable[tuple[int, bytes]], source: str) -> Iterator[YamlText]:
    """Yield the documents of a stream that have content. Raises InputError if one is too large."""
    pending: list[bytes] = []
    first, size, filled = 1, 0, False
    for number, line in lines:
        if _START.match(line):
            if filled:
                yield YamlText(first, b"\n".join(pending))
            pending, first, size, filled = [], number, 0, False
        pending.append(line)
        size += len(line) + 1
        filled = filled or _has_content(line)
        if size > MAX_DOCUMENT:
            raise InputError(source, first, f"has a YAML document above {MAX_DOCUMENT >> 20} MiB: use JSON instead")
    if filled:
        yield YamlText(first, b"\n".join(pending))


def _has_content(line: bytes) -> bool:
    bare = line.removeprefix(b"---").strip()
    return bool(bare) and not bare.startswith((b"#", b"%"))


class YamlDocument(msgspec.Struct, frozen=True):
    """A parsed document: its value as plain data, and the line of each entry of its top-level ``items``."""

    value: Any
    item_lines: list[int]


def parse_document(document: YamlText, source: str) -> YamlDocument:
    """Parse one document. Raises InputError with the line if it is not plain data."""
    try:
        text = document.text.decode()
    except UnicodeDecodeError as error:
        line = document.line + document.text.count(b"\n", 0, error.start)
        raise InputError(source, line, "is not UTF-8 text") from error
    builder = _Builder(source, document.line)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.YAMLError as error:
        raise _translated(error, source, document, text) from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise InputError(source, builder.line, "is not valid YAML: invalid character or number") from error
    return YamlDocument(builder.value, builder.item_lines)


def _translated(error: yaml.YAMLError, source: str, document: YamlText, text: str) -> InputError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        return InputError(source, document.line + mark.line, f"is not valid YAML (or JSON): {problem}")
    # A ReaderError has a position, not a line.
    line = document.line + text.count("\n", 0, getattr(error, "position", 0) or 0)
    return InputError(source, line, "contains characters that YAML does not allow")


class _Builder:
    """Builds a value from parser events with an explicit stack, without recursion."""

    def __init__(self, source: str, first_line: int) -> None:
        self.value: Any = None
        self.item_lines: list[int] = []
        self.line = first_line
        self._source = source
        self._first_line = first_line
        self._documents = 0
        # The open containers, and for each open mapping the key whose value comes next.
        self._stack: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []

    def take(self, event: yaml.Event) -> None:
        if event.start_mark is not None:
            self.line = self._first_line + event.start_mark.line
        if isinstance(event, yaml.ScalarEvent):
            self._refuse_extras(event)
            self._take_scalar(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._refuse_extras(event)
            self._open({} if isinstance(event, yaml.MappingStartEvent) else [])
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._stack.pop()
            self._keys.pop()
            if self._keys:
                self._keys[-1] = None
        elif isinstance(event, yaml.AliasEvent):
            raise self._error("YAML aliases are not supported (no cluster writes them): write the value out")
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._error("another document begins without a --- line")

    def _refuse_extras(self, event: "yaml.ScalarEvent | yaml.CollectionStartEvent") -> None:
        if event.anchor is not None:
            raise self._error("YAML anchors are not supported (no cluster writes them): write the value out")
        if event.tag is not None and event.tag not in ("!", _STR_TAG):
            raise self._error(f"YAML tags such as {quoted(str(event.tag))} are not supported")

    def _take_scalar(self, event: yaml.ScalarEvent) -> None:
        if self._stack and self._keys[-1] is None and isinstance(self._stack[-1], dict):
            self._keys[-1] = event.value
            return
        plain = event.style is None or event.style == ""
        self._put(self._resolve(event.value) if plain and event.tag is None else event.value)

    def _open(self, container: dict[str, Any] | list[Any]) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise self._error(f"is nested more than {MAX_DEPTH} levels deep")
        self._put(container)
        self._stack.append(container)
        self._keys.append(None)

    def _put(self, value: Any) -> None:
        if not self._stack:
            self.value = value
            return
        parent = self._stack[-1]
        if isinstance(parent, list):
            if len(self._stack) == 2 and self._keys[0] == "items":
                self.item_lines.append(self.line)
            parent.append(value)
            return
        key = self._keys[-1]
        if key is None:
            raise self._error("a key of a mapping is not a string")
        parent[key] = value
        if not isinstance(value, dict | list):
            self._keys[-1] = None

    def _resolve(self, text: str) -> Any:
        if text in _NULL:
            return None
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        if text[0] not in "+-.0123456789":
            return text
        if _INT.fullmatch(text):
            return self._int("", text, 10)
        if match := _OCTAL.fullmatch(text):
            return self._int(match[1], match[2], 8)
        if match := _HEX.fullmatch(text):
            return self._int(match[1], match[2], 16)
        if _FLOAT.fullmatch(text):
            number = float(text)
            if abs(number) == float("inf"):
                raise self._error("has a number beyond 64 bits")
            return number
        return text

    def _int(self, sign: str, digits: str, base: int) -> int:
        number = int(sign + digits, base) if len(digits) <= 24 else 2**64
        if not -(2**63) <= number < 2**64:
            raise self._error("has a number beyond 64 bits")
        return number

    def _error(self, problem: str) -> InputError:
        return InputError(self._source, self.line, problem)


def read_yaml_documents(
    texts: Iterable[YamlText], source: str, report: Callable[[InputError], None]
) -> Iterator[Document]:
    """Yield the documents of a YAML stream. The error of an invalid one goes to ``report``; then the next is read."""
    for text in texts:
        try:
            parsed = parse_document(text, source)
            document = _from_value(parsed.value, text.line, parsed.item_lines)
        except InputError as error:
            report(error)
            continue
        except NoObjectError as error:
            report(NotKubernetesError(source, text.line, str(error)))
            continue
        except ValueError as error:
            report(InputError(source, text.line, str(error)))
            continue
        yield document


def _from_value(value: Any, line: int, item_lines: list[int]) -> Document:
    if not isinstance(value, dict):
        raise NoObjectError("unknown format: expected a recording, a Go kspan capture or kubectl output")
    if "kind" not in value and value.get("type") in WATCH_TYPES and isinstance(value.get("object"), dict):
        return Document(line, [Item(line, to_json(value["object"]), value["type"])])
    items = value.get("items")
    if not is_list(value.get("kind"), value.get("metadata"), "items" in value):
        return Document(line, [Item(line, to_json(value))])
    if items is not None and not isinstance(items, list):
        raise ValueError("the items of the list are not a list")
    entries = [Item(at, to_json(item)) for at, item in zip(item_lines, items or [], strict=True)]
    return list_of(entries, line, value.get("kind"), value.get("apiVersion"), value.get("metadata"))
