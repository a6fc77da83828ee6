"""What names and attributes stand for."""

from __future__ import annotations

import ast
import builtins

from logitkit.check import arithmetic, modules
from logitkit.check.choices import alternatives, each, overwrite, read
from logitkit.check.reader import Reader
from logitkit.check.structures import MODEL_METHODS
from logitkit.check.values import (
    LOG_PROBS,
    PROBS,
    Bound,
    Class,
    File,
    Function,
    Instance,
    Later,
    Made,
    Method,
    Namespace,
    Step,
    Super,
    Symbol,
    Tensor,
    Thing,
    Value,
)

__all__ = ["Names"]


class Names(Reader):
    """Reads names and attributes, and assigns to them."""

    def _Name(self, node: ast.Name) -> Value:
        return self.name(node.id)

    def name(self, name: str) -> Value:
        """What a name stands for."""
        scope: Namespace | None = self.frame.scope
        while scope is not None:
            if name in scope.names:
                found = scope.names[name]
                if isinstance(found, Later):
                    found = scope.names[name] = modules.imported(self, found)
                return read(found, self.taken)
            scope = scope.parent
        module = self.frame.module
        if (starred := modules.starred(self, module, name)) is not None:
            return read(starred, self.taken)
        if hasattr(builtins, name):
            return Symbol(f"builtins.{name}")
        if name == "sigmoid":
            return Symbol(name)
        # A piece of a program: whatever this is, it's the same thing everywhere.
        return module.unknown.setdefault(name, Thing(name))

    def set_name(self, name: str, value: Value) -> None:
        """Assign to a name."""
        scope = self.frame.scope
        if name in scope.outer:
            outer = scope.parent
            while outer is not None and name not in outer.names and outer.parent is not None:
                outer = outer.parent
            scope = outer or scope
        scope.names[name] = overwrite(scope.names.get(name), value, self.extra(scope.born))

    def _Attribute(self, node: ast.Attribute) -> Value:
        return self.attribute(self.value(node.value), node.attr)

    def attribute(self, owner: Value, name: str) -> Value:
        """What an attribute is; some of a distribution are on a known scale, and a wrapper's `module` is the model."""
        if isinstance(owner, Instance) and name == "module" and name not in owner.attributes:
            return owner
        if isinstance(owner, Made) and name not in owner.attributes:
            fact = self.facts.of(f"{owner.path}.{name}", owner.args, owner.kwargs)
            if fact is not None and fact.form == "attribute" and fact.returns in (PROBS, LOG_PROBS):
                return Tensor(fact.returns, Step(owner.place, f"`.{name}` are {fact.returns}"))
        return each(owner, self.taken, lambda one: self._attribute(one, name))

    def _attribute(self, owner: Value, name: str) -> Value:
        if isinstance(owner, Symbol):
            return Symbol(f"{owner.path}.{name}")
        if isinstance(owner, File):
            return modules.imported(self, Later(owner.module, name))
        if isinstance(owner, Super):
            found = self._inherited(owner.instance, list(owner.cls.line())[1:], name, owner.cls)
            return Method(owner, name) if isinstance(found, Method) and name in MODEL_METHODS else found
        if isinstance(owner, Instance | Made | Thing) and name in owner.attributes:
            return read(owner.attributes[name], self.taken)
        if isinstance(owner, Instance):
            return self._inherited(owner, list(owner.cls.line()), name, owner.cls)
        if isinstance(owner, Class):
            return self._inherited(owner, list(owner.line()), name, owner)
        if isinstance(owner, Tensor) and name in arithmetic.SAME_ATTRIBUTES:
            return arithmetic.copied(owner) if name == "data" else arithmetic.moved(owner)
        if isinstance(owner, Thing):
            child = Thing(f"{owner.name}.{name}", owner=owner)
            if name in arithmetic.SAME_ATTRIBUTES:
                child.like = owner
            owner.attributes[name] = child
            return child
        return Method(owner, name)

    def _inherited(self, owner: Value, line: list[Class], name: str, cls: Class) -> Value:
        """An attribute found in a class or its ancestors; a method is bound to its object."""
        if name == "__class__" and isinstance(owner, Instance):
            return owner.cls
        for each_class in line:
            if name not in each_class.names:
                continue
            found = read(each_class.names[name], self.taken)
            if not isinstance(found, Function):
                return found
            if "staticmethod" in found.decorators:
                return found
            if "classmethod" in found.decorators:
                return Bound(found, [owner.cls if isinstance(owner, Instance) else owner])
            if isinstance(owner, Class):
                return found
            if found.decorators & {"property", "cached_property"}:
                return self.apply(found, [owner], {}, found.node)
            return Bound(found, [owner])
        if isinstance(owner, Instance):
            if cls.libraries():
                return Method(owner, name)
            owner.attributes[name] = Thing(f"self.{name}", owner=owner)
            return owner.attributes[name]
        return Thing(f"{cls.node.name}.{name}")

    def set_attribute(self, owner: Value, name: str, new: Value) -> None:
        """Assign to an attribute."""
        for guard, one in alternatives(owner, self.taken):
            if isinstance(one, Instance | Made):
                with self.assuming(guard):
                    old = one.attributes.get(name)
                    one.attributes[name] = overwrite(old, new, self.extra(one.born))
            elif isinstance(one, Thing):
                one.attributes[name] = overwrite(one.attributes.get(name), new, self.extra(frozenset()))
            elif isinstance(one, Class):
                one.names[name] = new
