"""What a function or class of a library gives."""

from __future__ import annotations

import ast

from logitkit.check import builtin, keras, layers, structures, transforms, verdicts
from logitkit.check.choices import alternatives
from logitkit.check.expressions import Expressions
from logitkit.check.reader import Args, Kwargs
from logitkit.check.structures import is_keras, last
from logitkit.check.values import (
    Bound,
    Choice,
    Class,
    Const,
    Function,
    Instance,
    Items,
    Made,
    Method,
    Symbol,
    Thing,
    Value,
)

__all__ = ["call"]


def call(reader: Expressions, path: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Value:
    """What a function or class of a library gives."""
    name = last(path)
    if name == "sigmoid" and len(args) == 1 and reader.facts.of(path, [], {}) is None:  # somebody's own
        for _, one in alternatives(args[0], reader.taken):
            verdicts.notice(reader, one, name, node)
    if path.startswith("builtins.") or path == "collections.OrderedDict":
        return builtin.call(reader, name, args, kwargs, node)
    if len(args) > 1 and structures.SCORES_FIRST.match(path) and "placeholder(" in reader.frame.module.text:
        args = [args[1], args[0], *args[2:]]
    fact = reader.facts.of(path, args, kwargs)
    if fact is not None and fact.form != "class":
        return verdicts.use(reader, fact, "call", args, kwargs, node)
    if fact is not None:
        verdicts.use(reader, fact, "construct", args, kwargs, node)
        return layers.make(reader, path, args, kwargs, node)
    wrapped = _wrapped(reader, path, name, args, kwargs, node)
    if wrapped is not None:
        return wrapped
    if is_keras(path):
        found = keras.call(reader, path, args, kwargs, node)
        if found is not None:
            return found
    layer = keras.functional_layer(reader, path, args, kwargs, node)
    if layer is not None:
        return layer
    if name in structures.TRAINERS:
        keras.train(reader, name, args, kwargs, node)
    if path.endswith("collections.namedtuple"):
        return _named_tuple(reader, args, kwargs, node)
    if name[:1].isupper() or name == "create":
        return layers.make(reader, path, args, kwargs, node)
    return transforms.transform(reader, name, args, kwargs, node) or Thing("", owner=None)


def _wrapped(reader: Expressions, path: str, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Value | None:
    """Functions that take functions."""
    if path == "functools.partial" and args:
        return Bound(args[0], args[1:], kwargs)
    inner = (
        args[0]
        if args
        else next((kwargs[key] for key in ("module", "model", "fun", "f", "func") if key in kwargs), None)
    )
    if not isinstance(inner, Function | Bound | Instance | Made | Class | Method | Choice):
        return None
    if name == "checkpoint":
        return reader.call(inner, args[1:], {}, node) if len(args) > 1 else inner
    if name in structures.WRAPPERS:
        return inner
    if name in structures.GRADIENTS or name in structures.TRANSFORMS:
        return Made(path, [inner], kwargs, node, reader.place(node))
    return None


def _named_tuple(reader: Expressions, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
    """The class that `collections.namedtuple` makes."""
    names = args[1] if len(args) > 1 else kwargs.get("field_names", Const(""))
    if isinstance(names, Const) and isinstance(names.value, str):
        fields = names.value.replace(",", " ").split()
    else:
        parts = names.items if isinstance(names, Items) else []
        fields = [one.value for one in parts if isinstance(one, Const) and isinstance(one.value, str)]
    body: list[ast.stmt] = [
        ast.AnnAssign(ast.Name(name, ast.Store()), ast.Constant(None), None, simple=1) for name in fields
    ]
    cls = ast.ClassDef("namedtuple", bases=[], keywords=[], body=body, decorator_list=[])
    return Class(ast.copy_location(cls, node), reader.frame.module, [Symbol("typing.NamedTuple")])
