"""The graph: a pure left fold of the journal into ownership and causality, and from there into traces.

Promise: no I/O, no clock, no logging; the same records give the same rows, to the byte, and going on from the rows of a
stopped fold gives what going through would have given. ``Fold`` is all that the layers above need.
"""

from kspan.graph.fold import Fold
from kspan.graph.rules.checks import Mistake
from kspan.graph.rules.loader import built_in_rules, check_rules, parse_rules
from kspan.graph.rules.rules import Rule, Rules

__all__ = ["Fold", "Mistake", "Rule", "Rules", "built_in_rules", "check_rules", "parse_rules"]
