"""What arithmetic, indexing and reshaping do to a scale.

Here's no fact about any framework: only that moving numbers around keeps their scale, that the logarithm of a
probability is a log-probability, that a constant added to scores leaves scores.
"""

from __future__ import annotations

import ast
import operator as op
import re
from dataclasses import replace
from typing import Any

from logitkit.check.values import LABELS, LOG_PROBS, PROBS, SCORES, Const, Instance, Made, Step, Tensor, Thing, Value

__all__ = [
    "AVERAGES", "CHANGES", "COPIES", "FLIPPED", "KEEPS", "OVERWRITES", "SAME_ATTRIBUTES", "TEMPERATURE", "averaged",
    "bent", "binary", "compare", "copied", "constants", "cut", "exponential", "logarithm", "moved", "negated", "truthy",
]  # fmt: skip

SAME_ATTRIBUTES = frozenset({"T", "mT", "H", "data", "real"})

# Functions and methods that move numbers, copy them or pick some, and keep their scale.
KEEPS = frozenset(
    """view reshape squeeze unsqueeze flatten ravel permute transpose swapaxes moveaxis movedim contiguous detach clone
    cpu cuda to float double half bfloat16 type type_as numpy asarray array as_tensor tensor convert_to_tensor
    convert_to_numpy cast astype expand expand_as expand_dims repeat tile broadcast_to item tolist requires_grad_
    retain_grad narrow select index_select gather take take_along_axis masked_select unfold rearrange
    stop_gradient identity copy atleast_1d atleast_2d reverse flip roll split chunk unbind unstack tensor_split
    mean nanmean reduce_mean block_until_ready to_dense values squeeze_ unsqueeze_ flatten_ detach_ as_subclass
    pin_memory with_sharding_constraint nan_to_num batch_flatten Tensor FloatTensor float32 permute_dimensions
    device_get device_put all_gather pad_packed_sequence to_local full_tensor numpy_function from_numpy""".split()
)
# Those that leave each number where it is.
COPIES = frozenset("detach clone cpu cuda to float double numpy asarray array as_tensor tensor from_numpy".split())
AVERAGES = frozenset({"mean", "nanmean", "reduce_mean"})
# Several at once: the common scale, if there's one.
JOINS = frozenset("cat concat concatenate stack hstack vstack dstack append merge_all vcat".split())
# Functions whose result is on another scale, by the last part of their name.
CHANGES = {
    "log": "log", "log_": "log", "exp": "exp", "exp_": "exp", "argmax": "labels", "argsort": "labels", "sign": "labels",
    "one_hot": "labels", "masked_fill": "scores", "masked_fill_": "scores", "where": "where", "clamp": "clip",
    "clip": "clip", "clamp_": "clip", "clip_by_value": "clip", "div": "Div", "mul": "Mult", "add": "Add", "sub": "Sub",
    "divide": "Div", "multiply": "Mult", "subtract": "Sub", "add_": "Add", "div_": "Div", "true_divide": "Div",
    "max": "max", "min": "max", "amax": "keep", "amin": "keep", "reduce_max": "keep", "maximum": "clip",
    "matmul": "matmul", "dot": "matmul", "mm": "matmul", "bmm": "unknown", "einsum": "unknown", "linear": "matmul",
    "conv2d": "matmul", "bias_add": "Add", "log10": "unknown", "log2": "unknown",
    **dict.fromkeys("relu relu_ leaky_relu elu selu gelu silu swish tanh tanh_".split(), "bend"),
}  # fmt: skip

# Methods that write other numbers into a tensor.
OVERWRITES = frozenset(
    "fill_ zero_ scatter_ index_fill_ masked_scatter_ copy_ normal_ uniform_ random_ bernoulli_".split()
)
TEMPERATURE = re.compile(r"(^|[._])(temp|temps|temperature|tau|[tT])(_\w+)?$|temperature", re.ASCII)
SMALL = 1e-3
FLIPPED = {"Gt": "Lt", "Lt": "Gt", "GtE": "LtE", "LtE": "GtE"}

_OPERATORS = {
    "Add": op.add, "Sub": op.sub, "Mult": op.mul, "Div": op.truediv, "FloorDiv": op.floordiv, "Mod": op.mod,
    "BitOr": op.or_, "BitAnd": op.and_,
}  # fmt: skip
_COMPARISONS = {
    "Eq": op.eq,
    "NotEq": op.ne,
    "Is": op.eq,
    "IsNot": op.ne,
    "Lt": op.lt,
    "LtE": op.le,
    "Gt": op.gt,
    "GtE": op.ge,
}


def copied(tensor: Tensor) -> Tensor:
    """The same numbers at the same places."""
    return replace(tensor, like=tensor)


def moved(tensor: Tensor, **changes: Any) -> Tensor:
    """The same numbers elsewhere."""
    return replace(tensor, like=tensor, direct=False, **changes)


def averaged(tensor: Tensor) -> Tensor:
    """Averages, which are on the same scale: the logarithm of an average isn't the average of the logarithms."""
    return moved(tensor, mixed=True)


def bent(value: Value, step: Step) -> Value:
    """Scores after what stands between two layers: not probabilities yet, but one step may make them so."""
    if not isinstance(value, Tensor) or value.scale != SCORES:
        return Thing("bent")
    return moved(value, bent=True, step=Step(step.place, "what stands between layers leaves them scores", value.step))


def cut(tensor: Tensor, index: Value) -> Tensor:
    """Some of the numbers."""
    return moved(tensor, units=None)


