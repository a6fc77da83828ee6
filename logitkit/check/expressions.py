"""The value of an expression: names, attributes, containers, arithmetic, comparisons."""

from __future__ import annotations

import ast
import builtins
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from logitkit.check import arithmetic
from logitkit.check.sources import Module, Project
from logitkit.check.structures import MODEL_METHODS
from logitkit.check.values import (
    LABELS,
    Bound,
    Choice,
    Class,
    Const,
    File,
    Function,
    Guard,
    Instance,
    Items,
    Later,
    Made,
    Mapping,
    Method,
    Namespace,
    Place,
    Step,
    Super,
    Symbol,
    Tensor,
    Thing,
    Value,
    alternatives,
    each,
    overwrite,
    read,
)

__all__ = ["Expressions", "Frame", "TooLongError"]

Condition = tuple[Any, ...]
MOST_STARS = 200  # a large package's `__init__` may import everything of everything
_READERS = {kind: f"_{name}" for name, kind in vars(ast).items() if isinstance(kind, type)}  # by the node's class


class TooLongError(Exception):
    """The budget for one file is spent."""


@dataclass(eq=False)
class Frame:
    """One function (or module) that's being read."""

    module: Module
    scope: Namespace
    function: Function | None = None
    owner: Class | None = None
    self_value: Value | None = None
    result: Value | None = None
    yields: list[Value] = field(default_factory=list)


