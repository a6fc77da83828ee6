"""What the registry says of a callable, as types: read-only and hashable; ``schema.json`` says the same of the files.

A `Callable` is one function, class, method, attribute or option of a framework, with every input and the flags that
change a scale. A `Case` is one setting of those flags that was run, or read, with the numbers that came out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar, get_args

Scale = Literal["logits", "log-odds", "probabilities", "log-probabilities", "margin", "none"]
Event = Literal["binary", "categorical", "multilabel"]
Form = Literal["function", "class", "method", "attribute", "string", "option"]
Where = Literal["construct", "call"]
Stability = Literal["fused", "clips", "overflows", "saturates", "exact"]
OnWrong = Literal["raises", "silent", "sometimes"]
Evidence = Literal["run", "read", "derived"]

#: The scales a score can be on, in the words of people: *logits* alone are those of a softmax.
SCALES: Final[tuple[Scale, ...]] = get_args(Scale)
WORDS: Final[Mapping[Scale, str]] = {
    "logits": "logits (of a softmax)",
    "log-odds": "logits (of a sigmoid, = log-odds)",
    "probabilities": "probabilities",
    "log-probabilities": "log-probabilities",
    "margin": "a margin (no probability belongs to it)",
    "none": "no score (labels, values, features)",
}

Value = str | float | bool | None
Number = float | tuple[float, ...]
T = TypeVar("T")


class ByBackend(Mapping[str, T], Generic[T]):
    """What differs between the backends of a framework: a read-only mapping that can be hashed."""

    def __init__(self, values: Mapping[str, T]) -> None:
        self._values = dict(values)

    def __getitem__(self, backend: str) -> T:
        return self._values[backend]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        return f"ByBackend({self._values})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One parameter: where it is passed, and the scale of what it must hold.

    ``scale`` is None where it isn't known: it depends on a flag whose value isn't, or on what ``depends`` says. A
    target has none either: ``target`` says how it's written.
    """

    name: str
    where: Where = "call"
    index: int | None = None
    scale: Scale | None = None
    event: Event | None = None
    target: tuple[str, ...] = ()
    depends: str | None = None
    optional: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What one value of a flag sets: the scale of inputs, or of what's returned. The cases have the rest."""

    value: Value
    scales: tuple[tuple[str, Scale], ...] = ()
    returns: Scale | None = None
    event: Event | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """A parameter whose value changes a scale, such as ``from_logits``."""

    name: str
    where: Where = "call"
    index: int | None = None
    default: Value = None
    settings: tuple[Setting, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reduction:
    """How the values of a loss become one: the parameter, its default, and a sentence where no word is enough."""

    param: str | None = None
    default: str
    how: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A call and what it gives: the number for the right input, for one on a wrong scale, or for what a trap claims.

    A call is an expression in ``x`` (the scores, a list), ``y`` (the target) and ``onehot`` (the target as indicators).
    Where it is not just the function with its defaults, ``how`` says what it is.
    """

    call: str
    how: str | None = None
    gives: Number | ByBackend[Number] | None = None
    raises: str | ByBackend[str] | None = None
    passes: Scale | None = None
    says: str | None = None
    p: tuple[float, ...] | None = None
    x: tuple[float, ...] | None = None
    y: int | None = None
    probabilities: str | None = None
    tolerance: float = 1e-6
    why: str | None = None

    @property
    def effect(self) -> OnWrong:
        """Whether the call raised, went through silently, or either, depending on the backend."""
        if self.raises is not None and self.gives is not None:
            return "sometimes"
        return "silent" if self.raises is None else "raises"

    @property
    def outcome(self) -> str:
        """What the call gave, on each backend if they differ."""
        given = self.raises if self.gives is None else self.gives
        if not isinstance(given, ByBackend):
            return str(list(given) if isinstance(given, tuple) else given)
        backends: dict[str, list[str]] = {}
        for backend, each in given.items():
            backends.setdefault(str(list(each) if isinstance(each, tuple) else each), []).append(backend)
        if len(backends) == 1:
            return next(iter(backends))
        return "; ".join(f"{value} on {', '.join(names)}" for value, names in backends.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One setting of the flags, with the numbers that were computed with it.

    ``when`` are the flags that aren't at their default; ``condition`` is what no flag says, such as "three classes".
    """

    when: tuple[tuple[str, Value], ...] = ()
    condition: str | None = None
    input: str | None
    scale: Scale
    role: str
    event: Event | None
    applies: str
    ops: tuple[str, ...]
    stability: Stability | ByBackend[Stability] | None
    target: str | None
    trap: str
    formula: str | None = None
    source: str
    docs: str
    check: Check | None = None
    wrong: Check | None = None
    also: tuple[Check, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Callable:
    """One callable of a framework: what every input must hold, what it returns, and what a wrong scale does.

    ``paths`` are exact: each can be imported (in languages other than Python, each is its full name there).
    ``spellings`` are only for `find`. ``returns`` is "none" for what isn't a score, such as a loss, a sample or labels;
    it's None where the scale isn't known, since it depends on a flag whose value isn't, or on what ``depends`` says.
    """

    id: str
    framework: str
    language: str
    package: str | None
    not_run: str | None
    symbol: str
    paths: tuple[str, ...]
    spellings: tuple[str, ...] = ()
    form: Form
    construct: str | None = None
    call: str | None = None
    written: str | None = None
    role: str
    event: Event | None = None
    inputs: tuple[Input, ...]
    flags: tuple[Flag, ...] = ()
    returns: Scale | None = None
    depends: str | None = None
    applies: str
    ops: tuple[str, ...] = ()
    stability: Stability | ByBackend[Stability] | None = None
    reduction: Reduction | None = None
    target: str | None = None
    trap: str
    fix: str | None = None
    docs: str
    source: str
    evidence: Evidence
    versions: tuple[str, ...]
    cases: tuple[Case, ...]

    @property
    def signature(self) -> str:
        """How it's called: the parameters, or those of the class and then those of its object."""
        if self.written is not None:
            return self.written
        if self.construct is not None and self.call is not None:
            return f"({self.construct})({self.call})"
        return self.construct if self.call is None and self.construct is not None else self.call or ""

    @property
    def scores(self) -> tuple[Input, ...]:
        """The inputs that hold a score, as opposed to targets and weights; a scale that can't be known is None."""
        return tuple(each for each in self.inputs if not each.target)

    @property
    def on_wrong(self) -> tuple[tuple[Scale, OnWrong], ...]:
        """What the scales that were tried by mistake do: raise, or go through silently."""
        wrong = (each.wrong for each in self.cases if each.wrong and each.scale == self.cases[0].scale)
        return tuple((each.passes, each.effect) for each in wrong if each.passes)


def frozen(value: Any) -> Any:
    """A value of a TOML file as one that can be hashed and not changed."""
    if isinstance(value, list):
        return tuple(map(frozen, value))
    if isinstance(value, dict):
        return ByBackend({name: frozen(each) for name, each in value.items()})
    return value
