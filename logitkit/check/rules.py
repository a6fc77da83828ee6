"""The rules: which scale, held where another is wanted, is which mistake.

Each rule is a line of the table `RULES`: what's held, what's wanted, by which kind of function, and what to say. The
first that fits speaks.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from logitkit.check import fixes
from logitkit.check.facts import Fact, Input
from logitkit.check.findings import Finding, Fix
from logitkit.check.structures import is_keras
from logitkit.check.values import LOG_PROBS, PROBS, SCORES, Const, Made, Place, Step, Tensor, Thing, Value, root

__all__ = ["COMPARISONS", "RULES", "Finding", "Rule", "Use", "judge", "judge_threshold"]

# Functions and methods that compare.
COMPARISONS = {
    "gt": "Gt",
    "greater": "Gt",
    "ge": "GtE",
    "greater_equal": "GtE",
    "lt": "Lt",
    "less": "Lt",
    "le": "LtE",
    "less_equal": "LtE",
}


@dataclass(frozen=True)
class Use:
    """One argument of one call, and what it must hold."""

    fact: Fact
    wanted: Input
    node: ast.AST
    place: Place
    around: tuple[ast.AST, ...]
    given: Mapping[str, Value]


def floor(held: Tensor) -> str:
    """The least that the cross entropy of probabilities taken for logits can be."""
    classes = held.units if held.units and held.units > 1 else 10
    return f"{math.log(1 + (classes - 1) / math.e):.4f} for {classes} classes"


def certainty(held: Tensor) -> str:
    """The most that a softmax of probabilities can give to one class."""
    classes = held.units if held.units and held.units > 1 else 10
    return f"{math.e / (math.e + classes - 1):.4f} with {classes} classes"


@dataclass(frozen=True)
class Rule:
    """A mistake: what's held, what's wanted, by what kind of function; what to say, and the number that tells."""

    code: str
    held: tuple[str, ...]
    wanted: tuple[str, ...]
    kinds: tuple[str, ...]
    message: str
    tell: Callable[[Tensor], str] = lambda held: ""
    only: Callable[[Use, Tensor], bool] = lambda use, held: True
    fix: Callable[[Use, Tensor], Fix | None] = lambda use, held: None
    level: str = "error"


def _from_logits(use: Use, held: Tensor) -> bool:
    return use.fact.flags.get("from_logits") is True and is_keras(use.fact.path)


def _one_unit(use: Use, held: Tensor) -> bool:
    """A softmax over a single number; over time, in attention, it's a softmax over many."""
    return use.fact.activation == "softmax" and held.units == 1 and held.direct and _along_last_axis(use)


def _one_class(use: Use, held: Tensor) -> bool:
    """A cross entropy over the classes, of which there's one."""
    return use.wanted.event == "categorical" and held.units == 1 and held.direct and not use.wanted.is_target


def _along_last_axis(use: Use) -> bool:
    axis = use.given.get("dim", use.given.get("axis"))
    if axis is None:  # PyTorch alone guesses an axis
        return not use.fact.path.startswith("torch.")
    return isinstance(axis, Const) and axis.value == -1


def _gathers(use: Use, held: Tensor) -> bool:
    """Whether `nll_loss` only picks the probability of the target: negated, added to one, or not reduced."""
    if use.fact.flags.get("reduction") == "none" or _keyword(use.node, "reduction") == "none":
        return True
    outer = [node for node in use.around if node is not use.node][-1:]
    if outer and isinstance(outer[0], ast.UnaryOp) and isinstance(outer[0].op, ast.USub):
        return True
    return (
        bool(outer)
        and isinstance(outer[0], ast.BinOp)
        and "1" in (ast.unparse(outer[0].left), ast.unparse(outer[0].right))
    )


def _keyword(node: ast.AST, name: str) -> object:
    for one in getattr(node, "keywords", []):
        if one.arg == name and isinstance(one.value, ast.Constant):
            return one.value.value
    return None


def _sigmoid_head(use: Use, held: Tensor) -> bool:
    return held.by == "sigmoid" and use.wanted.event == "categorical" and is_keras(use.fact.path)


def _lone_sigmoid(use: Use, held: Tensor) -> bool:
    return _sigmoid_head(use, held) and held.units == 1


def _is_prediction(use: Use, held: Tensor) -> bool:
    return not use.wanted.is_target


def _is_entropy(use: Use, held: Tensor) -> bool:
    """A loss, or a metric that's told whether it's given logits; other metrics cut, which is another mistake."""
    return _is_prediction(use, held) and (use.fact.kind == "loss" or "from_logits" in use.fact.flags)


def _of_similarities(held: Tensor) -> bool:
    """An activation of a product of two matrices, as for weights; what a layer gives has the layer's name."""
    return isinstance(held.source, Tensor) and held.source.scale == SCORES and not held.source.by


