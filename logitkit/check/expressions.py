"""The value of an expression: constants, arithmetic, comparisons, conditions, comprehensions."""

from __future__ import annotations

import ast
from collections.abc import Callable

from logitkit.check import arithmetic, verdicts
from logitkit.check.choices import alternatives, each, overwrite, read
from logitkit.check.containers import Containers
from logitkit.check.reader import Condition
from logitkit.check.values import (
    LABELS,
    Choice,
    Const,
    Function,
    Guard,
    Items,
    Mapping,
    Namespace,
    Step,
    Tensor,
    Thing,
    Value,
)

__all__ = ["Expressions"]


class Expressions(Containers):
    """Reads expressions other than calls."""

    def _Constant(self, node: ast.Constant) -> Value:
        return Const(node.value)

    # Arithmetic and conditions

    def _BinOp(self, node: ast.BinOp) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        operator = type(node.op).__name__
        if isinstance(left, Items) and isinstance(right, Items) and operator == "Add":
            return Items(left.items + right.items, left.open or right.open)
        if isinstance(left, Const) and isinstance(right, Const):
            return arithmetic.constants(operator, left, right)
        names = (ast.unparse(node.right) if isinstance(right, Thing | Const) else "")[:80]
        return each(
            left,
            self.taken,
            lambda one: each(
                right,
                self.taken,
                lambda other: arithmetic.binary(operator, one, other, names, Step(self.place(node), ""), node),
            ),
        )

    def _UnaryOp(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.Not):
            truth = self.truth(node)
            return Const(truth) if isinstance(truth, bool) else Thing("condition")
        inner = self.value(node.operand)
        if isinstance(inner, Const) and isinstance(inner.value, int | float) and isinstance(node.op, ast.USub):
            return Const(-inner.value)
        return each(inner, self.taken, lambda one: arithmetic.negated(one, type(node.op).__name__))

    def _Compare(self, node: ast.Compare) -> Value:
        left = self.value(node.left)
        rights = [self.value(each_node) for each_node in node.comparators]
        if len(rights) == 1:
            operator = type(node.ops[0]).__name__
            if operator in arithmetic.FLIPPED:
                self._threshold(left, operator, rights[0], node)
            known = arithmetic.compare(operator, left, rights[0])
            if known is not None:
                return Const(known)
        if any(isinstance(one, Tensor) for one in (left, *rights)):
            return Tensor(LABELS, Step(self.place(node), "a comparison gives labels"))
        return Thing("comparison")

    def _threshold(self, left: Value, operator: str, right: Value, node: ast.AST) -> None:
        if isinstance(left, Const) and not isinstance(right, Const):
            left, operator, right = right, arithmetic.FLIPPED[operator], left
        if isinstance(right, Const) and isinstance(right.value, int | float) and (right.value or not self._claims()):
            verdicts.compared(self, left, operator, right.value, node)

    def _claims(self) -> bool:
        """Whether a comparison is an assertion, or an index: that a probability is above 0 may be said of it."""
        around = self.parents[-2] if len(self.parents) > 1 else None
        return isinstance(around, ast.Subscript) or any(isinstance(one, ast.Assert) for one in self.parents)

    def _BoolOp(self, node: ast.BoolOp) -> Value:
        values = [self.value(each_node) for each_node in node.values]
        if isinstance(node.op, ast.Or):
            for one in values[:-1]:
                if isinstance(one, Const) and not one.value:
                    continue
                # `x = x or default`: an argument nobody gave is the default.
                return one if not isinstance(one, Thing) or not isinstance(values[-1], Const) else Thing("either")
            return values[-1]
        return Thing("condition")

    def _IfExp(self, node: ast.IfExp) -> Value:
        condition = self.truth(node.test)
        if isinstance(condition, bool):
            return self.value(node.body if condition else node.orelse)
        key, positive = condition
        options: list[tuple[Guard, Value]] = []
        for truth, part in ((positive, node.body), (not positive, node.orelse)):
            guard = frozenset({(key, truth)})
            with self.assuming(guard):
                found = self.value(part)
            options.extend((guard | inner, one) for inner, one in alternatives(found, self.taken | guard))
        merged = overwrite(None, Choice(tuple(options)), [])
        return read(merged, self.taken)

    def truth(self, node: ast.expr) -> bool | tuple[Condition, bool]:
        """Whether a condition holds: known, or what it depends on and whether it's asked for or ruled out."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.truth(node.operand)
            return not inner if isinstance(inner, bool) else (inner[0], not inner[1])
        if (
            isinstance(node, ast.Compare)
            and len(node.ops) == 1
            and type(node.ops[0]) in (ast.Eq, ast.NotEq, ast.Is, ast.IsNot)
        ):
            return self._equality(node)
        if isinstance(node, ast.BoolOp):
            return self._both(node)
        value = self.value(node)
        known = arithmetic.truthy(value)
        if known is not None:
            return known
        condition: Condition = ("is", id(value)) if isinstance(value, Thing) else ("at", id(node))
        self.keep_alive(value)
        return self.decided(condition, True)

    def decided(self, condition: Condition, positive: bool) -> bool | tuple[Condition, bool]:
        """A condition, or its truth where it's taken for granted."""
        if (condition, True) in self.taken:
            return positive
        if (condition, False) in self.taken:
            return not positive
        if condition[0] == "==" and any(
            truth and other[:2] == condition[:2] and other[2] != condition[2]
            for other, truth in self.taken
            if len(other) > 2
        ):
            return not positive
        return condition, positive

    def _equality(self, node: ast.Compare) -> bool | tuple[Condition, bool]:
        positive = type(node.ops[0]) in (ast.Eq, ast.Is)
        left, right = self.value(node.left), self.value(node.comparators[0])
        known = arithmetic.compare(type(node.ops[0]).__name__, left, right)
        if known is not None:
            return known
        if isinstance(left, Const):
            left, right = right, left
        self.keep_alive(left)
        if isinstance(right, Const) and isinstance(right.value, str | int | float | bool | None):
            if isinstance(left, Thing) and isinstance(right.value, bool):
                return self.decided(("is", id(left)), positive == right.value)
            key = id(left) if isinstance(left, Thing) else id(node)
            return self.decided(("==", key, right.value), positive)
        return self.decided(("at", id(node)), positive)

    def _both(self, node: ast.BoolOp) -> bool | tuple[Condition, bool]:
        """`a and b`, `a or b`: decided if the parts decide it, otherwise a condition of its own."""
        stop = isinstance(node.op, ast.Or)
        open_parts = []
        for part in node.values:
            truth = self.truth(part)
            if truth is stop:
                return stop
            if not isinstance(truth, bool):
                open_parts.append(truth)
        if not open_parts:
            return not stop
        return open_parts[0] if len(open_parts) == 1 else self.decided(("at", id(node)), True)

    # Comprehensions

    def _ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Value:
        found: list[Value] = []
        sure = self._generate(node.generators, lambda: found.append(self.value(node.elt)))
        return Items(found, open=not sure)

    _SetComp = _GeneratorExp = _ListComp

    def _DictComp(self, node: ast.DictComp) -> Value:
        mapping = Mapping({})

        def add() -> None:
            key, value = self.value(node.key), self.value(node.value)
            if isinstance(key, Const):
                mapping.items[key.value] = value
            else:
                mapping.open = True

        mapping.open |= not self._generate(node.generators, add)
        return mapping

    def _generate(self, generators: list[ast.comprehension], body: Callable[[], None]) -> bool:
        """Run a comprehension's body for each element that's known; whether these are all."""
        first, rest = generators[0], generators[1:]
        items, sure = self.elements(self.value(first.iter))
        frame = self.frame
        outer, frame.scope = frame.scope, Namespace(parent=frame.scope, born=self.taken)
        try:
            for item in items:
                self.bind(first.target, item)
                for condition in first.ifs:
                    sure &= isinstance(self.truth(condition), bool)
                if rest:
                    sure &= self._generate(rest, body)
                else:
                    body()
        finally:
            frame.scope = outer
        return sure

    # The rest

    def _Lambda(self, node: ast.Lambda) -> Value:
        return Function(node, self.frame.module, self.frame.scope, defaults=self.defaults(node.args))

    def defaults(self, arguments: ast.arguments) -> dict[str, Value]:
        """The values that arguments have if they're not given."""
        positional = [*arguments.posonlyargs, *arguments.args]
        pairs = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True))
        pairs += [
            (argument, default)
            for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if default is not None
        ]
        return {argument.arg: self.value(default) for argument, default in pairs}

    def _NamedExpr(self, node: ast.NamedExpr) -> Value:
        found = self.value(node.value)
        self.bind(node.target, found)
        return found

    def _Await(self, node: ast.Await | ast.Starred) -> Value:
        return self.value(node.value)

    _Starred = _Await

    def _Yield(self, node: ast.Yield) -> Value:
        self.frame.yields.append(self.value(node.value))
        return Thing("sent")

    def _YieldFrom(self, node: ast.YieldFrom) -> Value:
        self.value(node.value)
        return Thing("result")

    def _JoinedStr(self, node: ast.JoinedStr) -> Value:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.value(part.value)
        return Thing("text")
