"""How each mistake is mended, as edits of the source.

An edit is safe if what it changes is used nowhere else: an activation written inside the very call that's wrong, or an
argument of that call. The others are shown as a diff and left to the reader.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from logitkit.check.findings import Edit, Fix
from logitkit.check.values import LOG_PROBS, SCORES, Place, Tensor

if TYPE_CHECKING:
    from logitkit.check.rules import Use

__all__ = [
    "drop_activation", "drop_this", "from_logits_false", "log_in_one", "log_probs", "logits_argument", "loss_of_logits",
    "probs_argument", "sigmoid_for_softmax", "softmax_for_sigmoid", "threshold_zero",
]  # fmt: skip


def span(path: str, node: ast.AST) -> Place:
    """Where a node is in its file."""
    return Place(path, node.lineno, node.col_offset + 1, node.end_lineno, node.end_col_offset + 1)  # type: ignore[attr-defined]


def _inside(use: Use, node: ast.AST | None) -> bool:
    """Whether a node is an argument of the call itself, so that nothing else sees it."""
    call = use.node
    return isinstance(call, ast.Call) and node in [*call.args, *(one.value for one in call.keywords)]


def _without(path: str, call: ast.AST | None) -> Edit | None:
    """The edit that takes an activation away."""
    if not isinstance(call, ast.Call):
        return None
    activation = next((one for one in call.keywords if one.arg == "activation"), None)
    if activation is not None:  # a Keras layer with its activation inside
        return Edit(span(path, activation.value), "None")
    name = ast.unparse(call.func)
    short = name.rpartition(".")[2]
    if short in ("Softmax", "Sigmoid", "LogSoftmax"):
        return Edit(span(path, call), f"{name.removesuffix(short)}Identity()")
    named = next((one.value for one in call.keywords if one.arg in ("input", "x", "logits")), None)
    if named is not None:
        return Edit(span(path, call), _written(named))
    if call.args and short in ("softmax", "sigmoid", "log_softmax", "expit") and "." in name and not _is_method(call):
        return Edit(span(path, call), _written(call.args[0]))
    if isinstance(call.func, ast.Attribute) and short in ("softmax", "sigmoid", "log_softmax"):
        return Edit(span(path, call), _written(call.func.value))
    return Edit(span(path, call), _written(call.args[0])) if call.args and short.islower() else None


def _written(node: ast.expr) -> str:
    """An expression that can stand anywhere, before a dot too."""
    text = ast.unparse(node)
    return text if isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript) else f"({text})"


def _is_method(call: ast.Call) -> bool:
    """`x.softmax(-1)`, as opposed to `F.softmax(x, -1)`: the first argument is a number, or there's none."""
    first = call.args[0] if call.args else None
    return first is None or isinstance(first, ast.Constant | ast.UnaryOp)


def drop_activation(use: Use, held: Tensor) -> Fix | None:
    """Pass what the activation was applied to."""
    edit = _without(held.step.place.path if held.call is None else _path(held), held.call)
    if edit is None:
        return None
    return Fix(
        f"leave out the {'log-' if held.scale == LOG_PROBS else ''}{held.by or 'activation'}",
        (edit,),
        _inside(use, held.call),
    )


def _path(held: Tensor) -> str:
    """The file of the activation: that of the step that made the numbers."""
    for step in held.step:
        if step.what.endswith(("makes probabilities", "makes log-probabilities")):
            path = step.place.path
    return path


def drop_this(use: Use, held: Tensor) -> Fix | None:
    """Leave out the second activation."""
    edit = _without(use.place.path, use.node)
    return Fix(f"leave out `{use.fact.name}`", (edit,), False) if edit else None


def _string(use: Use, call: ast.AST | None, old: str, new: str, path: str) -> Edit | None:
    for node in ast.walk(call) if call is not None else ():
        if isinstance(node, ast.Constant) and node.value == old:
            return Edit(span(path, node), repr(new).replace("'", '"'))
    return None


def sigmoid_for_softmax(use: Use, held: Tensor) -> Fix | None:
    """One unit takes a sigmoid."""
    edit = _string(use, use.node, "softmax", "sigmoid", use.place.path)
    return Fix("use a sigmoid for one unit", (edit,), False) if edit else None


def softmax_for_sigmoid(use: Use, held: Tensor) -> Fix | None:
    """Several exclusive classes take a softmax."""
    edit = _string(use, held.call, "sigmoid", "softmax", _path(held))
    return Fix("use a softmax for exclusive classes", (edit,), False) if edit else None


def from_logits_false(use: Use, held: Tensor) -> Fix | None:
    """Say what the loss is given."""
    for node in ast.walk(use.node):
        if isinstance(node, ast.keyword) and node.arg == "from_logits":
            return Fix("say that it's given probabilities", (Edit(span(use.place.path, node.value), "False"),), True)
    return None


def loss_of_logits(use: Use, held: Tensor) -> Fix | None:
    """The loss that takes scores."""
    if held.scale != SCORES or not isinstance(use.node, ast.Call):
        return None
    function = use.node.func
    path = use.place.path
    names = {"binary_cross_entropy": "binary_cross_entropy_with_logits", "BCELoss": "BCEWithLogitsLoss"}
    if isinstance(function, ast.Attribute) and function.attr in names:
        new = f"{ast.unparse(function.value)}.{names[function.attr]}"
        return Fix(f"use `{names[function.attr]}`", (Edit(span(path, function), new),), False)
    for node in ast.walk(use.node):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith("crossentropy"):
            name = "".join(part.capitalize() for part in node.value.split("_"))
            text = f"keras.losses.{name}(from_logits=True)"
            return Fix("say that the loss is given logits", (Edit(span(path, node), text),), False)
    return None


def log_probs(use: Use, held: Tensor) -> Fix | None:
    """The logarithm of the activation."""
    if held.by not in ("softmax", "sigmoid") or not isinstance(held.call, ast.Call):
        return None
    function = held.call.func
    name = ast.unparse(function)
    short = name.rpartition(".")[2]
    new = {"softmax": "log_softmax", "Softmax": "LogSoftmax"}.get(short)
    if new is None:
        return None
    edit = Edit(span(_path(held), function), name.removesuffix(short) + new)
    return Fix(f"use `{new}`", (edit,), _inside(use, held.call))


def probs_argument(use: Use, held: Tensor) -> Fix | None:
    """Say that these are probabilities."""
    for one in getattr(use.node, "keywords", []):
        if one.arg == "logits" and use.wanted.name == "logits":
            edit = Edit(span(use.place.path, one), f"probs={ast.unparse(one.value)}")
            return Fix("pass them as `probs`", (edit,), True)
    return drop_activation(use, held)


def logits_argument(use: Use, held: Tensor) -> Fix | None:
    """Say that these are logits."""
    call = use.node
    if not isinstance(call, ast.Call) or use.fact.kind != "distribution":
        return None
    for one in call.keywords:
        if one.arg == "probs":
            return Fix(
                "pass them as `logits`", (Edit(span(use.place.path, one), f"logits={ast.unparse(one.value)}"),), True
            )
    if call.args:
        text = f"logits={ast.unparse(call.args[0])}"
        return Fix("pass them as `logits`", (Edit(span(use.place.path, call.args[0]), text),), len(call.args) == 1)
    return None


def threshold_zero(place: Place) -> Fix | None:
    """No edit: the threshold may be a variable. The message says where the cut is."""
    return None


def log_in_one(held: Tensor) -> Fix | None:
    """No edit yet: the two steps are often two statements."""
    return None
