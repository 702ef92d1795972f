"""The owners and dependents of an object as boxes and lines, in CSS pixels for SVG. Pure.

The object is in the middle, its owners are above and its dependents below. In the wide chart they are in rows, in the
narrow one below each other beside a line.
"""

import itertools
from collections.abc import Sequence
from typing import Final

import msgspec

from kspan.query.objects.family import SHOWN, Family, Relative

COLUMNS: Final = 4
"""Boxes in a row. An even number: the line down to the next row passes through the middle."""

WIDTH: Final = 216
"""Width of a box in the wide chart."""

NARROW: Final = 340
"""Width of the narrow chart."""

HEIGHT: Final = 46
ACROSS: Final = 16
"""Space between the boxes of a row."""

DOWN: Final = 34
"""Space between two rows of the wide chart."""

CLOSE: Final = 8
"""Space between two boxes of the narrow chart."""

INDENT: Final = 24
RADIUS: Final = 8
"""Radius of the corners of lines."""

_GONE: Final = "gone"


class Box(msgspec.Struct, frozen=True):
    """A box.

    Args:
        x, y, width, height: its place.
        role: ``self``, ``owner``, ``dependent``, or ``more`` for those that are not shown.
        tone: how the object is: ok, waiting, failing, gone, or empty.
        relative: the object; None for ``more``.
    """

    x: int
    y: int
    width: int
    height: int
    role: str
    tone: str
    relative: Relative | None


class Line(msgspec.Struct, frozen=True):
    """A line: the ``d`` of an SVG path, and whether it leads to what is gone."""

    path: str
    gone: bool


class Chart(msgspec.Struct, frozen=True):
    """A chart of a size."""

    width: int
    height: int
    boxes: list[Box]
    lines: list[Line]


def wide_chart(family: Family, here: Relative) -> Chart:
    """Return the chart with rows: owners above ``here``, dependents below."""
    rows = [*_owner_rows(family), [_itself(here)], *_dependent_rows(family)]
    width = max(_length(row) for row in rows)
    boxes: list[list[Box]] = []
    for number, row in enumerate(rows):
        left = (width - _length(row)) // 2
        top = number * (HEIGHT + DOWN)
        boxes.append([_placed(box, left + i * (WIDTH + ACROSS), top, WIDTH) for i, box in enumerate(row)])
    middle = len(family.owners)
    lines: list[Line] = []
    for number in range(middle):
        lines += [_elbow(upper, boxes[number + 1][0]) for upper in boxes[number]]
    lines += [_branch(boxes[middle][0], box) for row in boxes[middle + 1 :] for box in row]
    height = len(rows) * (HEIGHT + DOWN) - DOWN
    return Chart(width, height, [box for row in boxes for box in row], lines)


def narrow_chart(family: Family, here: Relative) -> Chart:
    """Return the chart for a phone: all below each other, the dependents indented."""
    boxes: list[Box] = []
    lines: list[Line] = []
    top = 0
    for row in [*_owner_rows(family), [_itself(here)]]:
        for box in row:
            boxes.append(_placed(box, 0, top, NARROW))
            top += HEIGHT + CLOSE
        top += DOWN // 2 - CLOSE
    main = [box for box in boxes if box.role in ("owner", "self")]
    lines += [
        Line(f"M{NARROW // 2} {upper.y + HEIGHT}V{lower.y}", upper.tone == _GONE)
        for upper, lower in itertools.pairwise(main)
    ]
    start = main[-1].y + HEIGHT
    for box in (box for row in _dependent_rows(family) for box in row):
        placed = _placed(box, INDENT, top, NARROW - INDENT)
        corner = top + HEIGHT // 2
        rail = INDENT // 2 - 2
        path = f"M{rail} {start}V{corner - RADIUS}Q{rail} {corner} {rail + RADIUS} {corner}H{INDENT}"
        boxes.append(placed)
        lines.append(Line(path, placed.tone == _GONE))
        top += HEIGHT + CLOSE
    last = boxes[-1]
    return Chart(NARROW, last.y + last.height, boxes, lines)


# Rows of boxes without places


def _owner_rows(family: Family) -> list[list[Box]]:
    return [[_unplaced("owner", each) for each in level] for level in reversed(family.owners)]


def _itself(here: Relative) -> Box:
    return _unplaced("self", here)


def _dependent_rows(family: Family) -> list[list[Box]]:
    shown = [_unplaced("dependent", each) for each in family.dependents[:SHOWN]]
    if len(family.dependents) > SHOWN or family.more or not family.complete:
        shown.append(_unplaced("more", None))
    return [shown[first : first + COLUMNS] for first in range(0, len(shown), COLUMNS)]


def _unplaced(role: str, relative: Relative | None) -> Box:
    tone = "" if relative is None else _GONE if relative.deleted_at else str(relative.tone)
    return Box(0, 0, 0, HEIGHT, role, tone, relative)


def _placed(box: Box, x: int, y: int, width: int) -> Box:
    return msgspec.structs.replace(box, x=x, y=y, width=width)


def _length(row: Sequence[Box]) -> int:
    return len(row) * (WIDTH + ACROSS) - ACROSS


# Lines


def _elbow(upper: Box, lower: Box) -> Line:
    """A line from an owner down to what it owns."""
    return Line(_bent(_centre(upper), upper.y + HEIGHT, _centre(lower), lower.y), upper.tone == _GONE)


def _branch(here: Box, box: Box) -> Line:
    """A line from the object down through the middle, and to a dependent."""
    return Line(_bent(_centre(here), here.y + HEIGHT, _centre(box), box.y), box.tone == _GONE)


def _bent(x: int, y: int, to_x: int, to_y: int) -> str:
    """Return a path straight down to half a space above its end, across, and down."""
    if x == to_x:
        return f"M{x} {y}V{to_y}"
    across = to_y - DOWN // 2
    side = RADIUS if to_x > x else -RADIUS
    return (
        f"M{x} {y}V{across - RADIUS}Q{x} {across} {x + side} {across}"
        f"H{to_x - side}Q{to_x} {across} {to_x} {across + RADIUS}V{to_y}"
    )


def _centre(box: Box) -> int:
    return box.x + box.width // 2
