"""Values that depend on conditions nobody can decide: what they may be, under what's taken for granted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from logitkit.check.values import Choice, Const, Guard, Symbol, Thing, Value

__all__ = ["alternatives", "combine", "contradict", "each", "overwrite", "read"]

MOST = 12  # a value with more alternatives than this is not known


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
