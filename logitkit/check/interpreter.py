"""Follows scales through one file of a project: what it does, then each of its functions by itself.

Every function is read at least once: where it's called, with what it's given, and by itself, with arguments that
nothing is known about.
"""

from __future__ import annotations

import ast
import re

from logitkit.check import modules
from logitkit.check.calls import telling
from logitkit.check.choices import alternatives, read
from logitkit.check.reader import Frame, TooLongError
from logitkit.check.sources import Module
from logitkit.check.statements import Statements
from logitkit.check.structures import STEPS
from logitkit.check.values import MORE, Class, Const, Function, Instance, Thing, Value, text

__all__ = ["Interpreter"]

ROOT_BUDGET = 6_000  # expressions read for one function and what it calls
CALLED = ("__call__", "forward", "call")  # what runs when an object is called


class Interpreter(Statements):
    """Reads a file, and what's left over: functions that nobody called."""

    def read_all(self, module: Module) -> None:
        """Read a file: what it does, then each of its functions by itself."""
        modules.read_top(self, module)
        self.frames.append(Frame(module, module.scope))
        try:
            for value in list(module.scope.names.values()):
                for _, one in alternatives(value, frozenset()):
                    if isinstance(one, Function) and one.module is module:
                        self._alone(one, [])
                    elif isinstance(one, Class) and one.module is module:
                        self._class_alone(one)
            for function in self.inner[:300]:  # grows while it's read
                if id(function.node) not in self.called and function.module is module:
                    self._alone(function, [])
        finally:
            self.frames.pop()

    def _class_alone(self, cls: Class) -> None:
        """Read a class's methods on an object made with arguments that nothing is known about."""
        instance = Instance(cls, born=self.taken)
        methods = {
            name: found
            for one in reversed(list(cls.line()))
            for name, value in one.names.items()
            for _, found in alternatives(value, frozenset())
            if isinstance(found, Function)
        }
        if "__init__" not in methods and cls.libraries():
            instance.attributes.update(
                {name: read(value, self.taken) for name, value in cls.names.items() if isinstance(value, Const)}
            )
        first = [name for name in ("__init__", "setup", "build", "configure_model") if name in methods]
        own = _defined(cls)
        for name in (*first, *(name for name in methods if name not in first)):
            method = methods[name]
            if name in cls.names or name in first or self._concerns(method, cls, instance, own):
                self._method_alone(instance, name, method)

    def _concerns(self, method: Function, cls: Class, instance: Instance, own: set[str]) -> bool:
        """Whether an inherited method, which was read with its own class, is another one in this class.

        It is if it uses something of this class; in another file, where that's often a setting, if it calls a layer, a
        loss or a method that says something about scales.
        """
        if method.module is cls.module:
            return bool(_used(method) & own)
        return any(
            telling(instance.attributes[name])
            if name in instance.attributes
            else isinstance(found := cls.names.get(name), Function) and modules.telling(self.facts, found)
            for name in _called(method) & own
        )

    def _method_alone(self, instance: Instance, name: str, method: Function) -> None:
        """Read one method. What it assigns to the object isn't there for sure when another method runs."""
        if name in STEPS:
            instance.attributes["training"] = Const(name == "training_step")
        condition = frozenset() if name in ("__init__", "setup", "build") else frozenset({(("called", name), True)})
        with self.assuming(condition):
            self._alone(method, [] if "staticmethod" in method.decorators else [instance])

    def _alone(self, function: Function, args: list[Value]) -> None:
        """Read a function by itself: its arguments are their defaults where these say what they are."""
        kwargs: dict[str, Value] = {}
        node = function.node
        if self.budget <= 0:
            raise TooLongError
        arguments = [*node.args.posonlyargs, *node.args.args][len(args) :] + node.args.kwonlyargs
        scope_frame = Frame(function.module, function.scope)
        for argument in arguments:
            default = function.defaults.get(argument.arg)
            unsure = default is None or (isinstance(default, Const) and isinstance(default.value, bool | None))
            if unsure:
                kwargs[argument.arg] = self._annotated(argument, scope_frame)
        with self.at_most(ROOT_BUDGET):
            self.apply(function, args, kwargs, node)

    def _annotated(self, argument: ast.arg, frame: Frame) -> Value:
        """An object of the class that an argument is said to have."""
        name = argument.annotation
        if isinstance(name, ast.Name | ast.Attribute):
            self.frames.append(frame)
            try:
                cls = self.value(name)
                if isinstance(cls, Class) and cls.libraries():
                    return self.instantiate(cls, [], {MORE: Thing("more")}, name)
            finally:
                self.frames.pop()
        return Thing(argument.arg)


def _used(method: Function) -> set[str]:
    """What a method uses of its object: attributes, methods, and what runs when the object itself is called."""
    return {*re.findall(r"\bself\.(\w+)", method.text), *_called(method)}


def _called(method: Function) -> set[str]:
    """What a method calls of its object."""
    names = re.findall(r"\bself(?:\.(\w+))?\(", method.text)
    return {*names, *CALLED} if "" in names else set(names)


def _defined(cls: Class) -> set[str]:
    """The names that a class defines: methods, fields, and what's assigned to attributes."""
    stored = re.findall(r"\bself\.(\w+)\s*[,:=]", text(cls.module, cls.node))
    return {*cls.names, *stored} - {"__init__"}