def constants(operator: str, left: Const, right: Const) -> Value:
    """Arithmetic on constants; nothing that could grow."""
    function = _OPERATORS.get(operator)
    try:
        if function and all(isinstance(one.value, int | float) or operator == "Add" for one in (left, right)):
            return Const(function(left.value, right.value))
    except (TypeError, ValueError, ArithmeticError):
        pass
    return Thing("number")


def compare(operator: str, left: Value, right: Value) -> bool | None:
    """What a comparison gives, if it's known."""
    if isinstance(left, Const) and isinstance(right, Const):
        if operator in _COMPARISONS:
            try:
                return bool(_COMPARISONS[operator](left.value, right.value))
            except TypeError:
                return None
        return None
    # What's made by a call isn't None; what's unknown may be.
    if operator in ("Is", "IsNot") and isinstance(right, Const) and right.value is None and not isinstance(left, Thing):
        return operator == "IsNot"
    return None


def truthy(value: Value) -> bool | None:
    """Whether a value counts as true, if it's known."""
    if isinstance(value, Const):
        return bool(value.value)
    return True if isinstance(value, Made | Instance) else None


def negated(value: Value, operator: str) -> Value:
    """`-x`, `~x`."""
    if not isinstance(value, Tensor):
        return Thing("negated", owner=value)
    if operator == "USub" and value.scale == SCORES:
        return moved(value)
    if operator == "Invert" and value.scale == LABELS:
        return value
    return Thing("negated")


def logarithm(value: Value, step: Step) -> Value:
    """log: of probabilities, log-probabilities."""
    if isinstance(value, Tensor) and value.scale == PROBS:
        step = Step(step.place, "the logarithm makes them log-probabilities", value.step)
        return replace(value, scale=LOG_PROBS, step=step, like=None, source=value, direct=False)
    return Thing("logarithm")


def exponential(value: Value, step: Step) -> Value:
    """exp: of log-probabilities, probabilities again."""
    if isinstance(value, Tensor) and value.scale == LOG_PROBS and not value.tempered:
        step = Step(step.place, "exp makes them probabilities", value.step)
        return replace(value, scale=PROBS, step=step, like=None, source=value, direct=False)
    return Thing("exponential")


def binary(operator: str, left: Value, right: Value, name: str, step: Step, node: ast.AST) -> Value:
    """An operator between two values; `name` is how the right one is written."""
    if operator == "MatMult":
        if _scale(left) == PROBS and _scale(right) in (LABELS, PROBS):  # weights that sum to one, of one-hot labels
            assert isinstance(left, Tensor)
            return moved(left, units=None, mixed=True, step=Step(step.place, "averaged", left.step))
        return Tensor(SCORES, replace(step, what="a matrix product gives scores"), source=None)
    if any(isinstance(one, Tensor) and one.bent for one in (left, right)):
        return Thing("number")
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return _two(operator, left, right)
    if isinstance(left, Tensor):
        return _one(operator, left, right, name, step)
    if isinstance(right, Tensor):
        return _reversed(operator, left, right)
    if operator == "Add" and isinstance(left, Thing) and isinstance(right, Const):
        return Thing(left.name)
    return Thing("number")


def _scale(value: Value) -> str:
    return value.scale if isinstance(value, Tensor) else ""


def _two(operator: str, left: Tensor, right: Tensor) -> Value:
    scales = (left.scale, right.scale)
    if operator in ("Add", "Sub") and scales == (SCORES, SCORES):
        return moved(left)
    if operator == "Sub" and scales == (LOG_PROBS, LOG_PROBS):
        return Tensor(SCORES, left.step)  # log p - log(1 - p): log-odds again, or a ratio
    if operator in ("Add", "Sub") and SCORES in scales and LABELS not in scales:
        return Tensor(SCORES, (left if left.scale == SCORES else right).step) if PROBS not in scales else Thing("sum")
    return Thing("number")


def _one(operator: str, left: Tensor, right: Value, name: str, step: Step) -> Value:
    """A tensor, and a number or something unknown."""
    number = right.value if isinstance(right, Const) and isinstance(right.value, int | float) else None
    if left.scale == PROBS:
        if (operator == "Add" and number is not None and abs(number) <= SMALL) or (
            operator == "Add" and "eps" in name.lower()
        ):
            return moved(left, mixed=True)
        if operator == "Div" and TEMPERATURE.search(name):
            return moved(left, tempered=True, step=Step(step.place, f"divided by `{name}`", left.step))
        if operator in ("Mult", "Div") and number == 1:
            return moved(left)
        if operator == "Div" and number is None and re.search(r"sum|norm|total", name):
            return moved(left)
        return Thing("number")
    if left.scale == LOG_PROBS:
        # Divided by a temperature they're scores: a softmax is right.
        return Tensor(SCORES, left.step) if operator in ("Div", "Mult") else Thing("number")
    if left.scale == SCORES and operator in ("Add", "Sub", "Div", "Mult"):
        if operator in ("Add", "Sub") and number is not None and not left.by:
            return Thing("number")  # a product of matrices that's shifted may be a similarity, brought into [0, 1]
        if operator in ("Mult",) and number is None and not TEMPERATURE.search(name) and "scale" not in name:
            return Thing("product")
        return moved(left)
    return Thing("number")


def _reversed(operator: str, left: Value, right: Tensor) -> Value:
    number = left.value if isinstance(left, Const) else None
    if operator == "Sub" and number in (1, 1.0) and right.scale == PROBS:
        return moved(right, units=None)
    if operator == "Add":
        return _one(operator, right, left, "", right.step)
    if operator == "Mult" and right.scale == SCORES and number is not None:
        return moved(right)
    return Thing("number")
