"""Lists, tuples and dictionaries: what's in them, what goes into them, and what a loop or an assignment takes out."""

from __future__ import annotations

import ast

from logitkit.check import arithmetic, layers, structures
from logitkit.check.choices import alternatives, each, overwrite, read
from logitkit.check.names import Names
from logitkit.check.structures import last
from logitkit.check.values import (
    MORE,
    Bound,
    Choice,
    Class,
    Const,
    Guard,
    Instance,
    Items,
    Made,
    Mapping,
    Symbol,
    Tensor,
    Thing,
    Value,
)

__all__ = ["Containers"]


class Containers(Names):
    """Reads containers, and takes apart what's assigned to several targets."""

    def _Tuple(self, node: ast.Tuple | ast.List | ast.Set) -> Value:
        items, is_open = self.values(node.elts)
        return Items(items, is_open)

    _List = _Set = _Tuple

    def values(self, nodes: list[ast.expr]) -> tuple[list[Value], bool]:
        """The values of several expressions, stars unpacked, and whether there may be more."""
        found: list[Value] = []
        is_open = False
        for node in nodes:
            if not isinstance(node, ast.Starred):
                found.append(self.value(node))
                continue
            inner = self.value(node.value)
            if isinstance(inner, Items):
                found.extend(inner.items)
                is_open |= inner.open
            else:
                is_open = True
        return found, is_open

    def _Dict(self, node: ast.Dict) -> Value:
        mapping = Mapping({})
        for key, value in zip(node.keys, node.values, strict=True):
            inner = self.value(value)
            if key is None:
                if isinstance(inner, Mapping):
                    mapping.items.update(inner.items)
                mapping.open |= not isinstance(inner, Mapping) or inner.open
                continue
            name = self.value(key)
            if isinstance(name, Const):
                mapping.items[name.value] = inner
            else:
                mapping.open = True
        return mapping

    def _Subscript(self, node: ast.Subscript) -> Value:
        owner, index = self.value(node.value), self.value(node.slice)
        return each(owner, self.taken, lambda one: self.item(one, index, node))

    def _Slice(self, node: ast.Slice) -> Value:
        bounds = [self.value(part) for part in (node.lower, node.upper, node.step)]
        if all(isinstance(bound, Const) and isinstance(bound.value, int | None) for bound in bounds):
            return Const(slice(*(bound.value for bound in bounds if isinstance(bound, Const))))
        return Thing("slice")

    def item(self, owner: Value, index: Value, node: ast.AST) -> Value:
        """One element of a container."""
        if isinstance(owner, Items):
            return self._element(owner, index)
        if isinstance(owner, Mapping):
            return self.entry(owner, index)
        if isinstance(owner, Tensor):
            return arithmetic.cut(owner, index)
        if isinstance(owner, Thing):
            key = f"[{index.value!r}]" if isinstance(index, Const) else ""
            if not key:
                return Thing(owner.name, like=owner, owner=owner.owner)
            if key not in owner.attributes:
                owner.attributes[key] = Thing(f"{owner.name}{key}", like=owner)
            return owner.attributes[key]
        if isinstance(owner, Instance) and (elements := owner.items()) is not None:
            return self._element(Items(elements), index)
        if isinstance(owner, Instance):
            return self._own_item(owner, index, node)
        if isinstance(owner, Made):
            return self._part(owner, index, node)
        return owner if isinstance(owner, Symbol | Class) else Thing("element")

    def _element(self, owner: Items, index: Value) -> Value:
        if isinstance(index, Const) and not owner.open:
            try:
                found = owner.items[index.value]
            except (IndexError, TypeError):
                return Thing("element")
            return Items(found) if isinstance(found, list) else found
        return self.any_of(owner)

    def entry(self, owner: Mapping, index: Value) -> Value:
        """What a dictionary has under a key."""
        if isinstance(index, Const):
            try:
                found = owner.items.get(index.value)
            except TypeError:
                found = None
            return read(found, self.taken) if found is not None else Thing(str(index.value))
        # A choice by name: `losses[args.loss]` goes with everything else that depends on `args.loss`.
        self.keep_alive(index)
        self.names.add(id(index))
        options = [
            (frozenset({(("==", id(index), key), True)}), value) for key, value in list(owner.items.items())[:12]
        ]
        kept = [option for option in options if not owner.open or option]
        return Choice(tuple(kept)) if kept and not owner.open else Thing("entry")

    def any_of(self, items: Items) -> Value:
        """An element, no matter which: known only if all are alike."""
        if items.items and all(isinstance(one, Tensor) for one in items.items):
            tensors = [one for one in items.items if isinstance(one, Tensor)]
            if len({(one.scale, one.by) for one in tensors}) == 1:
                return tensors[-1]
        return items.items[0] if len(items.items) == 1 else Thing("element")

    def _own_item(self, owner: Instance, index: Value, node: ast.AST) -> Value:
        """What an object's `__getitem__` gives."""
        found = next((one.names["__getitem__"] for one in owner.cls.line() if "__getitem__" in one.names), None)
        return self.call(Bound(found, [owner]), [index], {}, node) if found else Thing("element")

    def _part(self, owner: Made, index: Value, node: ast.AST) -> Value:
        """One layer of a model, or several."""
        name = last(owner.path)
        if name == "ModuleDict" and owner.args and isinstance(owner.args[0], Mapping):
            return self.entry(owner.args[0], index)
        if name not in structures.CONTAINERS | structures.LAYER_LISTS:
            return Thing("", owner=owner)
        kept, _ = layers.inside(self, owner)
        found = self.item(Items(kept), index, node)
        return Made(owner.path, list(found.items), {}, node, owner.place) if isinstance(found, Items) else found

    def elements(self, value: Value) -> tuple[list[Value], bool]:
        """What a loop goes through: each element if they're known and few, or one that stands for all."""
        if isinstance(value, Items) and not value.open and len(value.items) <= 24:
            return list(value.items), True
        if isinstance(value, Items):
            return [self.any_of(value)], False
        if isinstance(value, Mapping) and not value.open and len(value.items) <= 24:
            return [Const(key) for key in value.items], True
        if isinstance(value, Tensor):
            return [arithmetic.moved(value)], False
        if isinstance(value, Made):
            return layers.inside(self, value)
        if isinstance(value, Thing):
            return [self.item(value, Thing("index"), ast.Pass())], False
        return [Thing("element")], False

    # Assignment

    def bind(self, target: ast.AST, value: Value) -> None:
        """Assign to a name, an attribute, an element, or several of them."""
        if isinstance(target, ast.Name):
            self.set_name(target.id, value)
        elif isinstance(target, ast.Attribute):
            self.set_attribute(self.value(target.value), target.attr, value)
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpack(target.elts, value)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, value)
        elif isinstance(target, ast.Subscript):
            self._set_item(target, value)

    def _unpack(self, targets: list[ast.expr], value: Value) -> None:
        if isinstance(value, Choice):
            parts: list[list[tuple[Guard, Value]]] = [[] for _ in targets]
            for guard, one in alternatives(value, self.taken):
                for part, found in zip(parts, self._parts(targets, one), strict=True):
                    part.append((guard, found))
            for target, part in zip(targets, parts, strict=True):
                self.bind(target, read(Choice(tuple(part)), self.taken))
            return
        for target, found in zip(targets, self._parts(targets, value), strict=True):
            self.bind(target, found)

    def _parts(self, targets: list[ast.expr], value: Value) -> list[Value]:
        starred = any(isinstance(target, ast.Starred) for target in targets)
        if isinstance(value, Instance) and (elements := value.items()) is not None:
            value = Items(elements)
        if isinstance(value, Items) and not value.open and not starred and len(value.items) == len(targets):
            return list(value.items)
        if isinstance(value, Thing):
            return [self.item(value, Const(number), targets[0]) for number in range(len(targets))]
        if isinstance(value, Tensor):
            return [arithmetic.moved(value) for _ in targets]
        return [Thing("part") for _ in targets]

    def _set_item(self, target: ast.Subscript, value: Value) -> None:
        owner, index = self.value(target.value), self.value(target.slice)
        if isinstance(owner, Mapping):
            if isinstance(index, Const) and isinstance(index.value, str | int | float | bool | tuple | None):
                owner.items[index.value] = overwrite(owner.items.get(index.value), value, self.extra(frozenset()))
            else:
                owner.open = True
        elif isinstance(owner, Items):
            if (
                isinstance(index, Const)
                and isinstance(index.value, int)
                and -len(owner.items) <= index.value < len(owner.items)
            ):
                owner.items[index.value] = value
            else:
                owner.open = True
        elif isinstance(owner, Tensor):
            # Some of the numbers are overwritten: what's left isn't what it was.
            self.bind(target.value, Thing("changed"))
        elif (isinstance(owner, Thing) and isinstance(index, Const)) or (
            isinstance(owner, Made) and isinstance(index, Const)
        ):
            owner.attributes[f"[{index.value!r}]"] = value

    # Methods

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

    def mapping_method(self, owner: Mapping, name: str, args: list[Value], kwargs: dict[str, Value]) -> Value:
        """What a method of a dictionary gives."""
        if name in ("get", "pop", "setdefault") and args:
            found = self.entry(owner, args[0])
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