def _binary(use: Use, held: Tensor) -> bool:
    return use.wanted.event in ("binary", "multilabel")


RULES = (
    Rule("LK110", (PROBS,), ("logits", "log-odds", "probabilities"), ("activation", "sampler", "distribution"),
         "a temperature divides logits, but here it divides probabilities, and what follows normalizes them again",
         lambda held: "a sampler that normalizes gives the same draws at every temperature",
         lambda use, held: held.tempered),
    Rule("LK106", (SCORES,), ("logits",), ("activation",),
         "a softmax over one unit is 1, whatever comes in",
         lambda held: "the output is exactly 1 for every input; cross entropy is 0 and the accuracy never moves",
         _one_unit, fixes.sigmoid_for_softmax),
    Rule("LK106", (SCORES,), ("logits",), ("loss",),
         "`{name}` applies a softmax over the classes, but there's only one unit, whose probability is always 1",
         lambda held: "the loss is exactly 0 from the first step on, or a label is out of bounds",
         _one_class),
    Rule("LK112", (PROBS,), ("logits", "log-odds"), ("activation",),
         "`{name}` takes {wanted}, but it's given probabilities",
         lambda held: f"a softmax of probabilities gives no class more than {certainty(held)}, and a sigmoid stays between 0.5 and 0.7311",
         lambda use, held: held.direct and bool(held.by) and not held.mixed and not _of_similarities(held), fixes.drop_this),
    Rule("LK105", (PROBS,), ("logits", "log-odds"), ("loss", "metric"),
         "`from_logits=True` promises logits, but the loss is given the probabilities of a {by}. On TensorFlow, Keras looks "
         "for the {by}, goes back to its logits and warns. On JAX, PyTorch and NumPy the {by} is applied twice",
         lambda held: f"applied twice, the loss is never below {floor(held)}" if held.by == "softmax" else "applied twice, the loss of a negative is never below 0.6931",
         _from_logits, fixes.from_logits_false),
    Rule("LK101", (PROBS,), ("logits",), ("loss",),
         "`{name}` applies a softmax itself, but it's given the probabilities of a {by}",
         lambda held: f"the loss is never below log(1 + (C - 1) / e): {floor(held)}",
         _is_prediction, fixes.drop_activation),
    Rule("LK102", (PROBS,), ("log-odds",), ("loss",),
         "`{name}` applies a sigmoid itself, but it's given the probabilities of a {by}",
         lambda held: "the loss of a negative is never below log 2 = 0.6931, and that of a positive never below 0.3133",
         _is_prediction, fixes.drop_activation),
    Rule("LK113", (PROBS,), ("probabilities",), ("loss",),
         "`{name}` takes one distribution over the classes, but it's given the sigmoid of one unit, which Keras divides by itself",
         lambda held: "the loss is 0 from the first step on, and nothing is learned; use a binary cross entropy for one unit",
         _lone_sigmoid),
    Rule("LK113", (PROBS,), ("probabilities",), ("loss",),
         "`{name}` takes one distribution over the classes, but a sigmoid gives each class its own probability, and Keras divides by their sum",
         lambda held: "the outputs don't sum to one, so none of them is the probability of its class",
         _sigmoid_head, fixes.softmax_for_sigmoid, "note"),
    Rule("LK103", (SCORES, LOG_PROBS), ("probabilities",), ("loss", "metric"),
         "`{name}` takes probabilities, but it's given {held}",
         lambda held: "Keras clips at 1e-7, so the loss jumps to 16.118 or to 0; PyTorch stops, or clamps at 100",
         _is_entropy, fixes.loss_of_logits),
    Rule("LK104", (PROBS, SCORES), ("log-probabilities",), ("loss",),
         "`{name}` takes log-probabilities, but it's given {held}",
         lambda held: "the loss is negative: between -1 and 0 for probabilities, with no lower bound for scores",
         lambda use, held: not _gathers(use, held), fixes.log_probs),
    Rule("LK104", (LOG_PROBS,), ("probabilities",), ("loss",),
         "`{name}` takes probabilities as its target, but it's given log-probabilities (say `log_target=True`)",
         lambda held: "the loss is 0 or NaN: negative targets count as nothing",
         lambda use, held: use.wanted.is_target),
    Rule("LK108", (PROBS,), ("logits", "log-odds"), ("distribution", "sampler"),
         "`{name}` takes {wanted} as `{argument}`, but it's given the probabilities of a {by}",
         lambda held: f"no class is drawn with a probability above {certainty(held)}" if held.by == "softmax" else "every probability lies between 0.5 and 0.7311",
         fix=fixes.probs_argument),
    Rule("LK108", (SCORES, LOG_PROBS), ("probabilities",), ("distribution", "sampler"),
         "`{name}` takes probabilities as `{argument}`, but it's given {held}",
         lambda held: "negative weights raise an error, and positive ones give the wrong odds",
         lambda use, held: not held.bent, fixes.logits_argument),
    Rule("LK107", (SCORES,), ("probabilities",), ("metric",),
         "`{name}` cuts at a probability of 0.5, but it's given raw scores, where the same cut is 0",
         lambda held: "0.5 on log-odds is a probability of 0.6225",
         _binary),
    Rule("LK111", (LOG_PROBS,), ("logits",), ("loss",),
         "`{name}` applies a log-softmax itself, so the one before it does nothing and can go",
         lambda held: "the loss is the same to the last digits", _is_prediction, fixes.drop_activation, "note"),
)  # fmt: skip

