"""Where a scale meets a function or a threshold that contradicts it.

The facts are the registry's (`facts`), the verdicts are those of `rules`.
"""

from __future__ import annotations

import ast

from logitkit.check import rules
from logitkit.check.choices import alternatives, contradict, each
from logitkit.check.facts import Fact, Input
from logitkit.check.findings import Finding
from logitkit.check.reader import Args, Kwargs, Reader, Threshold
from logitkit.check.values import (
    LOG_PROBS,
    PROBS,
    SCORES,
    Const,
    Guard,
    Items,
    Made,
    Place,
    Step,
    Tensor,
    Thing,
    Value,
    root,
)

__all__ = ["accuracy", "check", "compared", "compared_by_call", "conclude", "notice", "picked", "use"]


def use(
    reader: Reader, fact: Fact, where: str, args: Args, kwargs: Kwargs, node: ast.AST, made: Made | None = None
) -> Value:
    """Compare what a function is given with what it wants, and say what it gives.

    A layer's step is where the layer was made.
    """
    given = fact.bind(where, args, kwargs)
    options = {**fact.bind("construct", made.args, made.kwargs), **given} if made else given
    inputs = [(one, given[one.name]) for one in fact.inputs if one.where == where and one.name in given]
    roots = [id(root(value)) for _, value in inputs]
    if len(set(roots)) == len(roots):  # the cross entropy of p with itself is an entropy
        for one, value in inputs:
            check(reader, fact, one, value, node, options)
    if made and not fact.inputs and any(flag in made.kwargs for flag in fact.flags):
        return _ended(fact, made)
    first = inputs[0][1] if inputs else None
    if fact.returns in (PROBS, LOG_PROBS) and where == "call":
        place, call = (made.place, made.node) if made else (reader.place(node), node)
        return each(first, reader.taken, lambda one: _activated(fact, one, place, call)) if first else Thing("")
    return Thing("loss" if fact.kind == "loss" else "")


def _ended(fact: Fact, made: Made) -> Value:
    """The output of a model that's told what to end in; without a word the version decides."""
    scale = {"logits": SCORES, "log-odds": SCORES}.get(str(fact.returns), str(fact.returns))
    if scale not in (SCORES, PROBS, LOG_PROBS):
        return Thing("", owner=made)
    told = next((str(value) for value in fact.flags.values() if value), "")
    return Tensor(scale, Step(made.place, f"`{fact.name}` gives {scale}"), told.removesuffix("2d"), source=made)


def _activated(fact: Fact, value: Value, place: Place, call: ast.AST) -> Tensor:
    before = value.step if isinstance(value, Tensor) else None
    units = value.units if isinstance(value, Tensor) else None
    step = Step(place, f"`{fact.name}` makes {fact.returns}", before)
    return Tensor(str(fact.returns), step, fact.activation, units, source=value, call=call)


def check(reader: Reader, fact: Fact, wanted: Input, value: Value, node: ast.AST, given: Kwargs) -> None:
    """Ask the rules about one argument. If it may be several things, all must be wrong in the same way."""
    options = [(guard, one) for guard, one in alternatives(value, reader.taken) if not isinstance(one, Const)]
    # What another method may have put in its place, such as a model read from a file, is no excuse.
    sure = [(guard, one) for guard, one in options if not (isinstance(one, Thing) and _elsewhere(guard))]
    options = sure or options
    if isinstance(value, Items) and len(value.items) == 1:
        options = [(frozenset(), value.items[0])]
    found: list[Finding | None] = []
    for _, one in options:
        if wanted.scale == "log-odds" and fact.kind in ("loss", "activation"):
            notice(reader, one, fact.name, node)
        if wanted.scale == PROBS and fact.kind == "loss":
            reader.probabilities.add(id(root(one)))
            reader.alive.append(root(one))
        asked = rules.Use(fact, wanted, node, reader.place(node), tuple(reader.parents), given)
        found.append(rules.judge(asked, one) if isinstance(one, Tensor) else None)
    if found and found[0] is not None and all(one is not None and one.code == found[0].code for one in found):
        reader.findings.append(found[0])
    elif fact.kind == "loss" and found == [None] and isinstance(options[0][1], Tensor):
        reader.accepted += 1


def notice(reader: Reader, value: Value, name: str, node: ast.AST) -> None:
    """Take note that a function takes numbers for log-odds."""
    reader.wanted.setdefault(id(root(value)), []).append((name, reader.place(node), reader.taken))
    reader.alive.append(root(value))


def _elsewhere(guard: Guard) -> bool:
    """Whether something depends on another method having been called."""
    return any(truth and condition[0] == "called" for condition, truth in guard)


# Thresholds


def compared(reader: Reader, value: Value, operator: str, number: float, node: ast.AST) -> None:
    """Take note of a comparison with a constant."""
    for guard, one in alternatives(value, reader.taken):
        if isinstance(one, Tensor | Thing):
            reader.thresholds.append(Threshold(one, operator, number, node, reader.place(node), reader.taken | guard))
            reader.alive.append(one)


def compared_by_call(reader: Reader, name: str, args: Args, node: ast.AST) -> None:
    """Take note of a comparison that's written as a function or a method."""
    if name in ("round", "rint"):
        compared(reader, args[0], "round", 0.5, node)
    elif len(args) > 1 and isinstance(args[1], Const) and isinstance(args[1].value, int | float):
        compared(reader, args[0], rules.COMPARISONS[name], args[1].value, node)


def picked(reader: Reader, name: str, value: Value, rest: Args, kwargs: Kwargs, node: ast.AST) -> None:
    """Take note of an argmax, or of a maximum with its index, along an axis that's known."""
    axis = rest[0] if rest else kwargs.get("dim", kwargs.get("axis"))
    if isinstance(value, Tensor) and value.units == 1 and isinstance(axis, Const) and axis.value in (1, -1):
        reader.thresholds.append(Threshold(value, name, axis.value, node, reader.place(node), reader.taken))


def accuracy(reader: Reader, result: Value, node: ast.AST) -> None:
    """`metrics=["accuracy"]` on one unit cuts at 0.5, whatever the loss was told."""
    for one in result.items if isinstance(result, Items) else [result]:
        if isinstance(one, Tensor) and one.units == 1:
            compared(reader, one, "GtE", 0.5, node)


def conclude(reader: Reader) -> None:
    """Judge the thresholds, once everything is known about what was compared with them."""
    for threshold in reader.thresholds:
        origin = id(root(threshold.value))
        if origin in reader.probabilities:  # the program contradicts itself, and who's wrong can't be known
            continue
        takers = reader.wanted.get(origin, [])
        together = ((name, place) for name, place, guard in takers if not contradict(guard, threshold.under))
        wanted = next(together, None)
        found = rules.judge_threshold(threshold.value, threshold.operator, threshold.number, threshold.place, wanted)
        if found is not None:
            reader.findings.append(found)
