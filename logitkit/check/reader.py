"""What's known at one moment of reading a program: where it's read, under which conditions, and what came up so far.

Classes on top of `Reader` read one kind of thing each; functions that follow libraries are given the reader.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from logitkit.check.facts import Facts
from logitkit.check.findings import Finding
from logitkit.check.sources import Module, Project
from logitkit.check.values import Class, Const, Function, Guard, Namespace, Place, Thing, Value

__all__ = ["Args", "Condition", "Frame", "Kwargs", "Reader", "Threshold", "TooLongError"]

Args = list[Value]
Kwargs = dict[str, Value]
Condition = tuple[Any, ...]
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


@dataclass(frozen=True)
class Threshold:
    """Numbers compared with a constant."""

    value: Value
    operator: str
    number: float
    node: ast.AST
    place: Place
    under: Guard  # the conditions under which it's compared


class Reader(ABC):
    """The state of reading a file, and everything it imports."""

    def __init__(self, project: Project, facts: Facts, budget: int) -> None:
        self.project = project
        self.facts = facts
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
        self.findings: list[Finding] = []
        self.thresholds: list[Threshold] = []
        self.accepted = 0  # how often a loss was given what it wants
        self.probabilities: set[int] = set()  # what losses take for probabilities, by the value's root
        # What takes a value for log-odds, where and under which conditions, by the value's root.
        self.wanted: dict[int, list[tuple[str, Place, Guard]]] = {}

    @abstractmethod
    def call(self, function: Value, args: Args, kwargs: Kwargs, node: ast.AST) -> Value:
        """What a call gives."""

    @abstractmethod
    def apply(self, function: Function, args: Args, kwargs: Kwargs, node: ast.AST) -> Value:
        """Read a function's body with these arguments."""

    @abstractmethod
    def run(self, body: list[ast.stmt]) -> bool:
        """Read statements; whether the program goes on after them."""

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

    def keep_alive(self, value: Value) -> None:
        """Conditions name things by their identity, so the things must live on."""
        self.alive.append(value)

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
