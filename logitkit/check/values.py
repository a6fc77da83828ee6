"""What a name may stand for while a program is read: numbers on a scale, layers, functions, classes, containers.

A value that depends on a condition nobody can decide is a `Choice`: alternatives, each under the conditions that lead
to it. Two choices made by the same condition are never mixed up, so a model and a loss that switch together on one
flag stay right together.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logitkit.check.sources import Module

__all__ = [
    "MORE", "PROBS", "LOG_PROBS", "SCORES", "LABELS", "UNKNOWN", "Bound", "Choice", "Class", "Const", "File",
    "Function", "Guard", "Instance", "Items", "Later", "Made", "Mapping", "Method", "Namespace", "Place", "Step",
    "Super", "Symbol", "Tensor", "Thing", "Value", "alternatives", "combine", "contradict", "each", "overwrite", "read",
    "root", "text",
]  # fmt: skip

PROBS, LOG_PROBS, SCORES, LABELS, UNKNOWN = "probabilities", "log-probabilities", "scores", "labels", "unknown"
MORE = "**"  # the key that says there may be more keyword arguments
MOST = 12  # a value with more alternatives than this is not known


@dataclass(frozen=True)
class Place:
    """A place in a file; lines and columns count from one, columns in bytes until a finding is shown."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True)
class Step:
    """One station on a value's way, and the one before it."""

    place: Place
    what: str
    before: Step | None = None

    def __iter__(self) -> Iterator[Step]:
        if self.before:
            yield from self.before
        yield self


class Value:
    """Anything an expression may give."""


@dataclass(eq=False)
class Thing(Value):
    """Something unknown, with a name to speak of it. Attributes of the same thing are the same things."""

    name: str = ""
    attributes: dict[str, Value] = field(default_factory=dict)
    like: Value | None = None  # what it was before a change that keeps the scale
    owner: Value | None = None  # whose attribute it is, or what was called to get it


@dataclass(eq=False, frozen=True)
class Const(Value):
    """A Python constant."""

    value: Any


@dataclass(eq=False, frozen=True)
class Tensor(Value):
    """Numbers on a known scale. `by` is the activation that made them, `units` how many there are in a row."""

    scale: str
    step: Step
    by: str = ""
    units: int | None = None
    like: Value | None = None
    source: Value | None = None  # what the activation was applied to
    call: ast.AST | None = None  # the call that made it
    direct: bool = True  # as it left the layer: neither moved nor cut
    tempered: bool = False  # divided by what is called a temperature
    mixed: bool = False  # a small number was added, or it's an average
    bent: bool = False  # rectified or squashed, as between two layers


@dataclass(eq=False)
class Items(Value):
    """A tuple or list; of unknown length if `open`."""

    items: list[Value]
    open: bool = False


@dataclass(eq=False)
class Mapping(Value):
    """A dictionary with constant keys; there may be other keys if `open`."""

    items: dict[Any, Value]
    open: bool = False


@dataclass(eq=False, frozen=True)
class Symbol(Value):
    """A name of a library, by its dotted path."""

    path: str


@dataclass(eq=False, frozen=True)
class Method(Value):
    """A method of something that isn't an object of the program's own classes."""

    owner: Value
    name: str


@dataclass(eq=False, frozen=True)
class File(Value):
    """A module of the program."""

    module: Module


@dataclass(eq=False, frozen=True)
class Later(Value):
    """A name imported from a module of the program, which isn't read until somebody asks."""

    module: Module
    name: str


@dataclass(eq=False, frozen=True)
class Super(Value):
    """What `super()` gives."""

    instance: Value
    cls: Class


@dataclass(eq=False)
class Made(Value):
    """What a call of a library's class or function gave: a layer, a loss, a model, a distribution."""

    path: str
    args: list[Value]
    kwargs: dict[str, Value]
    node: ast.AST
    place: Place
    attributes: dict[str, Value] = field(default_factory=dict)
    born: frozenset[tuple[Any, bool]] = frozenset()


@dataclass(eq=False)
class Namespace:
    """Names and what they stand for, inside another namespace."""

    names: dict[str, Value] = field(default_factory=dict)
    parent: Namespace | None = None
    born: frozenset[tuple[Any, bool]] = frozenset()
    outer: set[str] = field(default_factory=set)  # declared global or nonlocal


@dataclass(eq=False)
class Function(Value):
    """A function or lambda of the program."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    module: Module
    scope: Namespace
    owner: Class | None = None
    decorators: frozenset[str] = frozenset()
    defaults: dict[str, Value] = field(default_factory=dict)

    @cached_property
    def text(self) -> str:
        """How it's written."""
        return text(self.module, self.node)


@dataclass(eq=False)
class Class(Value):
    """A class of the program."""

    node: ast.ClassDef
    module: Module
    bases: list[Value]
    names: dict[str, Value] = field(default_factory=dict)

    def line(self) -> Iterator[Class]:
        """The class and its ancestors in the program, nearest first."""
        yield self
        for base in self.bases:
            if isinstance(base, Class) and base is not self:
                yield from base.line()

    def libraries(self) -> list[str]:
        """The dotted paths of the library classes it comes from."""
        return [base.path for each in self.line() for base in each.bases if isinstance(base, Symbol)]

    def fields(self) -> list[str]:
        """The names that are declared with a type, in order: those of a dataclass or a named tuple."""
        return [
            statement.target.id
            for one in reversed(list(self.line()))
            for statement in one.node.body
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
        ]