_WORDS = {SCORES: "raw scores", PROBS: "probabilities", LOG_PROBS: "log-probabilities"}
_WANTED = {"logits": "logits", "log-odds": "log-odds (logits of a sigmoid)"}


def judge(use: Use, held: Tensor) -> Finding | None:
    """The mistake in one argument, if there's one."""
    for rule in RULES:
        if (
            held.scale in rule.held
            and use.wanted.scale in rule.wanted
            and use.fact.kind in rule.kinds
            and rule.only(use, held)
        ):
            message = rule.message.format(
                name=use.fact.name,
                by=held.by or "softmax",
                held=_WORDS[held.scale],
                argument=use.wanted.name,
                wanted=_WANTED.get(use.wanted.scale, use.wanted.scale),
            )
            last_step = Step(use.place, f"`{use.fact.name}` is given {_WORDS[held.scale]}", held.step)
            return Finding(
                rule.code, use.place, message, rule.tell(held), tuple(last_step), rule.fix(use, held), rule.level
            )
    return style(use, held)


def style(use: Use, held: Tensor) -> Finding | None:
    """LK109: the log-probabilities are right, in two steps where one keeps the digits."""
    before = held.source
    if held.scale != LOG_PROBS or use.wanted.scale != "log-probabilities" or not isinstance(before, Tensor):
        return None
    if before.scale != PROBS or not before.by or before.mixed or held.call is not before.call:
        return None
    message = f"the logarithm of a {before.by} in two steps: `log_{before.by}` in one step keeps small probabilities"
    return Finding(
        "LK109",
        held.step.place,
        message,
        "in float32 the two steps give -inf where the one step gives about -104 or less",
        tuple(held.step),
        fixes.log_in_one(held),
        "note",
    )


def _argmax(value: Value, function: str, axis: int, place: Place, wanted: tuple[str, Place] | None) -> Finding | None:
    """LK106 for the class that's picked: of one column it's always the first.

    The second axis of a linear layer's output may be time, unless a loss takes the numbers for one column of log-odds.
    """
    if not isinstance(value, Tensor) or not value.direct:
        return None
    layer = root(value)
    of_channels = isinstance(layer, Made) and "Conv" in layer.path
    is_column = value.by == "sigmoid" or (wanted is not None and function == "argmax")
    if axis != -1 and not of_channels and not is_column:
        return None
    step = Step(place, f"`{function}` picks one of a single column", value.step)
    message = f"`{function}` over one unit picks class 0 every time; compare with a threshold"
    tell = "every prediction is class 0, and the accuracy is the share of class 0, whatever the loss says"
    return Finding("LK106", place, message, tell, tuple(step))


def judge_threshold(
    value: Value, operator: str, number: float, place: Place, wanted: tuple[str, Place] | None
) -> Finding | None:
    """LK107 for a comparison: 0.5 on what a loss takes for log-odds, or 0 on probabilities."""
    if (
        isinstance(value, Tensor)
        and value.scale == PROBS
        and value.by == "sigmoid"
        and number == 0
        and operator in ("Gt", "LtE")
    ):
        step = Step(place, "compared with 0", value.step)
        tell = "a sigmoid is above 0 for every input, so everything counts as positive"
        return Finding(
            "LK107", place, "0 is a threshold for log-odds, but these are probabilities", tell, tuple(step), None
        )
    if operator in ("argmax", "max"):
        return _argmax(value, operator, int(number), place, wanted)
    logits = isinstance(value, Thing) or (isinstance(value, Tensor) and value.scale == SCORES)
    if number != 0.5 or wanted is None or not logits:
        return None
    name, where = wanted
    first = value.step if isinstance(value, Tensor) else None
    step = Step(place, "compared with 0.5", Step(where, f"`{name}` takes them for log-odds", first))
    message = f"0.5 is a threshold for probabilities, but `{name}` takes these for log-odds, where the same cut is 0"
    return Finding(
        "LK107", place, message, "0.5 on log-odds is a probability of 0.6225", tuple(step), fixes.threshold_zero(place)
    )
