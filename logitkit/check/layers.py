"""Layers and models of libraries: what makes them, what's inside a container, and what linear layers give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager

from logitkit.check import structures
from logitkit.check.choices import read
from logitkit.check.reader import Args, Frame, Kwargs, Reader
from logitkit.check.structures import is_keras, last
from logitkit.check.values import MORE, SCORES, Const, Instance, Items, Made, Mapping, Step, Tensor, Thing, Value

__all__ = ["inside", "make", "own_head", "scores", "standing", "through"]

_NUMBER = re.compile(r"\[-?\d+\]")


def make(reader: Reader, path: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Made:
    """An object of a library's class."""
    attributes = {key: value for key, value in kwargs.items() if key != MORE}
    made = Made(path, args, kwargs, node, reader.place(node), attributes, reader.taken)
    if is_keras(path) and last(path) in structures.SCORING_LAYERS and scores(made).units == 1:
        reader.call(made, [Thing("inputs")], {}, node)  # a softmax over one unit is wrong even if nobody calls it
    return made


@contextmanager
def standing(reader: Reader, made: Made) -> Iterator[None]:
    """Read on in the file where a layer was made, so that places are those of that file."""
    module = reader.project.modules.get(made.place.path) or reader.frame.module
    reader.frames.append(Frame(module, module.scope))
    try:
        yield
    finally:
        reader.frames.pop()


def scores(made: Made) -> Tensor:
    """The output of a linear layer or a convolution: any real numbers."""
    name = last(made.path)
    at, names = structures.UNITS[name]
    units = next(
        (made.kwargs[key] for key in names if key in made.kwargs), made.args[at] if len(made.args) > at else None
    )
    number = units.value if isinstance(units, Const) and isinstance(units.value, int) else None
    return Tensor(
        SCORES, Step(made.place, f"`{name}` gives scores, which can be any real numbers"), name, number, source=made
    )


def through(reader: Reader, layers: Args, value: Value, node: ast.AST) -> Value:
    """Layers one after the other."""
    for layer in layers:
        if isinstance(layer, Made):
            with standing(reader, layer):
                value = reader.call(layer, [value], {}, layer.node)
        else:
            value = reader.call(layer, [value], {}, node)
    return value


def inside(reader: Reader, made: Made) -> tuple[list[Value], bool]:
    """The layers of a container, in order, and whether these are all."""
    if last(made.path) not in structures.CONTAINERS | structures.LAYER_LISTS:
        return [Thing("", owner=made)], False
    if "layers" not in made.attributes or not isinstance(made.attributes["layers"], Items):
        first = made.args[0] if made.args else made.kwargs.get("layers", made.kwargs.get("modules"))
        if isinstance(first, Items):
            layers = [one.items[1] if isinstance(one, Items) and len(one.items) == 2 else one for one in first.items]
            is_open = first.open
        elif isinstance(first, Mapping):
            layers, is_open = list(first.items.values()), first.open
        else:
            layers, is_open = list(made.args), MORE in made.kwargs
        made.attributes["layers"] = Items(layers, is_open)
    kept = made.attributes["layers"]
    assert isinstance(kept, Items)
    changed = [
        read(made.attributes.get(f"[{i}]", made.attributes.get(str(i), one)), reader.taken)
        for i, one in enumerate(kept.items)
    ]
    if changed and "[-1]" in made.attributes:
        changed[-1] = made.attributes["[-1]"]
    return ([*changed, Thing("layer")] if kept.open else changed), not kept.open


def own_head(model: Thing | Made) -> Made | Instance | None:
    """The last layer that the program gave to a ready-made model, or put at the end of its last layers."""
    for key in structures.HEADS:
        head = model.attributes.get(key)
        if isinstance(head, Thing):
            replaced = {int(index[1:-1]): one for index, one in head.attributes.items() if _NUMBER.fullmatch(index)}
            head = replaced[-1 if -1 in replaced else max(replaced)] if replaced else None
        if isinstance(head, Made | Instance):
            return head
    return None
