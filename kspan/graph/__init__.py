"""The graph: a pure left fold of the journal into ownership and causality, and from there into traces.

Promise: no I/O, no clock, no logging; the same records give the same rows, to the byte, and going on from the rows of a
stopped fold gives what going through would have given. ``Fold`` is all that the layers above need.
"""

from kspan.graph.fold import Fold
from kspan.graph.rules import Rules, built_in_rules, parse_rules

__all__ = ["Fold", "Rules", "built_in_rules", "parse_rules"]
