"""What library functions, layers, losses and models do to scales, and where a scale meets one that contradicts it.

The facts are the registry's (`facts`), the structure is `structures`', the verdicts are those of `rules`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from logitkit.check import arithmetic, builtin, keras, rules, structures
from logitkit.check.calls import own_head
from logitkit.check.expressions import Frame
from logitkit.check.facts import Fact, Facts, Input
from logitkit.check.sources import Module, Project
from logitkit.check.statements import Statements
from logitkit.check.structures import is_keras, last
from logitkit.check.values import (
    LABELS,
    LOG_PROBS,
    MORE,
    PROBS,
    SCORES,
    Bound,
    Choice,
    Class,
    Const,
    Function,
    Guard,
    Instance,
    Items,
    Made,
    Mapping,
    Method,
    Place,
    Step,
    Super,
    Tensor,
    Thing,
    Value,
    alternatives,
    contradict,
    each,
    read,
    root,
)

__all__ = ["Interpreter"]

_TELLING: WeakKeyDictionary[ast.AST, bool] = WeakKeyDictionary()  # by the function, whoever imports it
Args = list[Value]
Kwargs = dict[str, Value]


@dataclass(frozen=True)
class Threshold:
    """Numbers compared with a constant."""

    value: Value
    operator: str
    number: float
    node: ast.AST
    place: Place
    under: Guard  # the conditions under which it's compared


class Interpreter(Statements):
    """Follows scales through one file of a project, and through whatever it imports."""

    def __init__(self, project: Project, facts: Facts, budget: int = 400_000) -> None:
        super().__init__(project, budget)
        self.facts = facts
        self.findings: list[rules.Finding] = []
        self.thresholds: list[Threshold] = []
        self.accepted = 0  # how often a loss was given what it wants
        self.probabilities: set[int] = set()  # what losses take for probabilities, by the value's root
        # What takes a value for log-odds, where and under which conditions, by the value's root.
        self.wanted: dict[int, list[tuple[str, Place, Guard]]] = {}

    def matters(self, module: Module) -> bool:
        """Whether a file names an activation, a loss or a layer, calls a loss, or keeps what others define."""
        return (
            module.path.endswith("__init__.py")
            or "def register" in module.text
            or self.facts.speaks_of(module.text)
            or self.facts.calls_loss(module.text)
        )

    def telling(self, function: Function) -> bool:
        """Whether a function names an activation, a loss, a sampler or a layer."""
        node = function.node
        if node not in _TELLING:
            _TELLING[node] = self.facts.names_any(function.text)
        return _TELLING[node]

    def has(self, path: str) -> bool:
        """Whether a library is known to have this name."""
        name = last(path)
        return (
            name in structures.SCORING_LAYERS | structures.CONTAINERS | structures.LAYER_LISTS
            or (is_keras(path) and name[:1].isupper())
            or name in structures.TRAINERS
            or self.facts.of(path, [], {}) is not None
        )

    def call(self, function: Value, args: Args, kwargs: Kwargs, node: ast.AST) -> Value:
        """What a call gives.

        A loss chosen by name out of a dictionary is right if one of them is, since the name decides; if none is, that's
        one mistake.
        """
        before, accepted = len(self.findings), self.accepted
        found = super().call(function, args, kwargs, node)
        if isinstance(function, Choice) and self.by_name(function):
            del self.findings[before + (self.accepted == accepted) :]
        return found

    def by_name(self, choice: Choice) -> bool:
        """Whether each alternative goes with one key of a dictionary."""
        return all(
            any(truth and condition[0] == "==" and condition[1] in self.names for condition, truth in guard)
            for guard, _ in choice.options
        )

    # Functions and classes of libraries

    def library(self, path: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Value:
        """What a function or class of a library gives."""
        name = last(path)
        if name == "sigmoid" and len(args) == 1 and self.facts.of(path, [], {}) is None:  # somebody's own
            for _, one in alternatives(args[0], self.taken):
                self.notice(one, name, node)
        if path.startswith("builtins.") or path == "collections.OrderedDict":
            return builtin.call(self, name, args, kwargs, node)
        if len(args) > 1 and structures.SCORES_FIRST.match(path) and "placeholder(" in self.frame.module.text:
            args = [args[1], args[0], *args[2:]]
        fact = self.facts.of(path, args, kwargs)
        if fact is not None and fact.form != "class":
            return self.use(fact, "call", args, kwargs, node)
        if fact is not None:
            self.use(fact, "construct", args, kwargs, node)
            return self.make(path, args, kwargs, node)
        wrapped = self._wrapped(path, name, args, kwargs, node)
        if wrapped is not None:
            return wrapped
        if is_keras(path):
            found = keras.call(self, path, args, kwargs, node)
            if found is not None:
                return found
        layer = keras.functional_layer(self, path, args, kwargs, node)
        if layer is not None:
            return layer
        if name in structures.TRAINERS:
            keras.train(self, name, args, kwargs, node)
        if path.endswith("collections.namedtuple"):
            return self.named_tuple(args, kwargs, node)
        if name[:1].isupper() or name == "create":
            return self.make(path, args, kwargs, node)
        return self.transform(name, args, kwargs, node) or Thing("", owner=None)

    def make(self, path: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Made:
        """An object of a library's class."""
        attributes = {key: value for key, value in kwargs.items() if key != MORE}
        made = Made(path, args, kwargs, node, self.place(node), attributes, self.taken)
        if is_keras(path) and last(path) in structures.SCORING_LAYERS and self.scores(made, node).units == 1:
            self.call(made, [Thing("inputs")], {}, node)  # a softmax over one unit is wrong even if nobody calls it
        return made

    def _wrapped(self, path: str, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Value | None:
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
            return self.call(inner, args[1:], {}, node) if len(args) > 1 else inner
        if name in structures.WRAPPERS:
            return inner
        if name in structures.GRADIENTS or name in structures.TRANSFORMS:
            return Made(path, [inner], kwargs, node, self.place(node))
        return None

    def transform(self, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Value | None:
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
            self._threshold_call(name, args, node)
            return Thing("labels")
        if name in arithmetic.JOINS:
            return self._joined(args[0])
        return each(args[0], self.taken, lambda one: self._transformed(name, one, args[1:], kwargs, node))

    def _joined(self, parts: Value) -> Value:
        if not isinstance(parts, Items) or not parts.items:
            return Thing("joined", like=parts if isinstance(parts, Thing) else None)
        tensors = [part for part in parts.items if isinstance(part, Tensor)]
        alike = len({part.scale for part in tensors}) == 1 and len(tensors) == len(parts.items)
        return arithmetic.moved(tensors[0], units=None) if alike else Thing("joined")

    def _transformed(self, name: str, value: Value, rest: Args, kwargs: Kwargs, node: ast.AST) -> Value:
        step = Step(self.place(node), "")
        change = arithmetic.CHANGES.get(name)
        if name in arithmetic.KEEPS or change == "keep":
            if isinstance(value, Tensor):
                if name in arithmetic.COPIES:
                    return arithmetic.copied(value)
                return arithmetic.averaged(value) if name in arithmetic.AVERAGES else arithmetic.moved(value)
            if isinstance(value, Items):  # an array of rows
                rows = self._joined(value)
                return rows if isinstance(rows, Tensor) else value
            return Thing("", like=value, owner=value) if isinstance(value, Thing) else Thing("kept")
        if change == "log":
            return arithmetic.logarithm(value, step)
        if change == "exp":
            return arithmetic.exponential(value, step)
        if change == "bend":
            return arithmetic.bent(value, step)
        if name == "argmax" or change == "max":
            self._picked(name, value, rest, kwargs, node)
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
            return self._either(rest)
        if change == "max" and isinstance(value, Tensor):
            return (
                Items([replace(value, units=None, like=None, source=None, direct=False), Tensor(LABELS, value.step)])
                if rest or kwargs
                else arithmetic.moved(value)
            )
        return Thing("", owner=None)

    def _either(self, options: Args) -> Value:
        one, other = options
        if isinstance(one, Tensor) and isinstance(other, Tensor) and one.scale == other.scale:
            return arithmetic.moved(one)
        scores = [option for option in options if isinstance(option, Tensor) and option.scale == SCORES]
        return scores[0] if scores and any(isinstance(option, Const) for option in options) else Thing("either")

    # Facts

    def use(self, fact: Fact, where: str, args: Args, kwargs: Kwargs, node: ast.AST, made: Made | None = None) -> Value:
        """Compare what a function is given with what it wants, and say what it gives.

        A layer's step is where the layer was made.
        """
        given = fact.bind(where, args, kwargs)
        options = {**fact.bind("construct", made.args, made.kwargs), **given} if made else given
        inputs = [(one, given[one.name]) for one in fact.inputs if one.where == where and one.name in given]
        roots = [id(root(value)) for _, value in inputs]
        if len(set(roots)) == len(roots):  # the cross entropy of p with itself is an entropy
            for one, value in inputs:
                self.check(fact, one, value, node, options)
        if made and not fact.inputs and any(flag in made.kwargs for flag in fact.flags):
            return self._ended(fact, made)
        first = inputs[0][1] if inputs else None
        if fact.returns in (PROBS, LOG_PROBS) and where == "call":
            place, call = (made.place, made.node) if made else (self.place(node), node)
            return each(first, self.taken, lambda one: self._activated(fact, one, place, call)) if first else Thing("")
        return Thing("loss" if fact.kind == "loss" else "")

    def _ended(self, fact: Fact, made: Made) -> Value:
        """The output of a model that's told what to end in; without a word the version decides."""
        scale = {"logits": SCORES, "log-odds": SCORES}.get(str(fact.returns), str(fact.returns))
        if scale not in (SCORES, PROBS, LOG_PROBS):
            return Thing("", owner=made)
        told = next((str(value) for value in fact.flags.values() if value), "")
        return Tensor(scale, Step(made.place, f"`{fact.name}` gives {scale}"), told.removesuffix("2d"), source=made)

    def _activated(self, fact: Fact, value: Value, place: Place, call: ast.AST) -> Tensor:
        before = value.step if isinstance(value, Tensor) else None
        units = value.units if isinstance(value, Tensor) else None
        step = Step(place, f"`{fact.name}` makes {fact.returns}", before)
        return Tensor(str(fact.returns), step, fact.activation, units, source=value, call=call)

    def check(self, fact: Fact, wanted: Input, value: Value, node: ast.AST, given: Kwargs) -> None:
        """Ask the rules about one argument. If it may be several things, all must be wrong in the same way."""
        options = [(guard, one) for guard, one in alternatives(value, self.taken) if not isinstance(one, Const)]
        # What another method may have put in its place, such as a model read from a file, is no excuse.
        sure = [(guard, one) for guard, one in options if not (isinstance(one, Thing) and _elsewhere(guard))]
        options = sure or options
        if isinstance(value, Items) and len(value.items) == 1:
            options = [(frozenset(), value.items[0])]
        found: list[rules.Finding | None] = []
        for _, one in options:
            if wanted.scale == "log-odds" and fact.kind in ("loss", "activation"):
                self.notice(one, fact.name, node)
            if wanted.scale == PROBS and fact.kind == "loss":
                self.probabilities.add(id(root(one)))
                self.alive.append(root(one))
            use = rules.Use(fact, wanted, node, self.place(node), tuple(self.parents), given)
            found.append(rules.judge(use, one) if isinstance(one, Tensor) else None)
        if found and found[0] is not None and all(one is not None and one.code == found[0].code for one in found):
            self.findings.append(found[0])
        elif fact.kind == "loss" and found == [None] and isinstance(options[0][1], Tensor):
            self.accepted += 1

    def notice(self, value: Value, name: str, node: ast.AST) -> None:
        """Take note that a function takes numbers for log-odds."""
        self.wanted.setdefault(id(root(value)), []).append((name, self.place(node), self.taken))
        self.alive.append(root(value))

    # Layers, losses and models

    @contextmanager
    def standing(self, made: Made) -> Iterator[None]:
        """Read on in the file where a layer was made, so that places are those of that file."""
        module = self.project.modules.get(made.place.path) or self.frame.module
        self.frames.append(Frame(module, module.scope))
        try:
            yield
        finally:
            self.frames.pop()

    def accuracy(self, loss: Value, result: Value, node: ast.AST) -> None:
        """`metrics=["accuracy"]` on one unit cuts at 0.5, whatever the loss was told."""
        for one in result.items if isinstance(result, Items) else [result]:
            if isinstance(one, Tensor) and one.units == 1:
                self.compared(one, "GtE", 0.5, node)

    def made(self, made: Made, args: Args, kwargs: Kwargs, node: ast.AST) -> Value:
        """What a layer, loss or model of a library gives when it's called."""
        name = last(made.path)
        if is_keras(made.path):  # a layer's structure says more than its record: its units, and where the activation is
            found = keras.apply(self, made, args, kwargs, node)
            if found is not None:
                return found
        fact = self.facts.of(made.path, made.args, made.kwargs)
        if fact is not None and fact.form == "class":
            return self.use(fact, "call", args, kwargs, node, made)
        first = args[0] if args else kwargs.get("inputs", kwargs.get("x", kwargs.get("input", Thing(""))))
        if name in structures.GRADIENTS:
            result = self.call(made.args[0], args, kwargs, node)
            return Items([result, Thing("gradient")]) if structures.GRADIENTS[name] else Thing("gradient")
        if name in structures.CONTAINERS:
            return self.through(self.layers(made)[0], first, node)
        if name in structures.SCORING_LAYERS:
            return keras.activate(self, made.kwargs.get("activation", Const(None)), self.scores(made, node), made, node)
        if name in structures.KEEPING_LAYERS:
            return each(first, self.taken, lambda one: self._transformed("identity", one, [], {}, node))
        if name in structures.BENDING_LAYERS:
            return each(first, self.taken, lambda one: self._transformed("relu", one, [], {}, node))
        head = own_head(made)
        if head is not None:
            return self.call(head, [Thing("features")], {}, node)
        return Thing("", owner=made)

    def scores(self, made: Made, node: ast.AST) -> Tensor:
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

    def through(self, layers: Args, value: Value, node: ast.AST) -> Value:
        """Layers one after the other."""
        for layer in layers:
            if isinstance(layer, Made):
                with self.standing(layer):
                    value = self.call(layer, [value], {}, layer.node)
            else:
                value = self.call(layer, [value], {}, node)
        return value

    def layers(self, made: Made) -> tuple[list[Value], bool]:
        """The layers of a container, in order, and whether these are all."""
        if last(made.path) not in structures.CONTAINERS | structures.LAYER_LISTS:
            return [Thing("", owner=made)], False
        if "layers" not in made.attributes or not isinstance(made.attributes["layers"], Items):
            first = made.args[0] if made.args else made.kwargs.get("layers", made.kwargs.get("modules"))
            if isinstance(first, Items):
                layers = [
                    one.items[1] if isinstance(one, Items) and len(one.items) == 2 else one for one in first.items
                ]
                is_open = first.open
            elif isinstance(first, Mapping):
                layers, is_open = list(first.items.values()), first.open
            else:
                layers, is_open = list(made.args), MORE in made.kwargs
            made.attributes["layers"] = Items(layers, is_open)
        kept = made.attributes["layers"]
        assert isinstance(kept, Items)
        changed = [
            read(made.attributes.get(f"[{i}]", made.attributes.get(str(i), one)), self.taken)
            for i, one in enumerate(kept.items)
        ]
        if changed and "[-1]" in made.attributes:
            changed[-1] = made.attributes["[-1]"]
        return ([*changed, Thing("layer")] if kept.open else changed), not kept.open

    def part(self, owner: Made | Instance, index: Value, node: ast.AST) -> Value:
        """One layer of a model, or several."""
        if isinstance(owner, Instance):
            return super().part(owner, index, node)
        name = last(owner.path)
        if name == "ModuleDict" and owner.args and isinstance(owner.args[0], Mapping):
            return self._entry(owner.args[0], index)
        if name not in structures.CONTAINERS | structures.LAYER_LISTS:
            return Thing("", owner=owner)
        layers, _ = self.layers(owner)
        found = self.item(Items(layers), index, node)
        return Made(owner.path, list(found.items), {}, node, owner.place) if isinstance(found, Items) else found

    # Methods

    def method(self, owner: Value, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Value:
        """A method of a tensor, of something unknown, of a library's object or of a class that has a library's base."""
        if name in ("prepare", "setup") and args and not isinstance(owner, Instance | Tensor):  # Accelerate, Fabric
            return args[0] if len(args) == 1 else Items(args)
        if name == "fit" and args and isinstance(args[0], Instance) and not isinstance(owner, Instance):
            self.run_steps(args[0])
        if isinstance(owner, Super):
            return self.call_base(owner.instance, owner.cls, args, kwargs, node)
        if isinstance(owner, Made):
            return self._method_of_made(owner, name, args, kwargs, node)
        if isinstance(owner, Instance):
            return self._method_of_instance(owner, name, args, kwargs, node)
        if name in structures.SELF_METHODS and isinstance(owner, Thing) and own_head(owner) is not None:
            return owner
        fact = self.facts.of(f"torch.Tensor.{name.rstrip('_')}", [owner, *args], kwargs)
        if fact is not None and fact.activation and all(isinstance(arg, Const | Thing) for arg in args):
            result = self.use(fact, "call", [owner, *args], kwargs, node)
            if name.endswith("_") and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                self.bind(node.func.value, result)
            return result
        if name in arithmetic.OVERWRITES:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                self.bind(node.func.value, Thing("overwritten"))
            return Thing("overwritten")
        if name in rules.COMPARISONS or name == "round":
            self._threshold_call(name, [owner, *args], node)
            return Thing("labels")
        if isinstance(owner, Tensor) or name in arithmetic.KEEPS:
            return self._transformed(name, owner, args, kwargs, node)
        if name in ("log", "exp", "argmax", "max"):
            return Thing(name)
        return Thing("", owner=owner.attributes.get(name, owner) if isinstance(owner, Thing) else None)

    def run_steps(self, model: Instance) -> None:
        """What Lightning's trainer runs of a model."""
        for step in structures.STEPS:
            found = next((one.names[step] for one in model.cls.line() if step in one.names), None)
            if isinstance(found, Function):
                self.set_attribute(model, "training", Const(step == "training_step"))
                self.apply(found, [model], {}, found.node)

    def _method_of_made(self, owner: Made, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Value:
        if is_keras(owner.path) and name in keras.METHODS:
            return keras.method(self, owner, name, args, kwargs, node)
        if name in structures.MODEL_METHODS:
            return self.made(owner, args, kwargs, node)
        if name == "apply" and owner.args and last(owner.path) in structures.TRANSFORMS:
            plain = last(owner.path) == "without_apply_rng"
            inner = owner.args[0]
            inner = inner.args[0] if isinstance(inner, Made) and last(inner.path).startswith("transform") else inner
            return self.call(inner, args[1 if plain else 2 :], kwargs, node)
        if name in structures.SELF_METHODS:
            return owner
        if name in ("items", "values", "keys") and owner.args and isinstance(owner.args[0], Mapping):
            return self._mapping_method(owner.args[0], name, args, kwargs)
        if name in ("append", "add", "add_module", "register_module", "insert", "extend"):
            self.layers(owner)
            kept = owner.attributes.get("layers")
            if isinstance(kept, Items) and args:
                new = args[-1].items if name == "extend" and isinstance(args[-1], Items) else [args[-1]]
                at = args[0].value if name == "insert" and isinstance(args[0], Const) else len(kept.items)
                kept.items[at:at] = new
            return owner
        return Thing("", owner=None)

    def _method_of_instance(self, owner: Instance, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Value:
        keras_model = any(is_keras(path) for path in owner.cls.libraries())
        if keras_model and name in keras.METHODS:
            return keras.method(self, owner, name, args, kwargs, node)
        if name == "__init__":
            owner.given = args
            owner.attributes.update({key: value for key, value in kwargs.items() if key != MORE})
            return Const(None)
        if name in ("eval", "train"):
            mode = args[0] if args else Const(True)
            self.set_attribute(owner, "training", Const(False) if name == "eval" else mode)
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
                self.call(chosen, args[1:], inner, node)
                if isinstance(chosen, Bound)
                else self.call_instance(owner, args[1:], inner, node)
            )
            return Items([result, Thing("state")]) if "mutable" in kwargs and not _false(kwargs["mutable"]) else result
        if name in structures.MODEL_METHODS:
            return self.call_instance(owner, args, kwargs, node)
        return Thing("", owner=None)

    def attribute(self, owner: Value, name: str) -> Value:
        """What an attribute is; some of a distribution are on a known scale, and a wrapper's `module` is the model."""
        if isinstance(owner, Instance) and name == "module" and name not in owner.attributes:
            return owner
        if isinstance(owner, Made) and name not in owner.attributes:
            fact = self.facts.of(f"{owner.path}.{name}", owner.args, owner.kwargs)
            if fact is not None and fact.form == "attribute" and fact.returns in (PROBS, LOG_PROBS):
                return Tensor(fact.returns, Step(owner.place, f"`.{name}` are {fact.returns}"))
        return super().attribute(owner, name)

    # Thresholds

    def compared(self, value: Value, operator: str, number: float, node: ast.AST) -> None:
        """Take note of a comparison with a constant."""
        for guard, one in alternatives(value, self.taken):
            if isinstance(one, Tensor | Thing):
                self.thresholds.append(Threshold(one, operator, number, node, self.place(node), self.taken | guard))
                self.alive.append(one)

    def _threshold_call(self, name: str, args: Args, node: ast.AST) -> None:
        if name in ("round", "rint"):
            self.compared(args[0], "round", 0.5, node)
        elif len(args) > 1 and isinstance(args[1], Const) and isinstance(args[1].value, int | float):
            self.compared(args[0], rules.COMPARISONS[name], args[1].value, node)

    def _picked(self, name: str, value: Value, rest: Args, kwargs: Kwargs, node: ast.AST) -> None:
        """Take note of an argmax, or of a maximum with its index, along an axis that's known."""
        axis = rest[0] if rest else kwargs.get("dim", kwargs.get("axis"))
        if isinstance(value, Tensor) and value.units == 1 and isinstance(axis, Const) and axis.value in (1, -1):
            self.thresholds.append(Threshold(value, name, axis.value, node, self.place(node), self.taken))

    def conclude(self) -> None:
        """Judge the thresholds, once everything is known about what was compared with them."""
        for threshold in self.thresholds:
            origin = id(root(threshold.value))
            if origin in self.probabilities:  # the program contradicts itself, and who's wrong can't be known
                continue
            takers = self.wanted.get(origin, [])
            together = ((name, place) for name, place, guard in takers if not contradict(guard, threshold.under))
            wanted = next(together, None)
            found = rules.judge_threshold(
                threshold.value, threshold.operator, threshold.number, threshold.place, wanted
            )
            if found is not None:
                self.findings.append(found)


def _elsewhere(guard: Guard) -> bool:
    """Whether something depends on another method having been called."""
    return any(truth and condition[0] == "called" for condition, truth in guard)


def _false(value: Value) -> bool:
    return isinstance(value, Const) and not value.value