@dataclass(eq=False)
class Instance(Value):
    """An object of a class of the program."""

    cls: Class
    attributes: dict[str, Value] = field(default_factory=dict)
    born: frozenset[tuple[Any, bool]] = frozenset()
    given: list[Value] = field(default_factory=list)  # what a library's `__init__` was given by position

    def items(self) -> list[Value] | None:
        """The elements of a named tuple."""
        if "typing.NamedTuple" not in self.cls.libraries():
            return None
        return [self.attributes.get(name, Thing(name)) for name in self.cls.fields()]


@dataclass(eq=False)
class Bound(Value):
    """A function with some of its arguments given: a method, or `functools.partial`."""

    function: Value
    args: list[Value] = field(default_factory=list)
    kwargs: dict[str, Value] = field(default_factory=dict)


Guard = frozenset[tuple[Any, bool]]


@dataclass(eq=False, frozen=True)
class Choice(Value):
    """Alternatives, each with the conditions under which it's the one."""

    options: tuple[tuple[Guard, Value], ...]


def text(module: Module, node: ast.AST) -> str:
    """How a function or class is written."""
    first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", None)
    return "\n".join(module.source.lines[first - 1 : last])


def contradict(one: Guard, other: Guard) -> bool:
    """Whether two sets of conditions can't hold together."""
    if not one or not other:
        return False
    for condition, truth in one:
        if (condition, not truth) in other:
            return True
        # Two different constants can't both be equal to one thing.
        if truth and isinstance(condition, tuple) and condition[0] == "==":
            for second, also in other:
                if also and isinstance(second, tuple) and second[:2] == condition[:2] and second[2] != condition[2]:
                    return True
    return False


def alternatives(value: Value, taken: Guard) -> list[tuple[Guard, Value]]:
    """What a value may be under the conditions taken for granted, each with what else must hold."""
    if not isinstance(value, Choice):
        return [(frozenset(), value)]
    return [(guard - taken, option) for guard, option in value.options if not contradict(guard, taken)]


def read(value: Value, taken: Guard) -> Value:
    """The value under the conditions taken for granted: one value if only one is left."""
    if not isinstance(value, Choice):
        return value
    return combine(alternatives(value, taken))


def combine(options: list[tuple[Guard, Value]]) -> Value:
    """One value for several alternatives."""
    if not options:
        return Thing("nothing")
    first = options[0][1]
    if all(_same(option, first) for _, option in options):
        return first
    return Choice(tuple(options)) if len(options) <= MOST else Thing("one of many")


def _same(one: Value, other: Value) -> bool:
    if isinstance(one, Const) and isinstance(other, Const):
        return type(one.value) is type(other.value) and one.value == other.value
    if isinstance(one, Symbol) and isinstance(other, Symbol):
        return one.path == other.path
    return one is other


def each(value: Value, taken: Guard, change: Callable[[Value], Value]) -> Value:
    """Change every alternative."""
    if not isinstance(value, Choice):
        return change(value)
    return combine([(guard, change(option)) for guard, option in alternatives(value, taken)])


def overwrite(old: Value | None, new: Value, extra: list[tuple[Any, bool]]) -> Value:
    """What a name stands for after an assignment that happens only under some conditions.

    Without conditions it's the new value. Otherwise the old value stays where one of them fails: under the negation of
    the first, under the first and the negation of the second, and so on.
    """
    if not extra:
        return new
    here: Guard = frozenset(extra)
    options: list[tuple[Guard, Value]] = []
    for guard, value in alternatives(old, frozenset()) if old is not None else []:
        if here <= guard:
            continue
        if contradict(guard, here):
            options.append((guard, value))
            continue
        held = guard
        for condition, truth in extra:
            if (condition, truth) not in guard:
                options.append((held | {(condition, not truth)}, value))
                held = held | {(condition, truth)}
    for guard, value in alternatives(new, here):
        options.append((here | guard, value))
    options = _merged(options)
    if len(options) > MOST:
        return Thing("one of many")
    return options[0][1] if len(options) == 1 and not options[0][0] else Choice(tuple(options))


def _merged(options: list[tuple[Guard, Value]]) -> list[tuple[Guard, Value]]:
    """The same alternatives, in fewer: a value that's there whether a condition holds or not doesn't depend on it."""
    for i, (one, value) in enumerate(options):
        for j in range(i):
            other, same = options[j]
            difference = one ^ other
            if _same(value, same) and len(difference) == 2 and len({condition for condition, _ in difference}) == 1:
                rest = [option for k, option in enumerate(options) if k not in (i, j)]
                return _merged([*rest, (one & other, value)])
    return options


def root(value: Value) -> Value:
    """Where numbers come from, before all changes that keep their scale.

    Two results of one layer, or of one unknown model, have the same root: what a loss says about the scale of one is
    true of the other.
    """
    while isinstance(value, Thing | Tensor) and value.like is not None:
        value = value.like
    if isinstance(value, Tensor) and value.scale == SCORES and value.source is not None:
        return value.source
    if isinstance(value, Thing) and value.owner is not None and not value.name:
        return value.owner
    return value
