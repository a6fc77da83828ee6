"""What a call gives: functions and classes of the program are read, containers and unknown things are followed.

A function is read anew for each call, with the arguments of that call: that's what lets a helper serve a model of
logits and a model of probabilities without mixing them up.
"""

from __future__ import annotations

import ast
import re
from abc import abstractmethod

from logitkit.check import arithmetic
from logitkit.check.expressions import Expressions, Frame, with_step
from logitkit.check.structures import HEADS
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
    Super,
    Symbol,
    Tensor,
    Thing,
    Value,
    alternatives,
    combine,
    each,
    read,
)

__all__ = ["Calls", "own_head", "telling"]

FOREIGN_BUDGET = 300  # expressions read of another file's function that names nothing about scales,
ALL_FOREIGN = 3_000  # and of all of them: a large package's base classes do much that has nothing to do with scales
DEEPEST = 16  # calls inside calls
_NUMBER = re.compile(r"\[-?\d+\]")


class Calls(Expressions):
    """Reads calls. What a library's function does is said by the subclass."""

    foreign = ALL_FOREIGN

    @abstractmethod
    def run(self, body: list[ast.stmt]) -> bool:
        """Read statements; whether the program goes on after them."""

    @abstractmethod
    def library(self, path: str, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """What a function or class of a library gives."""

    @abstractmethod
    def made(self, made: Made, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """What a layer, loss or model of a library gives."""

    @abstractmethod
    def method(self, owner: Value, name: str, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """What a method of a tensor, of an unknown thing or of a library's object gives."""

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
        """What a call gives; if it's not known which function is called, each in its turn."""
        if not isinstance(function, Choice):
            return self._call_one(function, args, kwargs, node)
        options: list[tuple[Guard, Value]] = []
        for guard, one in alternatives(function, self.taken):
            if isinstance(one, Const):  # None can't be called
                continue
            with self.assuming(guard):
                found = self._call_one(one, [read(a, self.taken) for a in args], kwargs, node)
            options.extend((guard | inner, value) for inner, value in alternatives(found, self.taken | guard))
        return combine(options)

    def _call_one(self, function: Value, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        if isinstance(function, Symbol):
            return self.library(function.path, args, kwargs, node)
        if isinstance(function, Function):
            return self.apply(function, args, kwargs, node)
        if isinstance(function, Bound):
            return self.call(function.function, [*function.args, *args], {**function.kwargs, **kwargs}, node)
        if isinstance(function, Class):
            return self.instantiate(function, args, kwargs, node)
        if isinstance(function, Instance):
            return self.call_instance(function, args, kwargs, node)
        if isinstance(function, Made):
            return self.made(function, args, kwargs, node)
        if isinstance(function, Method):
            return each(
                function.owner, self.taken, lambda owner: self._call_method(owner, function.name, args, kwargs, node)
            )
        if isinstance(function, Thing):
            head = own_head(function)
            if head is not None:  # a ready-made model with a last layer of the program's own
                return self.call(head, [Thing("features")], {}, node)
            if function.owner is not None and function.name:
                return self.method(function.owner, function.name.rpartition(".")[2], args, kwargs, node)
            return Thing("", owner=function)
        return Thing("result")

    # Functions of the program

    def apply(self, function: Function, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """Read a function's body with these arguments."""
        body = function.node
        self.called.add(id(body))
        if len(self.frames) > DEEPEST or sum(frame.function is function for frame in self.frames) > 1:
            return Thing("recursion")
        if function.module is self.frame.module or self.telling(function):
            return self._apply(function, args, kwargs, node)
        if not self.matters(function.module) and not any(map(telling, args)):
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

    def _returned(self, value: Value, place: object, what: str) -> Value:
        if isinstance(value, Items):
            return Items([self._returned(one, place, what) for one in value.items], value.open)
        return with_step(value, place, what)  # type: ignore[arg-type]

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

    def named_tuple(self, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
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
        return Class(ast.copy_location(cls, node), self.frame.module, [Symbol("typing.NamedTuple")])

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
        return self.call_base(instance, instance.cls, args, kwargs, node)

    def _call_found(
        self, instance: Instance, method: Value, args: list[Value], kwargs: dict[str, Value], node: ast.AST
    ) -> Value:
        """Call what stands for calling an object; if nothing is known about that, it's not the object again."""
        if isinstance(method, Thing | Method):
            return Thing("", owner=instance)
        return self.call(method, args, kwargs, node)

    def call_base(
        self, instance: Value, cls: Class, args: list[Value], kwargs: dict[str, Value], node: ast.AST
    ) -> Value:
        """What the library's class gives that an object's class comes from."""
        base = next(iter(cls.libraries()), None)
        if base is None or not isinstance(instance, Instance):
            return Thing("", owner=instance)
        made = Made(base, instance.given, instance.attributes, node, self.place(node), instance.attributes)
        return self.made(made, args, kwargs, node)

    def part(self, owner: Made | Instance, index: Value, node: ast.AST) -> Value:
        """`owner[index]`."""
        if isinstance(owner, Instance):
            found = next((one.names["__getitem__"] for one in owner.cls.line() if "__getitem__" in one.names), None)
            return self.call(Bound(found, [owner]), [index], {}, node) if found else Thing("element")
        return Thing("element")

    # Containers, and things nothing is known about

    def _call_method(
        self, owner: Value, name: str, args: list[Value], kwargs: dict[str, Value], node: ast.AST
    ) -> Value:
        if isinstance(owner, Items):
            return self._list_method(owner, name, args, node)
        if isinstance(owner, Mapping):
            return self._mapping_method(owner, name, args, kwargs)
        if isinstance(owner, Const):
            return self._constant_method(owner, name, args)
        return self.method(owner, name, args, kwargs, node)

    def _list_method(self, owner: Items, name: str, args: list[Value], node: ast.AST) -> Value:
        if name in ("append", "add", "appendleft") and args:
            owner.items.append(args[0])
            if len(owner.items) > 64:
                owner.items, owner.open = owner.items[:8], True
        elif name in ("extend", "update") and args:
            rows = arithmetic.moved(args[0]) if isinstance(args[0], Tensor) else None
            owner.items.extend(args[0].items if isinstance(args[0], Items) else [rows] if rows else [])
            owner.open |= not isinstance(args[0], Items) or args[0].open
        elif name == "insert" and len(args) == 2:
            if isinstance(args[0], Const) and isinstance(args[0].value, int):
                owner.items.insert(args[0].value, args[1])
        elif name in ("pop", "popleft"):
            where = args[0] if args else Const(-1)
            found = self.item(owner, where, node)
            if isinstance(where, Const) and owner.items and not owner.open:
                owner.items = [one for one in owner.items if one is not found]
            return found
        elif name in ("copy", "__reversed__"):
            return Items(list(owner.items), owner.open)
        elif name in ("clear",):
            owner.items.clear()
        return Const(None)

    def _mapping_method(self, owner: Mapping, name: str, args: list[Value], kwargs: dict[str, Value]) -> Value:
        if name in ("get", "pop", "setdefault") and args:
            found = self._entry(owner, args[0])
            missing = isinstance(args[0], Const) and args[0].value not in owner.items and not owner.open
            return (args[1] if len(args) > 1 else kwargs.get("default", Const(None))) if missing else found
        if name == "items":
            return Items([Items([Const(key), one]) for key, one in owner.items.items()], owner.open)
        if name == "values":
            return Items(list(owner.items.values()), owner.open)
        if name == "keys":
            return Items([Const(key) for key in owner.items], owner.open)
        if name == "copy":
            return Mapping(dict(owner.items), owner.open)
        if name == "update":
            for one in args:
                owner.items.update(one.items if isinstance(one, Mapping) else {})
                owner.open |= not isinstance(one, Mapping) or one.open
            owner.items.update({key: one for key, one in kwargs.items() if key != MORE})
        return Thing(name)

    def _constant_method(self, owner: Const, name: str, args: list[Value]) -> Value:
        if isinstance(owner.value, str) and name in ("lower", "upper", "strip", "title", "capitalize") and not args:
            return Const(getattr(owner.value, name)())
        return Thing(name)

    def super_value(self) -> Value:
        """What `super()` is in the method that's being read."""
        for frame in reversed(self.frames):
            if frame.owner is not None and frame.self_value is not None:
                return Super(frame.self_value, frame.owner)
        return Thing("super")


def own_head(model: Thing | Made) -> Made | Instance | None:
    """The last layer that the program gave to a ready-made model, or put at the end of its last layers."""
    for key in HEADS:
        head = model.attributes.get(key)
        if isinstance(head, Thing):
            replaced = {int(index[1:-1]): one for index, one in head.attributes.items() if _NUMBER.fullmatch(index)}
            head = replaced[-1 if -1 in replaced else max(replaced)] if replaced else None
        if isinstance(head, Made | Instance):
            return head
    return None


def telling(value: Value) -> bool:
    """Whether something about scales may come of a value."""
    return isinstance(value, Tensor | Made | Instance | Function | Bound | Class | Choice)
