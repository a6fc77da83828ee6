"""Reads a program statement by statement, as Python would, on scales in place of numbers.

Both branches of an `if` that nobody can decide are read, each under its condition; a loop's body is read once, or once
for each element if they're known. Every function is read at least once: where it's called, with what it's given, and by
itself, with arguments that nothing is known about.
"""

from __future__ import annotations

import ast
import re

from logitkit.check.calls import Calls, telling
from logitkit.check.expressions import Frame, TooLongError
from logitkit.check.sources import BadFileError, Module
from logitkit.check.structures import STEPS
from logitkit.check.values import (
    MORE,
    Bound,
    Class,
    Const,
    File,
    Function,
    Instance,
    Later,
    Namespace,
    Symbol,
    Thing,
    Value,
    alternatives,
    overwrite,
    read,
    text,
)

__all__ = ["Statements"]

Block = list[ast.stmt]
_READERS = {kind: f"_run_{name}" for name, kind in vars(ast).items() if isinstance(kind, type)}  # by the node's class
_REGISTERS = re.compile(r"^@[\w.]*register", re.M)
ROOT_BUDGET = 6_000  # expressions read for one function and what it calls
REGISTER_BUDGET = 200  # the same for a class's decorator
CALLED = ("__call__", "forward", "call")  # what runs when an object is called
MOST_IMPORTS = 64  # files read for one; large packages import each other, and a value's way is seldom so long
DEEPEST_IMPORT = 24  # calls and imports inside each other


class Statements(Calls):
    """Reads statements, modules, and what's left over: functions that nobody called."""

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
            self.set_name(alias.asname or top, self.import_module(name, 0, node))

    def _run_ImportFrom(self, node: ast.ImportFrom) -> None:
        package = self.import_module(node.module or "", node.level, node)
        for alias in node.names:
            if alias.name == "*":  # what's behind it is looked for when somebody asks for a name
                continue
            found = (
                Later(package.module, alias.name) if isinstance(package, File) else self.attribute(package, alias.name)
            )
            self.set_name(alias.asname or alias.name, found)

    def import_module(self, name: str, level: int, node: ast.AST) -> Value:
        """A file of the program, or a library by its name."""
        module = self.project.find(name, self.frame.module.path, level)
        if module is not None and module is not self.frame.module:
            if _REGISTERS.search(module.text):  # importing it is what puts its classes into a dictionary
                self.read_top(module)
            return File(module)
        return Symbol(name) if not level else Thing(name)

    def read_top(self, module: Module) -> None:
        """Read what a module does when it's imported; for a script, when it's run."""
        if module.done or len(self.frames) > DEEPEST_IMPORT or self.imports > MOST_IMPORTS:
            return
        module.done = True
        self.imports += 1
        try:
            body = module.source.tree.body
        except BadFileError:  # an imported file that isn't Python: nothing is known about its names
            return
        module.scope.names["__name__"] = Const("__main__" if not self.frames else "imported")
        outer, self.taken = self.taken, frozenset()
        self.frames.append(Frame(module, module.scope))
        try:
            self.run(body)
        finally:
            self.frames.pop()
            self.taken = outer

    # What nobody called

    def read_all(self, module: Module) -> None:
        """Read a file: what it does, then each of its functions by itself."""
        self.read_top(module)
        self.frames.append(Frame(module, module.scope))
        try:
            for value in list(module.scope.names.values()):
                for _, one in alternatives(value, frozenset()):
                    if isinstance(one, Function) and one.module is module:
                        self._alone(one, [])
                    elif isinstance(one, Class) and one.module is module:
                        self._class_alone(one)
            for function in self.inner[:300]:  # grows while it's read
                if id(function.node) not in self.called and function.module is module:
                    self._alone(function, [])
        finally:
            self.frames.pop()

    def _class_alone(self, cls: Class) -> None:
        """Read a class's methods on an object made with arguments that nothing is known about."""
        instance = Instance(cls, born=self.taken)
        methods = {
            name: found
            for one in reversed(list(cls.line()))
            for name, value in one.names.items()
            for _, found in alternatives(value, frozenset())
            if isinstance(found, Function)
        }
        if "__init__" not in methods and cls.libraries():
            instance.attributes.update(
                {name: read(value, self.taken) for name, value in cls.names.items() if isinstance(value, Const)}
            )
        first = [name for name in ("__init__", "setup", "build", "configure_model") if name in methods]
        own = _defined(cls)
        for name in (*first, *(name for name in methods if name not in first)):
            method = methods[name]
            if name in cls.names or name in first or self._concerns(method, cls, instance, own):
                self._method_alone(instance, name, method)

    def _concerns(self, method: Function, cls: Class, instance: Instance, own: set[str]) -> bool:
        """Whether an inherited method, which was read with its own class, is another one in this class.

        It is if it uses something of this class; in another file, where that's often a setting, if it calls a layer, a
        loss or a method that says something about scales.
        """
        if method.module is cls.module:
            return bool(_used(method) & own)
        return any(
            telling(instance.attributes[name])
            if name in instance.attributes
            else isinstance(found := cls.names.get(name), Function) and self.telling(found)
            for name in _called(method) & own
        )

    def _method_alone(self, instance: Instance, name: str, method: Function) -> None:
        """Read one method. What it assigns to the object isn't there for sure when another method runs."""
        if name in STEPS:
            instance.attributes["training"] = Const(name == "training_step")
        condition = frozenset() if name in ("__init__", "setup", "build") else frozenset({(("called", name), True)})
        with self.assuming(condition):
            self._alone(method, [] if "staticmethod" in method.decorators else [instance])

    def _alone(self, function: Function, args: list[Value]) -> None:
        """Read a function by itself: its arguments are their defaults where these say what they are."""
        kwargs: dict[str, Value] = {}
        node = function.node
        if self.budget <= 0:
            raise TooLongError
        arguments = [*node.args.posonlyargs, *node.args.args][len(args) :] + node.args.kwonlyargs
        scope_frame = Frame(function.module, function.scope)
        for argument in arguments:
            default = function.defaults.get(argument.arg)
            unsure = default is None or (isinstance(default, Const) and isinstance(default.value, bool | None))
            if unsure:
                kwargs[argument.arg] = self._annotated(argument, scope_frame)
        with self.at_most(ROOT_BUDGET):
            self.apply(function, args, kwargs, node)

    def _annotated(self, argument: ast.arg, frame: Frame) -> Value:
        """An object of the class that an argument is said to have."""
        name = argument.annotation
        if isinstance(name, ast.Name | ast.Attribute):
            self.frames.append(frame)
            try:
                cls = self.value(name)
                if isinstance(cls, Class) and cls.libraries():
                    return self.instantiate(cls, [], {MORE: Thing("more")}, name)
            finally:
                self.frames.pop()
        return Thing(argument.arg)


def _used(method: Function) -> set[str]:
    """What a method uses of its object: attributes, methods, and what runs when the object itself is called."""
    return {*re.findall(r"\bself\.(\w+)", method.text), *_called(method)}


def _called(method: Function) -> set[str]:
    """What a method calls of its object."""
    names = re.findall(r"\bself(?:\.(\w+))?\(", method.text)
    return {*names, *CALLED} if "" in names else set(names)


def _defined(cls: Class) -> set[str]:
    """The names that a class defines: methods, fields, and what's assigned to attributes."""
    stored = re.findall(r"\bself\.(\w+)\s*[,:=]", text(cls.module, cls.node))
    return {*cls.names, *stored} - {"__init__"}
