"""Keras's models and layers: an activation inside a layer, models of tensors, `compile` with a loss by name."""

from __future__ import annotations

import ast
import re

from logitkit.check import layers, structures, transforms, verdicts
from logitkit.check.choices import alternatives
from logitkit.check.expressions import Expressions
from logitkit.check.structures import last
from logitkit.check.values import (
    SCORES,
    Bound,
    Choice,
    Class,
    Const,
    Function,
    Instance,
    Items,
    Made,
    Mapping,
    Step,
    Symbol,
    Tensor,
    Thing,
    Value,
)

__all__ = ["METHODS", "apply", "call", "functional_layer", "method", "train"]

_TENSORFLOW_1 = re.compile(r"tensorflow(?:\.compat\.v1|\.contrib)?\.(?:layers|slim)\.")
METHODS = frozenset(
    "compile add predict predict_on_batch fit evaluate summary __call__ get_layer train_on_batch pop build".split()
)
_JOINING = {"Concatenate": "concatenate", "concatenate": "concatenate"}


def call(reader: Expressions, path: str, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value | None:
    """Keras's functions that aren't facts about scales: `Input`, `get` by name, functional merging."""
    name = last(path)
    if name == "Input":
        return Thing("inputs")
    if name in ("get", "deserialize") and args and isinstance(args[0], Const):
        return by_name(args[0], path.rpartition(".")[0].rpartition(".")[2])
    if name in _JOINING and args and isinstance(args[0], Items):
        return transforms.transform(reader, "concatenate", args, {}, node)
    return None


def functional_layer(
    reader: Expressions, path: str, args: list[Value], kwargs: dict[str, Value], node: ast.AST
) -> Value | None:
    """TensorFlow 1's layers as functions, such as ``tf.layers.dense(x, 10, activation=tf.nn.softmax)``."""
    name = last(path)
    if name not in structures.FUNCTIONAL_LAYERS or not _TENSORFLOW_1.match(path):
        return None
    at = structures.FUNCTIONAL_LAYERS[name]
    # Those of `tf.contrib` call it `activation_fn`, and rectify unless they're told otherwise.
    argument, default = ("activation_fn", Thing("relu")) if ".contrib." in path else ("activation", Const(None))
    units = args[1] if len(args) > 1 else kwargs.get("units", kwargs.get("num_outputs", kwargs.get("filters")))
    number = units.value if isinstance(units, Const) and isinstance(units.value, int) else None
    made = layers.make(reader, path, args, kwargs, node)
    scores = Tensor(
        SCORES, Step(made.place, f"`{name}` gives scores, which can be any real numbers"), name, number, source=made
    )
    chosen = args[at] if len(args) > at else kwargs.get(argument, default)
    return activate(reader, chosen, scores, made, node)


def by_name(value: Value, room: str) -> Value:
    """The function that a string such as "softmax" or "binary_crossentropy" means."""
    if isinstance(value, Const) and isinstance(value.value, str):
        return Symbol(f"keras.{room}.{value.value}")
    return value


def apply(reader: Expressions, made: Made, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value | None:
    """What a Keras layer or model gives."""
    name = last(made.path)
    given = args[0] if args else kwargs.get("inputs", Thing("inputs"))
    if name == "Input":
        return given
    if name in ("Model", "Functional"):
        return output(made)
    if name in ("Activation", "Lambda"):
        chosen = made.args[0] if made.args else made.kwargs.get("activation", made.kwargs.get("function", Const(None)))
        return activate(reader, chosen, given, made, node)
    if name in _JOINING:
        return transforms.transform(reader, "concatenate", [given], {}, node)
    if name in structures.SCORING_LAYERS:
        chosen = made.kwargs.get("activation", made.args[1] if name == "Dense" and len(made.args) > 1 else Const(None))
        return activate(reader, chosen, layers.scores(made), made, node)
    return None


def output(model: Made) -> Value:
    """What a model of tensors gives: the tensors it was made of."""
    found = model.kwargs.get(
        "outputs", model.kwargs.get("output", model.args[1] if len(model.args) > 1 else Thing("output"))
    )
    if isinstance(found, Items) and len(found.items) == 1:
        return found.items[0]
    return found


def activate(reader: Expressions, chosen: Value, value: Value, made: Made, node: ast.AST) -> Value:
    """The activation of a layer, given by name, as a function or as a layer."""
    if isinstance(chosen, Const) and chosen.value in (None, "linear"):
        return value
    if isinstance(chosen, Symbol) and last(chosen.path) == "linear":
        return value
    with layers.standing(reader, made):
        return reader.call(by_name(chosen, "activations"), [value], {}, made.node)


def method(
    reader: Expressions, model: Made | Instance, name: str, args: list[Value], kwargs: dict[str, Value], node: ast.AST
) -> Value:
    """A method of a model."""
    if name == "add" and args and isinstance(model, Made):
        layers.inside(reader, model)
        stack = model.attributes["layers"]
        assert isinstance(stack, Items)
        stack.items.append(args[0])
        return Const(None)
    if name == "pop" and isinstance(model, Made):
        kept = model.attributes.get("layers")
        return kept.items.pop() if isinstance(kept, Items) and kept.items else Thing("layer")
    if name in ("predict", "predict_on_batch", "__call__"):
        return reader.call(model, [Thing("inputs")], {}, node)
    if name == "fit" and isinstance(model, Instance):
        reader.call(reader.attribute(model, "train_step"), [Thing("data")], {}, node)
    if name == "compile":
        compile_model(reader, model, args, kwargs, node)
        return Const(None)
    return Thing(name)


def compile_model(
    reader: Expressions, model: Made | Instance, args: list[Value], kwargs: dict[str, Value], node: ast.AST
) -> None:
    """Put the model's output into its losses and metrics."""
    loss = kwargs.get("loss", args[1] if len(args) > 1 else Const(None))
    metrics = kwargs.get("metrics", args[2] if len(args) > 2 else Const(None))
    result = reader.call(model, [Thing("inputs")], {}, node)
    for one_loss, one_output in _pairs(loss, result):
        for guard, chosen in alternatives(one_loss, reader.taken):
            with reader.assuming(guard):
                _call(reader, by_name(chosen, "losses"), one_output, node)
    flat = metrics.items if isinstance(metrics, Items) else [metrics]
    for metric in flat:
        if isinstance(metric, Made | Symbol):
            _call(reader, metric, result, node)
        elif isinstance(metric, Const) and metric.value in ("accuracy", "acc"):
            verdicts.accuracy(reader, result, node)


def train(reader: Expressions, name: str, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> None:
    """Put a model's output into the loss that a training loop of a library is given with it."""
    model, loss = (
        args[at] if len(args) > at else kwargs.get(key, Const(None)) for at, key in structures.TRAINERS[name]
    )
    if isinstance(model, Instance | Made) and isinstance(loss, Made | Symbol | Function | Bound | Instance):
        reader.call(loss, [reader.call(model, [Thing("inputs")], {}, node), Thing("target")], {}, node)


def _call(reader: Expressions, function: Value, result: Value, node: ast.AST) -> None:
    """Call a loss or metric the way Keras does: targets first."""
    if isinstance(function, Symbol):
        fact = reader.facts.of(function.path, [], {})
        if fact is not None and fact.form == "class":  # a class in place of an object: Keras makes one
            function = layers.make(reader, function.path, [], {}, node)
    if isinstance(function, Symbol | Made | Function | Bound | Instance | Class | Choice):
        reader.call(function, [Thing("y_true"), result], {}, node)


def _layer_name(output: Value) -> object:
    """What the layer is called that made an output, if the program says so."""
    while isinstance(output, Tensor) and output.source is not None:
        output = output.source
    name = output.kwargs.get("name") if isinstance(output, Made) else None
    return name.value if isinstance(name, Const) else None


def _pairs(loss: Value, result: Value) -> list[tuple[Value, Value]]:
    """Each loss with its output."""
    outputs = (
        result.items
        if isinstance(result, Items)
        else list(result.items.values())
        if isinstance(result, Mapping)
        else [result]
    )
    if isinstance(loss, Mapping):
        named = result.items if isinstance(result, Mapping) else {_layer_name(one): one for one in outputs}
        return [(one, named[key]) for key, one in loss.items.items() if key in named]
    if isinstance(loss, Items):
        return list(zip(loss.items, outputs, strict=False)) if len(loss.items) == len(outputs) else []
    return [(loss, one) for one in outputs]
