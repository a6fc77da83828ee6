"""What layers, losses and models of a library give when they're called, and what methods give."""

from __future__ import annotations

import ast

from logitkit.check import arithmetic, keras, layers, rules, structures, transforms, verdicts
from logitkit.check.choices import each
from logitkit.check.expressions import Expressions
from logitkit.check.layers import own_head
from logitkit.check.reader import Args, Kwargs
from logitkit.check.structures import is_keras, last
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
    Tensor,
    Thing,
    Value,
)

__all__ = ["call", "call_base", "method"]


def call(reader: Expressions, made: Made, args: Args, kwargs: Kwargs, node: ast.AST) -> Value:
    """What a layer, loss or model of a library gives when it's called."""
    name = last(made.path)
    if is_keras(made.path):  # a layer's structure says more than its record: its units, and where the activation is
        found = keras.apply(reader, made, args, kwargs, node)
        if found is not None:
            return found
    fact = reader.facts.of(made.path, made.args, made.kwargs)
    if fact is not None and fact.form == "class":
        return verdicts.use(reader, fact, "call", args, kwargs, node, made)
    first = args[0] if args else kwargs.get("inputs", kwargs.get("x", kwargs.get("input", Thing(""))))
    if name in structures.GRADIENTS:
        result = reader.call(made.args[0], args, kwargs, node)
        return Items([result, Thing("gradient")]) if structures.GRADIENTS[name] else Thing("gradient")
    if name in structures.CONTAINERS:
        return layers.through(reader, layers.inside(reader, made)[0], first, node)
    if name in structures.SCORING_LAYERS:
        return keras.activate(reader, made.kwargs.get("activation", Const(None)), layers.scores(made), made, node)
    if name in structures.KEEPING_LAYERS:
        return each(first, reader.taken, lambda one: transforms.transformed(reader, "identity", one, [], {}, node))
    if name in structures.BENDING_LAYERS:
        return each(first, reader.taken, lambda one: transforms.transformed(reader, "relu", one, [], {}, node))
    head = own_head(made)
    if head is not None:
        return reader.call(head, [Thing("features")], {}, node)
    return Thing("", owner=made)


def call_base(
    reader: Expressions, instance: Value, cls: Class, args: list[Value], kwargs: dict[str, Value], node: ast.AST
) -> Value:
    """What the library's class gives that an object's class comes from."""
    base = next(iter(cls.libraries()), None)
    if base is None or not isinstance(instance, Instance):
        return Thing("", owner=instance)
    made = Made(base, instance.given, instance.attributes, node, reader.place(node), instance.attributes)
    return call(reader, made, args, kwargs, node)


# Methods


