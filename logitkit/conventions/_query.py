"""Reading what a person typed: the names in a line of code, a path or a question, each with the arguments of its call.

Nothing is looked up here: whether a name is recorded, `_match` says.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from logitkit.conventions._resolve import UNKNOWN, letters

# What people write for a module after `import ... as ...`.
IMPORTED_AS: Final = {
    "F": "torch.nn.functional",
    "nn": "torch.nn",
    "td": "torch.distributions",
    "tf": "tensorflow",
    "tfp": "tensorflow_probability",
    "tfd": "tensorflow_probability.distributions",
    "jnp": "jax.numpy",
    "jsp": "jax.scipy",
    "np": "numpy",
    "sp": "scipy",
    "pm": "pymc",
    "sm": "statsmodels.api",
    "xgb": "xgboost",
    "lgb": "lightgbm",
    "smp": "segmentation_models_pytorch",
    "T": "theano.tensor",
    "K": "tensorflow.keras.backend",
}
# The object of which only a method is named: ``model(x).softmax(1)``.
SOMETHING: Final = "_"
TRUTH: Final = {"true": True, "false": False}  # as R, Julia and JavaScript write them
KEYWORD: Final = r"([\w.]+)\s*=\s*[\"']?([\w.:+-]*)[\"']?"


@dataclass(frozen=True)
class Name:
    """A name that was asked for, with the arguments of its call."""

    parts: tuple[str, ...]
    arguments: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()
    called: bool = False
    within: frozenset[str] | None = None  # of a string in code: where what the code calls comes from

    @property
    def full(self) -> tuple[str, ...]:
        """The path with its first module in full: ``F.cross_entropy`` is ``torch.nn.functional.cross_entropy``."""
        module = IMPORTED_AS.get(self.parts[0]) if len(self.parts) > 1 else None
        return (*module.split("."), *self.parts[1:]) if module else self.parts

    @property
    def is_words(self) -> bool:
        """Whether it's words of a question rather than a name."""
        return any(" " in part for part in self.parts)


class Symbol(str):
    """The last part of a name that was passed: a class, where it's compared with the name of one, or a variable."""

    __slots__ = ()


def names_in(query: str) -> list[Name]:
    """The names in a query: the calls of a line of code, the outermost first, then its strings; or the whole of it."""
    text = query.strip().rstrip(":;,")
    try:
        tree = ast.parse(re.sub(r"=\s*(?=[,)])", "=...", _dots(text)))
    except SyntaxError:
        tree = None
    if tree is None or any(map(_is_no_code, tree.body)):
        return [name for name in _names_elsewhere(text) if name.parts]
    return [replace(name, parts=_imported(name.parts, tree)) for name in _names_of(tree) if name.parts]


def _is_no_code(statement: ast.stmt) -> bool:
    """Whether Python would read another notation as a statement: ``binary:logistic``, ``Layer["Index"]``."""
    value = getattr(statement, "value", None)
    if isinstance(value, ast.Subscript):
        return not isinstance(value.value, ast.Call)  # predict_proba(X)[:, 1] is code
    return isinstance(statement, ast.AnnAssign)


def _names_of(tree: ast.Module) -> Iterator[Name]:
    """The names in code, some of them without parts."""
    nodes = list(ast.walk(tree))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    methods = {id(call.func) for call in calls}
    for node in nodes:  # Bernoulli(p).logits: an attribute of what a call makes
        if isinstance(node, ast.Attribute) and id(node) not in methods and isinstance(node.value, ast.Call):
            yield Name(_dotted(node))
    called = []
    for call in calls:
        keywords = tuple((each.arg, _value(each.value)) for each in call.keywords if each.arg)
        called.append(Name(_dotted(call.func), tuple(map(_value, call.args)), keywords, called=True))
    yield from called
    match tree.body[:1]:
        case [ast.Assign(targets=[ast.Name(id=name), *_], value=ast.Constant() | ast.Name() | ast.Dict() as value)]:
            yield Name((name,), keywords=((name, _value(value)),))  # from_logits=True, logit_bias={50256: -100}
        case [ast.Assign(targets=[ast.Name(), *_], value=ast.Attribute() as value)] | [ast.Expr(value=value)]:
            yield Name(_dotted(value))
    roots = frozenset(name.full[0] for name in called if name.parts)
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield Name((node.value,), within=roots)
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from map(Name, _imports(node).values())


def _imports(node: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, ...]]:
    """What a statement imports, by the names that it has then."""
    module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    return {each.asname or each.name: tuple(f"{module}{each.name}".split(".")) for each in node.names}


def _imported(parts: tuple[str, ...], tree: ast.Module) -> tuple[str, ...]:
    """A path with its first name as the code itself imports it."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and (path := _imports(node).get(parts[0])):
            return (*path, *parts[1:])
    return parts


def _dotted(node: ast.expr) -> tuple[str, ...]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        return (node.id, *reversed(parts))
    # nn.CrossEntropyLoss()(x, y): that call is asked for itself; SVC().fit(x, y).predict(x): a method of the class;
    # model(x).softmax(1): a method of something
    return (*(_class_in(node) or (SOMETHING,)), *reversed(parts)) if parts else ()


def _class_in(node: ast.expr) -> tuple[str, ...]:
    """The class whose object a chain of calls starts from, if it starts from one."""
    while isinstance(node, ast.Call | ast.Attribute):
        if isinstance(node, ast.Call) and (parts := _dotted(node.func)) and parts[-1][0].isupper():
            return parts
        node = node.func if isinstance(node, ast.Call) else node.value
    return ()


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id.lower() in TRUTH:
        return TRUTH[node.id.lower()]
    made = node.func if isinstance(node, ast.Call) and not (node.args or node.keywords) else node
    if isinstance(made, ast.Attribute | ast.Name):  # criterion=nn.CrossEntropyLoss, activation_fn=nn.Identity()
        return Symbol(_dotted(made)[-1])
    try:
        value = ast.literal_eval(node)
        hash(value)
    except (ValueError, TypeError):  # an expression; a list, which no flag is set to
        return UNKNOWN
    return value


def _names_elsewhere(text: str) -> Iterator[Name]:
    """A name that isn't Python's: ``stats::qlogis(p, log.p = TRUE)``, ``binary:logistic``, two words."""
    name, bracket, inside = text.partition("(")
    yield Name(parts_of(text))
    yield Name(parts_of(name), keywords=_keywords(inside), called=bool(bracket))
    if (whole := re.fullmatch(KEYWORD, text)) and whole[2]:
        yield Name((whole[1],), keywords=_keywords(text))
        yield Name((whole[2],))


def _keywords(text: str) -> tuple[tuple[str, Any], ...]:
    return tuple((key, TRUTH.get(value.lower(), value)) for key, value in re.findall(KEYWORD, text))


@cache
def parts_of(name: str) -> tuple[str, ...]:
    """A name cut at its dots, colons and slashes; empty if there's no letter in it."""
    name = _dots(name).strip(" \"'`@")
    return tuple(part for part in re.split(r"[./]", name) if letters(part)) or ((name,) if letters(name) else ())


def _dots(name: str) -> str:
    return re.sub(r"::|\$", ".", name)
