"""The mutants of a module: its source text with one small fault each."""

import ast
import re
from dataclasses import dataclass, replace

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
}
BUILT_IN = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    Args:
        path: The file, relative to the root of the repository.
        function: Qualified name of the function or class around the fault, empty at module level.
        line: Line number of the fault.
        text: The source line, without indentation.
        before: The code that is replaced.
        after: The faulty code.
        start: First byte of ``before`` in the file.
        statement: First line of the statement around the fault.
        body: Lines of the function of which the fault is a default argument; empty elsewhere.
        names: What the module or class level statement around the fault assigns; empty inside a function.
    """

    path: str
    function: str
    line: int
    text: str
    before: str
    after: str
    start: int
    statement: int = 0
    body: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Identifies the mutant as long as its line stays the same, wherever the line moves in its function."""
        return self.path, self.function, self.text, f"{self.before} -> {self.after}"

    def apply(self, source: bytes) -> bytes:
        """The source of the module with the fault."""
        end = self.start + len(self.before.encode())
        assert source[self.start : end] == self.before.encode(), f"{self.path} has changed"
        return source[: self.start] + self.after.encode() + source[end:]


def find_mutants(path: str, source: bytes) -> list[Mutant]:
    """All mutants of a module, in the order of its text."""
    finder = _Finder(path, source)
    finder.visit(ast.parse(source))
    return sorted(finder.found, key=lambda mutant: (mutant.start, mutant.after))


class _Finder(ast.NodeVisitor):
    def __init__(self, path: str, source: bytes) -> None:
        self.found: list[Mutant] = []
        self._source = source
        self._lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._here = Mutant(path, "", 0, "", "", "", 0)

    def visit(self, node: ast.AST) -> None:
        outer = self._here
        if isinstance(node, ast.stmt):
            self._here = replace(outer, statement=node.lineno)
        super().visit(node)
        self._here = outer

    # where ------------------------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer = self._here
        name = f"{outer.function}.{node.name}".lstrip(".")
        self._here = replace(outer, function=name, body=tuple(range(node.body[0].lineno, (node.end_lineno or 0) + 1)))
        for default in (*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)):
            self.visit(default)
        self._here = replace(outer, function=name, names=())
        last = node.body[-1]
        for statement in node.body:
            if statement is not last or not _returns_nothing(statement):
                self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        # Neither bases nor keywords: options of a struct are no thresholds.
        self._here = replace(self._here, function=f"{self._here.function}.{node.name}".lstrip("."))
        for statement in node.body:
            self.visit(statement)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._assigns(*node.targets)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._assigns(node.target)
        if node.value is not None:
            self.visit(node.value)

    def _assigns(self, *targets: ast.expr) -> None:
        names = {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        self._here = replace(self._here, names=tuple(sorted(names)))

    # faults -----------------------------------------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, node.comparators, strict=False):
            if type(operator) in COMPARISONS:
                self._between(left, right, *COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        swap = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, *swap)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in ARITHMETIC and not (_is_text(node.left) or _is_text(node.right)):
            self._between(node.left, node.right, *ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in ARITHMETIC and not _is_text(node.value):
            before, after = ARITHMETIC[type(node.op)]
            self._between(node.target, node.value, f"{before}=", f"{after}=")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._replace(node, self._text(node.operand))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool():
                self._replace(node, str(not node.value))
            case int():
                self._replace(node, str(node.value + 1))
                self._replace(node, str(node.value - 1))
            case float():
                self._replace(node, str(round(node.value + 0.1, 6)))
                self._replace(node, str(round(node.value - 0.1, 6)))

    def visit_If(self, node: ast.If) -> None:
        self._guard(node.test, "True", "False")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._guard(node.test, "True", "False")
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._guard(node.test, "False")
        if not isinstance(node.test, ast.Constant):
            self.visit(node.test)
        for statement in node.body:
            self.visit(statement)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._guard(test, "True", "False")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if _returns_nothing(node):
            self._replace(node, "pass")
        elif node.value is not None and not isinstance(node.value, ast.Constant):
            self._replace(node.value, "None")
        self.generic_visit(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "pass")

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in BUILT_IN:
            self._replace(node.func, BUILT_IN[node.func.id])
        self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        """An assertion has no effect of its own."""

    def _guard(self, test: ast.expr, *values: str) -> None:
        # Without its walrus the rest of the function does not run: no test needs to find that.
        if isinstance(test, ast.Constant) or any(isinstance(part, ast.NamedExpr) for part in ast.walk(test)):
            return
        for value in values:
            self._replace(test, value)

    # text -------------------------------------------------------------------------------------------------------------

    def _replace(self, node: ast.expr | ast.stmt, after: str) -> None:
        self._add(self._offset(node.lineno, node.col_offset), self._text(node), after)

    def _between(self, left: ast.expr, right: ast.expr, before: str, after: str) -> None:
        start = self._offset(left.end_lineno or 0, left.end_col_offset or 0)
        gap = self._source[start : self._offset(right.lineno, right.col_offset)].decode()
        gap = re.sub("#.*", lambda comment: " " * len(comment[0]), gap)
        found = re.search(r"\s+".join(re.escape(word) for word in before.split()), gap)
        assert found is not None, f"{self._here.path}:{left.lineno}: no {before!r} in {gap!r}"
        self._add(start + len(gap[: found.start()].encode()), found[0], after)

    def _add(self, start: int, before: str, after: str) -> None:
        line = self._source.count(b"\n", 0, start) + 1
        text = self._lines[line - 1].decode().strip()
        self.found.append(replace(self._here, line=line, text=text, before=before, after=after, start=start))

    def _text(self, node: ast.expr | ast.stmt) -> str:
        start = self._offset(node.lineno, node.col_offset)
        return self._source[start : self._offset(node.end_lineno or 0, node.end_col_offset or 0)].decode()

    def _offset(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column


def _returns_nothing(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Return):
        return False
    return node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
