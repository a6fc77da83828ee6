"""What Python's own functions do with what they're given."""

from __future__ import annotations

import ast

from logitkit.check import arithmetic, verdicts
from logitkit.check.expressions import Expressions
from logitkit.check.structures import last
from logitkit.check.values import (
    MORE,
    Bound,
    Class,
    Const,
    Function,
    Instance,
    Items,
    Made,
    Mapping,
    Super,
    Symbol,
    Tensor,
    Thing,
    Value,
)

__all__ = ["call"]


def call(reader: Expressions, name: str, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
    """What a built-in function gives."""
    if name == "super":
        return _super(reader)
    if name in ("list", "tuple", "sorted", "reversed", "set", "iter", "frozenset"):
        if not args:
            return Items([])
        items, sure = reader.elements(args[0])
        return Items(items[::-1] if name == "reversed" else items, open=not sure)
    if name in ("dict", "OrderedDict"):
        mapping = Mapping({key: value for key, value in kwargs.items() if key != MORE}, open=MORE in kwargs)
        given = _mapping(args[0]) if args else Mapping({})
        return Mapping({**given.items, **mapping.items}, mapping.open or given.open)
    if name == "next" and args:
        return reader.elements(args[0])[0][0] if reader.elements(args[0])[0] else Thing("next")
    if name == "range":
        return _range(args)
    if name == "enumerate" and args:
        items, sure = reader.elements(args[0])
        return Items([Items([Const(i) if sure else Thing("index"), one]) for i, one in enumerate(items)], open=not sure)
    if name == "zip":
        columns = [reader.elements(one) for one in args]
        sure = bool(columns) and all(each_sure for _, each_sure in columns)
        return Items([Items(list(row)) for row in zip(*(items for items, _ in columns), strict=False)], open=not sure)
    if name == "map" and len(args) > 1:
        items, sure = reader.elements(args[1])
        return Items([reader.call(args[0], [one], {}, node) for one in items], open=not sure)
    if name in ("getattr", "setattr", "hasattr") and len(args) > 1:
        return _attribute(reader, name, args)
    if name == "isinstance" and len(args) == 2:
        return _isinstance(args[0], args[1])
    if name == "len" and args and isinstance(args[0], Items) and not args[0].open:
        return Const(len(args[0].items))
    if name == "round" and len(args) == 1:
        verdicts.compared(reader, args[0], "round", 0.5, node)
        return Thing("labels")
    if name in ("int", "bool", "str", "float") and args and isinstance(args[0], Const):
        return _converted(name, args[0])
    if name == "float" and args and isinstance(args[0], Tensor):
        return arithmetic.moved(args[0])
    if name == "callable" and args and isinstance(args[0], Function | Bound | Class):
        return Const(True)
    if name in ("print", "repr", "id", "hash"):
        return Const(None)
    return Thing("", owner=None)


def _super(reader: Expressions) -> Value:
    """What `super()` is in the method that's being read."""
    for frame in reversed(reader.frames):
        if frame.owner is not None and frame.self_value is not None:
            return Super(frame.self_value, frame.owner)
    return Thing("super")


def _mapping(value: Value) -> Mapping:
    """A dictionary of a dictionary, or of pairs."""
    if isinstance(value, Mapping):
        return value
    pairs = value.items if isinstance(value, Items) else []
    known = {
        pair.items[0].value: pair.items[1]
        for pair in pairs
        if isinstance(pair, Items) and len(pair.items) == 2 and isinstance(pair.items[0], Const)
    }
    return Mapping(known, open=not isinstance(value, Items) or value.open or len(known) < len(pairs))


def _range(args: list[Value]) -> Value:
    numbers = [one.value for one in args if isinstance(one, Const) and isinstance(one.value, int)]
    if len(numbers) == len(args) and args and len(range(*numbers[:3])) <= 12 and 0 not in numbers[2:]:
        return Items([Const(number) for number in range(*numbers[:3])])
    return Items([Thing("index")], open=True)


def _attribute(reader: Expressions, name: str, args: list[Value]) -> Value:
    owner, attribute = args[0], args[1]
    if not (isinstance(attribute, Const) and isinstance(attribute.value, str)):
        return Thing("attribute")
    if name == "setattr" and len(args) > 2:
        reader.set_attribute(owner, attribute.value, args[2])
        return Const(None)
    if name == "hasattr":
        known = isinstance(owner, Instance) and attribute.value in owner.attributes
        return Const(True) if known else Thing("hasattr")
    return reader.attribute(owner, attribute.value)


def _isinstance(value: Value, cls: Value) -> Value:
    if isinstance(value, Instance) and isinstance(cls, Class):
        return Const(cls in list(value.cls.line()))
    if isinstance(value, Const) and value.value is None:
        return Const(False)
    if isinstance(value, Made) and isinstance(cls, Symbol) and last(cls.path) == last(value.path):
        return Const(True)
    return Thing("isinstance")


def _converted(name: str, value: Const) -> Value:
    try:
        return Const({"int": int, "bool": bool, "str": str, "float": float}[name](value.value))
    except (TypeError, ValueError, OverflowError):
        return Thing(name)
