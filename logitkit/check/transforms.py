"""Array functions, and the methods that do the same: what they do to the scale of what they're given."""

from __future__ import annotations

import ast
from dataclasses import replace

from logitkit.check import arithmetic, rules, verdicts
from logitkit.check.choices import each
from logitkit.check.reader import Args, Kwargs, Reader
from logitkit.check.values import LABELS, LOG_PROBS, PROBS, SCORES, Const, Items, Step, Tensor, Thing, Value

__all__ = ["transform", "transformed"]


def transform(reader: Reader, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Value | None:
    """Array functions, by the last part of their name: what they do to the scale of the first argument."""
    if not args:
        args = [
            kwargs[key]
            for key in ("input", "x", "a", "inputs", "tensor", "tensors", "values", "input_tensor")
            if key in kwargs
        ]
    if not args:
        return None
    if name in ("round", "rint") or name in rules.COMPARISONS:
        verdicts.compared_by_call(reader, name, args, node)
        return Thing("labels")
    if name in arithmetic.JOINS:
        return _joined(args[0])
    return each(args[0], reader.taken, lambda one: transformed(reader, name, one, args[1:], kwargs, node))


def _joined(parts: Value) -> Value:
    if not isinstance(parts, Items) or not parts.items:
        return Thing("joined", like=parts if isinstance(parts, Thing) else None)
    tensors = [part for part in parts.items if isinstance(part, Tensor)]
    alike = len({part.scale for part in tensors}) == 1 and len(tensors) == len(parts.items)
    return arithmetic.moved(tensors[0], units=None) if alike else Thing("joined")


def transformed(reader: Reader, name: str, value: Value, rest: Args, kwargs: Kwargs, node: ast.AST) -> Value:
    """What an array function does to one value."""
    step = Step(reader.place(node), "")
    change = arithmetic.CHANGES.get(name)
    if name in arithmetic.KEEPS or change == "keep":
        if isinstance(value, Tensor):
            if name in arithmetic.COPIES:
                return arithmetic.copied(value)
            return arithmetic.averaged(value) if name in arithmetic.AVERAGES else arithmetic.moved(value)
        if isinstance(value, Items):  # an array of rows
            rows = _joined(value)
            return rows if isinstance(rows, Tensor) else value
        return Thing("", like=value, owner=value) if isinstance(value, Thing) else Thing("kept")
    if change == "log":
        return arithmetic.logarithm(value, step)
    if change == "exp":
        return arithmetic.exponential(value, step)
    if change == "bend":
        return arithmetic.bent(value, step)
    if name == "argmax" or change == "max":
        verdicts.picked(reader, name, value, rest, kwargs, node)
    if change == "labels":
        return Tensor(LABELS, Step(step.place, f"`{name}` gives labels"))
    if change == "matmul" and rest:
        return arithmetic.binary("MatMult", value, rest[0], "", step, node)
    if change == "matmul":
        return Tensor(SCORES, Step(step.place, "a matrix product gives scores"))
    if change in ("Add", "Sub", "Mult", "Div") and rest:
        written = ast.unparse(node.args[-1]) if isinstance(node, ast.Call) and node.args else ""
        return arithmetic.binary(change, value, rest[0], written, step, node)
    if change == "clip" and isinstance(value, Tensor):
        bounds = [one.value for one in (*rest, *kwargs.values()) if isinstance(one, Const)]
        return arithmetic.moved(value) if value.scale in (PROBS, LABELS) or 0 not in bounds else Thing("clipped")
    if change == "scores" and isinstance(value, Tensor) and value.scale in (SCORES, LOG_PROBS):
        return Tensor(SCORES, value.step, source=value.source)
    if change == "where" and len(rest) == 2:
        return _either(rest)
    if change == "max" and isinstance(value, Tensor):
        return (
            Items([replace(value, units=None, like=None, source=None, direct=False), Tensor(LABELS, value.step)])
            if rest or kwargs
            else arithmetic.moved(value)
        )
    return Thing("", owner=None)


def _either(options: Args) -> Value:
    one, other = options
    if isinstance(one, Tensor) and isinstance(other, Tensor) and one.scale == other.scale:
        return arithmetic.moved(one)
    scores = [option for option in options if isinstance(option, Tensor) and option.scale == SCORES]
    return scores[0] if scores and any(isinstance(option, Const) for option in options) else Thing("either")
