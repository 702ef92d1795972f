"""The graph: a pure left fold of the journal into ownership and causality, and from there into traces.

Promise: no I/O, no clock, no logging. The same records give the same rows, byte for byte, also if the fold is stopped
and continued from its rows in between. The layers above use ``Fold``.
"""

from kspan.graph.fold import Fold
from kspan.graph.rules.checks import Mistake
from kspan.graph.rules.loader import built_in_rules, check_rules, parse_rules
from kspan.graph.rules.rules import Rule, Rules

__all__ = ["Fold", "Mistake", "Rule", "Rules", "built_in_rules", "check_rules", "parse_rules"]