def method(reader: Expressions, owner: Value, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Value:
    """A method of a tensor, of something unknown, of a library's object or of a class that has a library's base."""
    if name in ("prepare", "setup") and args and not isinstance(owner, Instance | Tensor):  # Accelerate, Fabric
        return args[0] if len(args) == 1 else Items(args)
    if name == "fit" and args and isinstance(args[0], Instance) and not isinstance(owner, Instance):
        _run_steps(reader, args[0])
    if isinstance(owner, Super):
        return call_base(reader, owner.instance, owner.cls, args, kwargs, node)
    if isinstance(owner, Made):
        return _method_of_made(reader, owner, name, args, kwargs, node)
    if isinstance(owner, Instance):
        return _method_of_instance(reader, owner, name, args, kwargs, node)
    if name in structures.SELF_METHODS and isinstance(owner, Thing) and own_head(owner) is not None:
        return owner
    fact = reader.facts.of(f"torch.Tensor.{name.rstrip('_')}", [owner, *args], kwargs)
    if fact is not None and fact.activation and all(isinstance(arg, Const | Thing) for arg in args):
        result = verdicts.use(reader, fact, "call", [owner, *args], kwargs, node)
        if name.endswith("_") and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            reader.bind(node.func.value, result)
        return result
    if name in arithmetic.OVERWRITES:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            reader.bind(node.func.value, Thing("overwritten"))
        return Thing("overwritten")
    if name in rules.COMPARISONS or name == "round":
        verdicts.compared_by_call(reader, name, [owner, *args], node)
        return Thing("labels")
    if isinstance(owner, Tensor) or name in arithmetic.KEEPS:
        return transforms.transformed(reader, name, owner, args, kwargs, node)
    if name in ("log", "exp", "argmax", "max"):
        return Thing(name)
    return Thing("", owner=owner.attributes.get(name, owner) if isinstance(owner, Thing) else None)


def _run_steps(reader: Expressions, model: Instance) -> None:
    """What Lightning's trainer runs of a model."""
    for step in structures.STEPS:
        found = next((one.names[step] for one in model.cls.line() if step in one.names), None)
        if isinstance(found, Function):
            reader.set_attribute(model, "training", Const(step == "training_step"))
            reader.apply(found, [model], {}, found.node)


def _method_of_made(reader: Expressions, owner: Made, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Value:
    if is_keras(owner.path) and name in keras.METHODS:
        return keras.method(reader, owner, name, args, kwargs, node)
    if name in structures.MODEL_METHODS:
        return call(reader, owner, args, kwargs, node)
    if name == "apply" and owner.args and last(owner.path) in structures.TRANSFORMS:
        plain = last(owner.path) == "without_apply_rng"
        inner = owner.args[0]
        inner = inner.args[0] if isinstance(inner, Made) and last(inner.path).startswith("transform") else inner
        return reader.call(inner, args[1 if plain else 2 :], kwargs, node)
    if name in structures.SELF_METHODS:
        return owner
    if name in ("items", "values", "keys") and owner.args and isinstance(owner.args[0], Mapping):
        return reader.mapping_method(owner.args[0], name, args, kwargs)
    if name in ("append", "add", "add_module", "register_module", "insert", "extend"):
        layers.inside(reader, owner)
        kept = owner.attributes.get("layers")
        if isinstance(kept, Items) and args:
            new = args[-1].items if name == "extend" and isinstance(args[-1], Items) else [args[-1]]
            at = args[0].value if name == "insert" and isinstance(args[0], Const) else len(kept.items)
            kept.items[at:at] = new
        return owner
    return Thing("", owner=None)


def _method_of_instance(
    reader: Expressions, owner: Instance, name: str, args: Args, kwargs: Kwargs, node: ast.AST
) -> Value:
    keras_model = any(is_keras(path) for path in owner.cls.libraries())
    if keras_model and name in keras.METHODS:
        return keras.method(reader, owner, name, args, kwargs, node)
    if name == "__init__":
        owner.given = args
        owner.attributes.update({key: value for key, value in kwargs.items() if key != MORE})
        return Const(None)
    if name in ("eval", "train"):
        mode = args[0] if args else Const(True)
        reader.set_attribute(owner, "training", Const(False) if name == "eval" else mode)
        return owner
    if name in structures.SELF_METHODS and name != "apply":
        return owner
    if name == "apply" and any(path.startswith(("flax", "haiku", "linen")) for path in owner.cls.libraries()):
        inner = {
            key: value
            for key, value in kwargs.items()
            if key not in ("rngs", "mutable", "method", "capture_intermediates")
        }
        chosen = kwargs.get("method")
        result = (
            reader.call(chosen, args[1:], inner, node)
            if isinstance(chosen, Bound)
            else reader.call(owner, args[1:], inner, node)
        )
        return Items([result, Thing("state")]) if "mutable" in kwargs and not _false(kwargs["mutable"]) else result
    if name in structures.MODEL_METHODS:
        return reader.call(owner, args, kwargs, node)
    return Thing("", owner=None)


def _false(value: Value) -> bool:
    return isinstance(value, Const) and not value.value