class Expressions(ABC):
    """Reads expressions. What a call does is said by the subclass."""

    def __init__(self, project: Project, budget: int) -> None:
        self.project = project
        self.budget = budget
        self.imports = 0  # files read so far
        self.stars = 0  # `import *` looked behind so far
        self.taken: Guard = frozenset()
        self.frames: list[Frame] = []
        self.order: dict[Condition, int] = {}  # conditions in the order in which they came up
        self.alive: list[Value] = []
        self.names: set[int] = set()  # the unknown keys that something was looked up by in a dictionary
        self.called: set[int] = set()  # the functions whose body was read
        self.inner: list[Function] = []  # functions defined in functions
        self.parents: list[ast.AST] = []  # the expressions around the one that's being read

    @abstractmethod
    def call(self, function: Value, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """What a call gives."""

    @abstractmethod
    def compared(self, value: Value, operator: str, number: float, node: ast.AST) -> None:
        """Take note that numbers are compared with a threshold."""

    @abstractmethod
    def apply(self, function: Function, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """Read a function's body."""

    @abstractmethod
    def import_module(self, name: str, level: int, node: ast.AST) -> Value:
        """The module that an import means."""

    @property
    def frame(self) -> Frame:
        """The function that's being read."""
        return self.frames[-1]

    def place(self, node: ast.AST) -> Place:
        """Where an expression is."""
        return self.frame.module.source.place(node)

    @contextmanager
    def assuming(self, conditions: Guard) -> Iterator[None]:
        """Take conditions for granted for a while."""
        before = self.taken
        self.taken = before | conditions
        for condition, _ in conditions:
            self.order.setdefault(condition, len(self.order))
        try:
            yield
        finally:
            self.taken = before

    @contextmanager
    def at_most(self, budget: int) -> Iterator[None]:
        """Read a part with a smaller budget; where it's spent, the rest of the part isn't read."""
        whole, self.budget = self.budget, min(self.budget, budget)
        given = self.budget
        before = len(self.frames), self.taken
        try:
            yield
        except TooLongError:
            del self.frames[before[0] :]
            self.taken = before[1]
        finally:
            self.budget = whole - (given - max(self.budget, 0))

    def extra(self, born: Guard) -> list[tuple[Any, bool]]:
        """What's taken for granted here and wasn't where an object was made."""
        found = self.taken - born if born else self.taken
        return sorted(found, key=lambda one: self.order.get(one[0], 0)) if len(found) > 1 else list(found)

    def value(self, node: ast.AST | None) -> Value:
        """The value of an expression."""
        if node is None:
            return Const(None)
        self.budget -= 1
        if self.budget < 0:
            raise TooLongError
        method = getattr(self, _READERS[type(node)], None)
        if method is None:
            return Thing("expression")
        self.parents.append(node)
        try:
            found: Value = method(node)
        finally:
            self.parents.pop()
        return found

    # Names and attributes

    def _Constant(self, node: ast.Constant) -> Value:
        return Const(node.value)

    def _Name(self, node: ast.Name) -> Value:
        return self.name(node.id)

    def name(self, name: str) -> Value:
        """What a name stands for."""
        scope: Namespace | None = self.frame.scope
        while scope is not None:
            if name in scope.names:
                found = scope.names[name]
                if isinstance(found, Later):
                    found = scope.names[name] = self.imported(found)
                return read(found, self.taken)
            scope = scope.parent
        module = self.frame.module
        if (starred := self.starred(module, name)) is not None:
            return read(starred, self.taken)
        if hasattr(builtins, name):
            return Symbol(f"builtins.{name}")
        if name == "sigmoid":
            return Symbol(name)
        # A piece of a program: whatever this is, it's the same thing everywhere.
        return module.unknown.setdefault(name, Thing(name))

    @abstractmethod
    def has(self, path: str) -> bool:
        """Whether a library is known to have this name."""

    def _Attribute(self, node: ast.Attribute) -> Value:
        return self.attribute(self.value(node.value), node.attr)

    def attribute(self, owner: Value, name: str) -> Value:
        """What an attribute is."""
        return each(owner, self.taken, lambda one: self._attribute(one, name))

    def _attribute(self, owner: Value, name: str) -> Value:
        if isinstance(owner, Symbol):
            return Symbol(f"{owner.path}.{name}")
        if isinstance(owner, File):
            return self.imported(Later(owner.module, name))
        if isinstance(owner, Super):
            found = self._inherited(owner.instance, list(owner.cls.line())[1:], name, owner.cls)
            return Method(owner, name) if isinstance(found, Method) and name in MODEL_METHODS else found
        if isinstance(owner, Instance | Made | Thing) and name in owner.attributes:
            return read(owner.attributes[name], self.taken)
        if isinstance(owner, Instance):
            return self._inherited(owner, list(owner.cls.line()), name, owner.cls)
        if isinstance(owner, Class):
            return self._inherited(owner, list(owner.line()), name, owner)
        if isinstance(owner, Tensor) and name in arithmetic.SAME_ATTRIBUTES:
            return arithmetic.copied(owner) if name == "data" else arithmetic.moved(owner)
        if isinstance(owner, Thing):
            child = Thing(f"{owner.name}.{name}", owner=owner)
            if name in arithmetic.SAME_ATTRIBUTES:
                child.like = owner
            owner.attributes[name] = child
            return child
        return Method(owner, name)

    def imported(self, later: Later) -> Value:
        """What a name of a module stands for: the module is read now, or a file of the package is meant."""
        found = self.exported(later.module, later.name)
        return Thing(later.name) if found is None else read(found, self.taken)

    def exported(self, module: Module, name: str) -> Value | None:
        """What a name of a module stands for, if that can be found."""
        if not self.matters(module):
            return self.starred(module, name)
        if module.done or module.defines(name):
            self.read_top(module)
            found = module.scope.names.get(name)
            if isinstance(found, Later):
                found = module.scope.names[name] = self.imported(found)
            if found is not None:
                return found
        inner = self.project.find(name, module.path, 1) if module.path.endswith("__init__.py") else None
        return File(inner) if inner else self.starred(module, name)

    def starred(self, module: Module, name: str) -> Value | None:
        """What a name stands for that a module has from an `import *`."""
        if name not in module.starred:
            module.starred[name] = None  # modules may import everything of each other
            for star in self.project.stars(module) if not name.startswith("_") else ():
                self.stars += 1
                if self.stars > MOST_STARS:
                    break
                if isinstance(star, Module):
                    found = self.exported(star, name)
                else:
                    found = Symbol(f"{star}.{name}") if self.has(f"{star}.{name}") else None
                if found is not None:
                    module.starred[name] = found
                    break
        return module.starred[name]

    @abstractmethod
    def matters(self, module: Module) -> bool:
        """Whether there's anything about scales in a file."""

    @abstractmethod
    def telling(self, function: Function) -> bool:
        """Whether there's anything about scales in a function."""

    @abstractmethod
    def read_top(self, module: Module) -> None:
        """Read a file's top level, once."""

    def _inherited(self, owner: Value, line: list[Class], name: str, cls: Class) -> Value:
        """An attribute found in a class or its ancestors; a method is bound to its object."""
        if name == "__class__" and isinstance(owner, Instance):
            return owner.cls
        for each_class in line:
            if name not in each_class.names:
                continue
            found = read(each_class.names[name], self.taken)
            if not isinstance(found, Function):
                return found
            if "staticmethod" in found.decorators:
                return found
            if "classmethod" in found.decorators:
                return Bound(found, [owner.cls if isinstance(owner, Instance) else owner])
            if isinstance(owner, Class):
                return found
            if found.decorators & {"property", "cached_property"}:
                return self.apply(found, [owner], {}, found.node)
            return Bound(found, [owner])
        if isinstance(owner, Instance):
            if cls.libraries():
                return Method(owner, name)
            owner.attributes[name] = Thing(f"self.{name}", owner=owner)
            return owner.attributes[name]
        return Thing(f"{cls.node.name}.{name}")

    def set_attribute(self, owner: Value, name: str, new: Value) -> None:
        """Assign to an attribute."""
        for guard, one in alternatives(owner, self.taken):
            if isinstance(one, Instance | Made):
                with self.assuming(guard):
                    old = one.attributes.get(name)
                    one.attributes[name] = overwrite(old, new, self.extra(one.born))
            elif isinstance(one, Thing):
                one.attributes[name] = overwrite(one.attributes.get(name), new, self.extra(frozenset()))
            elif isinstance(one, Class):
                one.names[name] = new

    # Containers

    def _Tuple(self, node: ast.Tuple | ast.List | ast.Set) -> Value:
        items, is_open = self.values(node.elts)
        return Items(items, is_open)

    _List = _Set = _Tuple

    def values(self, nodes: list[ast.expr]) -> tuple[list[Value], bool]:
        """The values of several expressions, stars unpacked, and whether there may be more."""
        found: list[Value] = []
        is_open = False
        for node in nodes:
            if not isinstance(node, ast.Starred):
                found.append(self.value(node))
                continue
            inner = self.value(node.value)
            if isinstance(inner, Items):
                found.extend(inner.items)
                is_open |= inner.open
            else:
                is_open = True
        return found, is_open

    def _Dict(self, node: ast.Dict) -> Value:
        mapping = Mapping({})
        for key, value in zip(node.keys, node.values, strict=True):
            inner = self.value(value)
            if key is None:
                if isinstance(inner, Mapping):
                    mapping.items.update(inner.items)
                mapping.open |= not isinstance(inner, Mapping) or inner.open
                continue
            name = self.value(key)
            if isinstance(name, Const):
                mapping.items[name.value] = inner
            else:
                mapping.open = True
        return mapping

    def _Subscript(self, node: ast.Subscript) -> Value:
        owner, index = self.value(node.value), self.value(node.slice)
        return each(owner, self.taken, lambda one: self.item(one, index, node))

    def _Slice(self, node: ast.Slice) -> Value:
        bounds = [self.value(part) for part in (node.lower, node.upper, node.step)]
        if all(isinstance(bound, Const) and isinstance(bound.value, int | None) for bound in bounds):
            return Const(slice(*(bound.value for bound in bounds if isinstance(bound, Const))))
        return Thing("slice")

    def item(self, owner: Value, index: Value, node: ast.AST) -> Value:
        """One element of a container."""
        if isinstance(owner, Items):
            return self._element(owner, index)
        if isinstance(owner, Mapping):
            return self._entry(owner, index)
        if isinstance(owner, Tensor):
            return arithmetic.cut(owner, index)
        if isinstance(owner, Thing):
            key = f"[{index.value!r}]" if isinstance(index, Const) else ""
            if not key:
                return Thing(owner.name, like=owner, owner=owner.owner)
            if key not in owner.attributes:
                owner.attributes[key] = Thing(f"{owner.name}{key}", like=owner)
            return owner.attributes[key]
        if isinstance(owner, Instance) and (elements := owner.items()) is not None:
            return self._element(Items(elements), index)
        if isinstance(owner, Made | Instance):
            return self.part(owner, index, node)
        return owner if isinstance(owner, Symbol | Class) else Thing("element")

    @abstractmethod
    def part(self, owner: Made | Instance, index: Value, node: ast.AST) -> Value:
        """One layer of a model, or what `__getitem__` gives."""

    def _element(self, owner: Items, index: Value) -> Value:
        if isinstance(index, Const) and not owner.open:
            try:
                found = owner.items[index.value]
            except (IndexError, TypeError):
                return Thing("element")
            return Items(found) if isinstance(found, list) else found
        return self.any_of(owner)

    def _entry(self, owner: Mapping, index: Value) -> Value:
        if isinstance(index, Const):
            try:
                found = owner.items.get(index.value)
            except TypeError:
                found = None
            return read(found, self.taken) if found is not None else Thing(str(index.value))
        # A choice by name: `losses[args.loss]` goes with everything else that depends on `args.loss`.
        self.keep_alive(index)
        self.names.add(id(index))
        options = [
            (frozenset({(("==", id(index), key), True)}), value) for key, value in list(owner.items.items())[:12]
        ]
        kept = [option for option in options if not owner.open or option]
        return Choice(tuple(kept)) if kept and not owner.open else Thing("entry")

    def any_of(self, items: Items) -> Value:
        """An element, no matter which: known only if all are alike."""
        if items.items and all(isinstance(one, Tensor) for one in items.items):
            tensors = [one for one in items.items if isinstance(one, Tensor)]
            if len({(one.scale, one.by) for one in tensors}) == 1:
                return tensors[-1]
        return items.items[0] if len(items.items) == 1 else Thing("element")

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
            self.compared(left, operator, right.value, node)

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

    def keep_alive(self, value: Value) -> None:
        """Conditions name things by their identity, so the things must live on."""
        self.alive.append(value)

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

    def _generate(self, generators: list[ast.comprehension], body: Any) -> bool:
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

    def elements(self, value: Value) -> tuple[list[Value], bool]:
        """What a loop goes through: each element if they're known and few, or one that stands for all."""
        if isinstance(value, Items) and not value.open and len(value.items) <= 24:
            return list(value.items), True
        if isinstance(value, Items):
            return [self.any_of(value)], False
        if isinstance(value, Mapping) and not value.open and len(value.items) <= 24:
            return [Const(key) for key in value.items], True
        if isinstance(value, Tensor):
            return [arithmetic.moved(value)], False
        if isinstance(value, Made):
            return self.layers(value)
        if isinstance(value, Thing):
            return [self.item(value, Thing("index"), ast.Pass())], False
        return [Thing("element")], False

    @abstractmethod
    def layers(self, made: Made) -> tuple[list[Value], bool]:
        """The layers of a container."""

    # Assignment

    def bind(self, target: ast.AST, value: Value) -> None:
        """Assign to a name, an attribute, an element, or several of them."""
        if isinstance(target, ast.Name):
            self.set_name(target.id, value)
        elif isinstance(target, ast.Attribute):
            self.set_attribute(self.value(target.value), target.attr, value)
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpack(target.elts, value)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, value)
        elif isinstance(target, ast.Subscript):
            self._set_item(target, value)

    def set_name(self, name: str, value: Value) -> None:
        """Assign to a name."""
        scope = self.frame.scope
        if name in scope.outer:
            outer = scope.parent
            while outer is not None and name not in outer.names and outer.parent is not None:
                outer = outer.parent
            scope = outer or scope
        scope.names[name] = overwrite(scope.names.get(name), value, self.extra(scope.born))

    def _unpack(self, targets: list[ast.expr], value: Value) -> None:
        if isinstance(value, Choice):
            parts = [[] for _ in targets]  # type: list[list[tuple[Guard, Value]]]
            for guard, one in alternatives(value, self.taken):
                for part, found in zip(parts, self._parts(targets, one), strict=True):
                    part.append((guard, found))
            for target, part in zip(targets, parts, strict=True):
                self.bind(target, read(Choice(tuple(part)), self.taken))
            return
        for target, found in zip(targets, self._parts(targets, value), strict=True):
            self.bind(target, found)

    def _parts(self, targets: list[ast.expr], value: Value) -> list[Value]:
        starred = any(isinstance(target, ast.Starred) for target in targets)
        if isinstance(value, Instance) and (elements := value.items()) is not None:
            value = Items(elements)
        if isinstance(value, Items) and not value.open and not starred and len(value.items) == len(targets):
            return list(value.items)
        if isinstance(value, Thing):
            return [self.item(value, Const(number), targets[0]) for number in range(len(targets))]
        if isinstance(value, Tensor):
            return [arithmetic.moved(value) for _ in targets]
        return [Thing("part") for _ in targets]

    def _set_item(self, target: ast.Subscript, value: Value) -> None:
        owner, index = self.value(target.value), self.value(target.slice)
        if isinstance(owner, Mapping):
            if isinstance(index, Const) and isinstance(index.value, str | int | float | bool | tuple | None):
                owner.items[index.value] = overwrite(owner.items.get(index.value), value, self.extra(frozenset()))
            else:
                owner.open = True
        elif isinstance(owner, Items):
            if (
                isinstance(index, Const)
                and isinstance(index.value, int)
                and -len(owner.items) <= index.value < len(owner.items)
            ):
                owner.items[index.value] = value
            else:
                owner.open = True
        elif isinstance(owner, Tensor):
            # Some of the numbers are overwritten: what's left isn't what it was.
            self.bind(target.value, Thing("changed"))
        elif (isinstance(owner, Thing) and isinstance(index, Const)) or (
            isinstance(owner, Made) and isinstance(index, Const)
        ):
            owner.attributes[f"[{index.value!r}]"] = value


def with_step(value: Value, place: Place, what: str) -> Value:
    """A value with one more station on its way."""
    return replace(value, step=Step(place, what, value.step), like=value) if isinstance(value, Tensor) else value
