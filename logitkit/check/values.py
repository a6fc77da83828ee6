"""What a name may stand for while a program is read: numbers on a scale, layers, functions, classes, containers.

A value that depends on a condition nobody can decide is a `Choice`: alternatives, each under the conditions that lead
to it. Two choices made by the same condition are never mixed up, so a model and a loss that switch together on one
flag stay right together.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logitkit.check.sources import Module

__all__ = [
    "MORE", "PROBS", "LOG_PROBS", "SCORES", "LABELS", "Bound", "Choice", "Class", "Const", "File",
    "Function", "Guard", "Instance", "Items", "Later", "Made", "Mapping", "Method", "Namespace", "Place", "Step",
    "Super", "Symbol", "Tensor", "Thing", "Value", "root", "text",
]  # fmt: skip

PROBS, LOG_PROBS, SCORES, LABELS = "probabilities", "log-probabilities", "scores", "labels"
MORE = "**"  # the key that says there may be more keyword arguments


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
