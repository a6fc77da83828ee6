"""Reads a program statement by statement, as Python would, on scales in place of numbers.

Both branches of an `if` that nobody can decide are read, each under its condition; a loop's body is read once, or once
for each element if they're known.
"""

from __future__ import annotations

import ast

from logitkit.check import modules
from logitkit.check.calls import Calls
from logitkit.check.choices import alternatives, overwrite
from logitkit.check.reader import Frame
from logitkit.check.values import Bound, Class, Const, File, Function, Instance, Later, Namespace, Symbol, Thing

__all__ = ["Statements"]

Block = list[ast.stmt]
_READERS = {kind: f"_run_{name}" for name, kind in vars(ast).items() if isinstance(kind, type)}  # by the node's class
REGISTER_BUDGET = 200  # expressions read for a class's decorator


class Statements(Calls):
    """Reads statements, definitions and imports."""

    def run(self, body: Block) -> bool:
        """Read statements; whether the program goes on after them."""
        before = self.taken
        try:
            for statement in body:
                self.budget -= 1
                method = getattr(self, _READERS[type(statement)], None)
                if method is not None and method(statement) is False:
                    return False
        finally:
            self.taken = before
        return True

    # Assignments

    def _run_Expr(self, node: ast.Expr) -> None:
        self.value(node.value)

    def _run_Assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self.bind(target, value)

    def _run_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.bind(node.target, self.value(node.value))

    def _run_AugAssign(self, node: ast.AugAssign) -> None:
        target = ast.copy_location(ast.parse(ast.unparse(node.target), mode="eval").body, node.target)
        together = ast.copy_location(ast.BinOp(target, node.op, node.value), node)
        self.bind(node.target, self.value(ast.fix_missing_locations(together)))

    def _run_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.frame.scope.names.pop(target.id, None)

    def _run_Global(self, node: ast.Global | ast.Nonlocal) -> None:
        self.frame.scope.outer.update(node.names)

    _run_Nonlocal = _run_Global

    # Branches and loops

    def _run_If(self, node: ast.If) -> bool:
        truth = self.truth(node.test)
        if isinstance(truth, bool):
            return self.run(node.body if truth else node.orelse)
        condition, positive = truth
        yes, no = frozenset({(condition, positive)}), frozenset({(condition, not positive)})
        with self.assuming(yes):
            after_yes = self.run(node.body)
        with self.assuming(no):
            after_no = self.run(node.orelse)
        # Where one branch returns, what follows happens under the condition of the other.
        if after_yes != after_no:
            self.taken = self.taken | (yes if after_yes else no)
        return after_yes or after_no

    def _run_For(self, node: ast.For | ast.AsyncFor) -> None:
        items, _ = self.elements(self.value(node.iter))
        for item in items:
            self.bind(node.target, item)
            self.run(node.body)
        self.run(node.orelse)

    _run_AsyncFor = _run_For

    def _run_While(self, node: ast.While) -> None:
        self.value(node.test)
        self.run(node.body)
        self.run(node.orelse)

    def _run_Break(self, node: ast.Break | ast.Continue | ast.Raise) -> bool:
        return False

    _run_Continue = _run_Raise = _run_Break

    def _run_Try(self, node: ast.Try) -> bool:
        goes_on = self.run(node.body)
        if goes_on:
            goes_on = self.run(node.orelse)
        imports = all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in node.body)
        for handler in node.handlers if not imports else []:
            with self.assuming(frozenset({(("except", id(handler)), True)})):
                if handler.name:
                    self.set_name(handler.name, Thing(handler.name))
                goes_on |= self.run(handler.body)
        self.run(node.finalbody)
        return goes_on

    _run_TryStar = _run_Try

    def _run_With(self, node: ast.With | ast.AsyncWith) -> bool:
        for item in node.items:
            context = self.value(item.context_expr)
            if item.optional_vars is not None:
                enter = self.attribute(context, "__enter__") if isinstance(context, Instance) else None
                self.bind(item.optional_vars, self.call(enter, [], {}, item.context_expr) if enter else context)
        return self.run(node.body)

    _run_AsyncWith = _run_With

    def _run_Match(self, node: ast.Match) -> bool:
        subject = self.value(node.subject)
        self.alive.append(subject)
        goes_on = False
        for case in node.cases:
            pattern = case.pattern
            is_constant = isinstance(pattern, ast.MatchValue) and isinstance(pattern.value, ast.Constant)
            value = pattern.value.value if is_constant else None  # type: ignore[attr-defined]
            if isinstance(subject, Const) and is_constant and subject.value != value:
                continue
            key = ("==", id(subject), value) if is_constant else ("case", id(case))
            with self.assuming(frozenset({(key, True)})):
                goes_on |= self.run(case.body)
        return goes_on or not node.cases

    def _run_Assert(self, node: ast.Assert) -> None:
        self.parents.append(node)
        try:
            self.value(node.test)
        finally:
            self.parents.pop()

    def _run_Return(self, node: ast.Return) -> bool:
        value = self.value(node.value)
        frame = self.frame
        # The first return wins: what was returned before stays, the new value fills the rest.
        result = overwrite(None, value, self.extra(frame.scope.born))
        for guard, earlier in alternatives(frame.result, frozenset()) if frame.result is not None else []:
            result = overwrite(result, earlier, sorted(guard, key=lambda one: self.order.get(one[0], 0)))
        frame.result = result
        return False

    # Definitions and imports

    def _run_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        names = [ast.unparse(each.func if isinstance(each, ast.Call) else each) for each in node.decorator_list]
        owner = self.frame.owner if self.frame.function is None else None
        function = Function(
            node,
            self.frame.module,
            self._outside_class(),
            owner,
            frozenset(name.rpartition(".")[2] for name in names),
            self.defaults(node.args),
        )
        if "setter" not in function.decorators and "overload" not in function.decorators:
            earlier = self.frame.scope.names.get(node.name)
            if isinstance(earlier, Function):  # nobody can call it any more, but somebody wrote it
                self.inner.append(earlier)
            self.set_name(node.name, function)
        if self.frame.function is not None:
            self.inner.append(function)

    _run_AsyncFunctionDef = _run_FunctionDef

    def _outside_class(self) -> Namespace:
        """The names that a function's body sees: those of a class aren't among them."""
        frame = self.frame
        in_class = frame.owner is not None and frame.function is None
        return frame.scope.parent if in_class and frame.scope.parent else frame.scope

    def _run_ClassDef(self, node: ast.ClassDef) -> None:
        bases = [self.value(base) for base in node.bases if not isinstance(base, ast.Starred)]
        cls = Class(node, self.frame.module, [base for base in bases if isinstance(base, Class | Symbol)])
        if any("dataclass" in ast.unparse(each) for each in node.decorator_list):
            cls.names["dataclass"] = Const(True)
        scope = Namespace(names=cls.names, parent=self._outside_class(), born=self.taken)
        self.frames.append(Frame(self.frame.module, scope, owner=cls))
        try:
            self.run(node.body)
        finally:
            self.frames.pop()
        self.set_name(node.name, cls)
        for decorator in node.decorator_list:
            self._register(cls, decorator)

    def _register(self, cls: Class, decorator: ast.expr) -> None:
        """A short decorator of the program's own may put a class in a dictionary of models or losses."""
        with self.at_most(REGISTER_BUDGET):
            function = self.value(decorator)
            if isinstance(function, Function | Bound):
                self.call(function, [cls], {}, decorator)

    def _run_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            name = alias.name if alias.asname else top
            self.set_name(alias.asname or top, modules.import_module(self, name, 0))

    def _run_ImportFrom(self, node: ast.ImportFrom) -> None:
        package = modules.import_module(self, node.module or "", node.level)
        for alias in node.names:
            if alias.name == "*":  # what's behind it is looked for when somebody asks for a name
                continue
            found = (
                Later(package.module, alias.name) if isinstance(package, File) else self.attribute(package, alias.name)
            )
            self.set_name(alias.asname or alias.name, found)
