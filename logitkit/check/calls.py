"""What a call gives: functions and classes of the program are read, containers and unknown things are followed.

A function is read anew for each call, with the arguments of that call: that's what lets a helper serve a model of
logits and a model of probabilities without mixing them up.
"""

from __future__ import annotations

import ast
from dataclasses import replace

from logitkit.check import library, models, modules
from logitkit.check.choices import alternatives, combine, each, read
from logitkit.check.expressions import Expressions
from logitkit.check.layers import own_head
from logitkit.check.reader import Frame
from logitkit.check.values import (
    MORE,
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
    Namespace,
    Place,
    Step,
    Symbol,
    Tensor,
    Thing,
    Value,
)

__all__ = ["Calls", "telling"]

FOREIGN_BUDGET = 300  # expressions read of another file's function that names nothing about scales,
ALL_FOREIGN = 3_000  # and of all of them: a large package's base classes do much that has nothing to do with scales
DEEPEST = 16  # calls inside calls


class Calls(Expressions):
    """Reads calls. What a library's function does is said by `library` and `models`."""

    foreign = ALL_FOREIGN

    def _Call(self, node: ast.Call) -> Value:
        function = self.value(node.func)
        args, more = self.values(node.args)
        kwargs: dict[str, Value] = {MORE: Thing("more")} if more else {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            if keyword.arg is not None:
                kwargs[keyword.arg] = value
            elif isinstance(value, Mapping):
                kwargs.update({key: one for key, one in value.items.items() if isinstance(key, str)})
                if value.open:
                    kwargs[MORE] = value
            else:
                kwargs[MORE] = value
        return self.call(function, args, kwargs, node)

    def call(self, function: Value, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """What a call gives; if it's not known which function is called, each in its turn.

        A loss chosen by name out of a dictionary is right if one of them is, since the name decides; if none is, that's
        one mistake.
        """
        if not isinstance(function, Choice):
            return self._call_one(function, args, kwargs, node)
        before, accepted = len(self.findings), self.accepted
        options: list[tuple[Guard, Value]] = []
        for guard, one in alternatives(function, self.taken):
            if isinstance(one, Const):  # None can't be called
                continue
            with self.assuming(guard):
                found = self._call_one(one, [read(a, self.taken) for a in args], kwargs, node)
            options.extend((guard | inner, value) for inner, value in alternatives(found, self.taken | guard))
        if self._by_name(function):
            del self.findings[before + (self.accepted == accepted) :]
        return combine(options)

    def _by_name(self, choice: Choice) -> bool:
        """Whether each alternative goes with one key of a dictionary."""
        return all(
            any(truth and condition[0] == "==" and condition[1] in self.names for condition, truth in guard)
            for guard, _ in choice.options
        )

    def _call_one(self, function: Value, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        if isinstance(function, Symbol):
            return library.call(self, function.path, args, kwargs, node)
        if isinstance(function, Function):
            return self.apply(function, args, kwargs, node)
        if isinstance(function, Bound):
            return self.call(function.function, [*function.args, *args], {**function.kwargs, **kwargs}, node)
        if isinstance(function, Class):
            return self.instantiate(function, args, kwargs, node)
        if isinstance(function, Instance):
            return self.call_instance(function, args, kwargs, node)
        if isinstance(function, Made):
            return models.call(self, function, args, kwargs, node)
        if isinstance(function, Method):
            return each(
                function.owner, self.taken, lambda owner: self._call_method(owner, function.name, args, kwargs, node)
            )
        if isinstance(function, Thing):
            head = own_head(function)
            if head is not None:  # a ready-made model with a last layer of the program's own
                return self.call(head, [Thing("features")], {}, node)
            if function.owner is not None and function.name:
                return models.method(self, function.owner, function.name.rpartition(".")[2], args, kwargs, node)
            return Thing("", owner=function)
        return Thing("result")

    def _call_method(
        self, owner: Value, name: str, args: list[Value], kwargs: dict[str, Value], node: ast.AST
    ) -> Value:
        if isinstance(owner, Items):
            return self._list_method(owner, name, args, node)
        if isinstance(owner, Mapping):
            return self.mapping_method(owner, name, args, kwargs)
        if isinstance(owner, Const):
            return self._constant_method(owner, name, args)
        return models.method(self, owner, name, args, kwargs, node)

    # Functions of the program

    def apply(self, function: Function, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """Read a function's body with these arguments."""
        body = function.node
        self.called.add(id(body))
        if len(self.frames) > DEEPEST or sum(frame.function is function for frame in self.frames) > 1:
            return Thing("recursion")
        if function.module is self.frame.module or modules.telling(self.facts, function):
            return self._apply(function, args, kwargs, node)
        if not modules.matters(self.facts, function.module) and not any(map(telling, args)):
            return Thing("", owner=None)
        found: Value = Thing("", owner=None)
        before, left = self.budget, self.foreign
        with self.at_most(min(FOREIGN_BUDGET, left)):
            found = self._apply(function, args, kwargs, node)
        self.foreign = left - (before - self.budget)
        return found

    def _apply(self, function: Function, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        body = function.node
        scope = Namespace(parent=function.scope, born=self.taken)
        self._bind_arguments(function, scope, args, kwargs)
        caller = self.frame
        frame = Frame(function.module, scope, function, function.owner, args[0] if function.owner and args else None)
        self.frames.append(frame)
        try:
            if isinstance(body, ast.Lambda):
                result: Value = self.value(body.body)
            else:
                self.run(body.body)
                result = self._result(frame, body)
        finally:
            self.frames.pop()
        if isinstance(body, ast.Lambda) or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return result
        what = f"returned by `{body.name}`"
        return each(result, self.taken, lambda one: self._returned(one, caller.module.source.place(node), what))

    def _returned(self, value: Value, place: Place, what: str) -> Value:
        if isinstance(value, Items):
            return Items([self._returned(one, place, what) for one in value.items], value.open)
        return _with_step(value, place, what)

    def _result(self, frame: Frame, body: ast.FunctionDef | ast.AsyncFunctionDef) -> Value:
        if frame.yields:
            if frame.function and "contextmanager" in frame.function.decorators:
                return frame.yields[0]
            return Items(frame.yields, open=True)
        return read(frame.result, self.taken) if frame.result is not None else Const(None)

    def _bind_arguments(
        self, function: Function, scope: Namespace, args: list[Value], kwargs: dict[str, Value]
    ) -> None:
        arguments = function.node.args
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        known = dict(zip(names, args, strict=False))
        known.update({name: value for name, value in kwargs.items() if name != MORE})
        for name in (*names, *(argument.arg for argument in arguments.kwonlyargs)):
            if name in known:
                scope.names[name] = known.pop(name)
            elif name in function.defaults and MORE not in kwargs:
                scope.names[name] = function.defaults[name]
            else:
                scope.names[name] = Thing(name)
        if arguments.vararg:
            scope.names[arguments.vararg.arg] = Items(args[len(names) :], open=MORE in kwargs)
        if arguments.kwarg:
            scope.names[arguments.kwarg.arg] = Mapping(dict(known), open=MORE in kwargs)

    # Classes of the program

    def instantiate(self, cls: Class, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """An object of a class: its `__init__` is read, or its fields are filled."""
        instance = Instance(cls, born=self.taken)
        if any(path.rpartition(".")[2] == "Module" and path.startswith("torch") for path in cls.libraries()):
            instance.attributes["training"] = Const(True)
        init = next((found for one in cls.line() if isinstance(found := one.names.get("__init__"), Function)), None)
        if init:
            self.apply(init, [instance, *args], kwargs, node)
        elif cls.libraries() or "dataclass" in cls.names:
            instance.attributes.update(dict(zip(cls.fields(), args, strict=False)))
            instance.attributes.update({name: value for name, value in kwargs.items() if name != MORE})
            instance.given = args
        for later in ("__post_init__", "setup", "build"):
            self._run_if_simple(instance, later, node)
        return instance

    def _run_if_simple(self, instance: Instance, name: str, node: ast.AST) -> None:
        """Flax's `setup`, Keras's `build`: methods that a framework calls to make layers."""
        found = next((one.names[name] for one in instance.cls.line() if name in one.names), None)
        if isinstance(found, Function) and (name != "build" or instance.cls.libraries()):
            self.apply(found, [instance], {}, node)

    def call_instance(self, instance: Instance, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """`model(x)`: whatever the class, or the framework's base class, calls then."""
        for name in ("__call__", "forward", "call"):
            for one in instance.cls.line():
                found = one.names.get(name)
                if isinstance(found, Function | Choice):
                    return self._call_found(instance, self.attribute(instance, name), args, kwargs, node)
            if name in instance.attributes and name != "__call__":
                return self._call_found(instance, instance.attributes[name], args, kwargs, node)
        return models.call_base(self, instance, instance.cls, args, kwargs, node)

    def _call_found(
        self, instance: Instance, method: Value, args: list[Value], kwargs: dict[str, Value], node: ast.AST
    ) -> Value:
        """Call what stands for calling an object; if nothing is known about that, it's not the object again."""
        if isinstance(method, Thing | Method):
            return Thing("", owner=instance)
        return self.call(method, args, kwargs, node)


def _with_step(value: Value, place: Place, what: str) -> Value:
    """A value with one more station on its way."""
    return replace(value, step=Step(place, what, value.step), like=value) if isinstance(value, Tensor) else value


def telling(value: Value) -> bool:
    """Whether something about scales may come of a value."""
    return isinstance(value, Tensor | Made | Instance | Function | Bound | Class | Choice)
