"""Manifests as people read them: without bookkeeping, as YAML or JSON, and as a diff of two versions. Pure."""

import difflib
import itertools
import unicodedata
from typing import Any, Final

import msgspec
import yaml

from kspan.k8s.redact import LAST_APPLIED

_HIDDEN: Final = ("managedFields", "resourceVersion", "generation", "selfLink")
"""Fields of the metadata that change with everything else."""

_REPEATING: Final = (LAST_APPLIED, "deployment.kubernetes.io/", "deprecated.daemonset.template.generation")
"""Prefixes of annotations that only repeat what the rest of the manifest contains."""


def decode(payload: bytes) -> dict[str, Any]:
    """Return a manifest from the journal."""
    return msgspec.json.decode(payload, type=dict[str, Any])


def readable(manifest: dict[str, Any], *, managed_fields: bool = False) -> dict[str, Any]:
    """Return a manifest as kubectl shows it: apiVersion and kind first, managedFields only if asked for."""
    first = {key: manifest[key] for key in ("apiVersion", "kind", "metadata") if key in manifest}
    shown = first | {key: value for key, value in manifest.items() if key != "status"}
    if "status" in manifest:
        shown["status"] = manifest["status"]
    meta = shown.get("metadata")
    if isinstance(meta, dict) and not managed_fields:
        shown["metadata"] = {key: value for key, value in meta.items() if key != "managedFields"}
    return shown


def comparable(manifest: dict[str, Any], *, status: bool = False) -> dict[str, Any]:
    """Return what of a manifest is worth comparing: no bookkeeping, and the status only if asked for."""
    shown = readable(manifest)
    meta = shown.get("metadata")
    if isinstance(meta, dict):
        meta = {key: value for key, value in meta.items() if key not in _HIDDEN}
        annotations = meta.get("annotations")
        if isinstance(annotations, dict):
            meta["annotations"] = {key: text for key, text in annotations.items() if not key.startswith(_REPEATING)}
            if not meta["annotations"]:
                del meta["annotations"]
        shown["metadata"] = meta
    if not status:
        shown.pop("status", None)
    return shown


def to_yaml(manifest: dict[str, Any]) -> str:
    """Return a manifest as YAML. Texts with lines are blocks.

    If a text has characters that a terminal might obey, or that turn the direction of what follows, all that are not
    ASCII are escaped: a YAML parser reads the same.
    """
    text = _dump(manifest, unicode=True)
    return text if all(map(_is_harmless, text)) else _dump(manifest, unicode=False)


def unified_diff(before: dict[str, Any], after: dict[str, Any], names: tuple[str, str], context: int = 3) -> list[str]:
    """Return the lines of a unified diff of two manifests (without line ends); none if they are equal.

    Args:
        before: the earlier manifest.
        after: the later one.
        names: what to call them in the head of the diff.
        context: number of unchanged lines around each change.
    """
    old, new = (to_lines(manifest) for manifest in (before, after))
    return list(difflib.unified_diff(old, new, *names, lineterm="", n=context))


def to_lines(manifest: dict[str, Any]) -> list[str]:
    """Return the lines of a manifest as YAML, without line ends."""
    return to_yaml(manifest).split("\n")[:-1]


def side_by_side(
    before: dict[str, Any], after: dict[str, Any], context: int = 3
) -> list[tuple[str | None, str | None]]:
    """Return the lines of two manifests next to each other, where they differ and some lines around.

    None stands for no line on that side; a pair of empty texts for lines that are left out.
    """
    old, new = (to_lines(manifest) for manifest in (before, after))
    found: list[tuple[str | None, str | None]] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(context)):
        if number:
            found.append(("", ""))
        for _, i, j, k, m in group:
            found += itertools.zip_longest(old[i:j], new[k:m])
    return found


def _is_harmless(char: str) -> bool:
    return char == "\n" or char.isprintable() or unicodedata.category(char) == "Zs"


class _Dumper(yaml.SafeDumper):
    """Writes strings of several lines as blocks, and everything in full: no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 -- PyYAML's
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _dump(manifest: dict[str, Any], *, unicode: bool) -> str:
    text = yaml.dump(
        manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=unicode, default_flow_style=False, width=2**20
    )
    return str(text)
