"""What ``kubectl get … -o yaml`` prints, as documents."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kspan.errors import InputError
from kspan.ingest.documents import Document, Item, is_list, list_of, to_json
from kspan.ingest.yamltext import YamlText, parse_document


def read_yaml_documents(
    texts: Iterable[YamlText], source: str, report: Callable[[InputError], None]
) -> Iterator[Document]:
    """The documents of a YAML stream; what is wrong with one goes to ``report``, and the next is tried."""
    for text in texts:
        try:
            parsed = parse_document(text, source)
            document = _from_value(parsed.value, text.line, parsed.item_lines)
        except InputError as error:
            report(error)
            continue
        except ValueError as error:
            report(InputError(source, text.line, str(error)))
            continue
        yield document


def _from_value(value: Any, line: int, item_lines: list[int]) -> Document:
    if not isinstance(value, dict):
        raise ValueError("is neither a recording nor a capture file nor the output of kubectl")
    items = value.get("items")
    if not is_list(value.get("kind"), value.get("metadata"), "items" in value):
        return Document(line, [Item(line, to_json(value))])
    if items is not None and not isinstance(items, list):
        raise ValueError("the items of the list are no list")
    entries = [Item(at, to_json(item)) for at, item in zip(item_lines, items or [], strict=True)]
    return list_of(entries, line, value.get("kind"), value.get("apiVersion"), value.get("metadata"))
