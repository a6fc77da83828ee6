"""What a record claims, as calls to be made and what must come of them.

A record says on which scale its argument is. So one distribution `p` over the classes is put on that scale and given to
the real function, and what returns is compared with a formula in `p` that knows nothing of scales: with the agreed `p`,
with fresh ones, and on the scale that the record says is passed by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, logsumexp, softmax

from logitkit.conventions import OUTPUT, Check, Record

# What a function of this role returns, given the class probabilities p (two for a binary one) and the true class y. A
# divergence from a one-hot target is its cross-entropy; so is the loss of a sequence that is one blank.
FORMULAS = {
    "multiclass loss": "-log(p[y])",
    "binary loss": "-log(p[y])",
    "divergence": "-log(p[y])",
    "sequence loss": "-log(p[y])",
    "categorical distribution": "log(p[y])",
    "binary distribution": "log(p[y])",
    "link": "log(p[1] / p[0])",
    "inverse link": "p[1]",
    "normalizer": "p",
    "sampler": "p",
    "log normalizer": "log(p)",
}
# What returns is on no scale that a probability can be read from: margins, coefficients, labels, values.
UNREADABLE = ("score", "prediction")
AGREED = softmax([2.0, 0.0, -1.0])
AGREED_BINARY = np.array([expit(-2.0), expit(2.0)])
FRESH = 3


# The scales to which a distribution belongs, so that a record of one can be told from a record of another.
DISTRIBUTIONS = ("logits", "log-odds", "probabilities", "log-probabilities")


class MisfitError(ValueError):
    """The record's role and scale do not go together."""


@dataclass(frozen=True)
class Job:
    """A call to be made, and its inputs: lists, or arrays of one precision."""

    call: str
    x: tuple[float, ...]
    y: int
    onehot: tuple[float, ...]
    dtype: str | None = None


def on_scale(p: np.ndarray, scale: str, shift: float | None = None) -> list[float]:
    """The scores of this distribution; two classes are one number, that of the second.

    Unnormalized scores are shifted so that the second is 0, as in [2, 0, -1], or by `shift`.
    """
    if len(p) == 2 and scale == "logits":
        raise MisfitError("one number for two classes is their log-odds: it cannot be shifted")
    if scale in ("margin", "none"):
        raise MisfitError(f"no distribution belongs to the scale {scale}: the record must give its x")
    scores = {
        "probabilities": lambda: p,
        "log-probabilities": lambda: np.log(p),
        "log-odds": lambda: logit(p),
        "logits": lambda: np.log(p) + (-np.log(p[1]) if shift is None else shift),
    }[scale]()
    return [float(score) for score in (scores[1:] if len(p) == 2 else scores)]


def distribution(record: Record, check: Check) -> np.ndarray:
    if check.p is not None:
        return np.array(check.p)
    return AGREED_BINARY if record.is_binary else AGREED


def job(check: Check, call: str, p: np.ndarray, y: int, scale: str, shift: float | None = None) -> Job:
    x = on_scale(p, scale, shift) if check.x is None else [float(each) for each in check.x]
    onehot = [float(y)] if len(p) == 2 else [float(each == y) for each in range(len(x))]
    return Job(call, tuple(x), y, tuple(onehot))


def target(record: Record, check: Check) -> int:
    return check.y if check.y is not None else int(len(distribution(record, check)) == 2)


def input_scale(record: Record) -> str:
    """The scale of x; a record of an output says what returns, and the model is given its scores."""
    if record.case.role in OUTPUT:
        return "log-odds" if record.is_binary or record.scale == "log-odds" else "logits"
    return record.scale


def fresh(record: Record) -> list[tuple[np.ndarray, int, float]]:
    """Distributions, targets and shifts that no record has seen; none where the input is fixed or no formula known."""
    if (
        record.case.check.x is not None
        or record.case.check.probabilities
        or not (formula(record) or record.case.role in OUTPUT)
    ):
        return []
    rng = np.random.default_rng(7)
    classes = len(distribution(record, record.case.check))
    counts = [2] * FRESH if classes == 2 else range(3, 3 + FRESH)
    # Every probability is at least 0.03, so that float32 and the frameworks' clipping at 1e-7 do not show.
    return [(0.03 + (1 - 0.03 * n) * rng.dirichlet(np.ones(n)), int(rng.integers(n)), rng.normal(0, 3)) for n in counts]


def formula(record: Record) -> str | None:
    return record.case.formula or FORMULAS.get(record.case.role)


def reads_the_scale(record: Record) -> bool:
    """Whether the verdict rests on the scale: of an output that is read, or of inputs that are made for it."""
    case = record.case
    if case.role in UNREADABLE:
        return False
    return case.role in OUTPUT or (case.check.x is None and formula(record) is not None)


def jobs(record: Record) -> dict[str, Job]:
    """All calls of a record, by name."""
    if record.is_binary and record.scale == "logits":
        raise MisfitError("the score of two classes is a log-odds: a softmax's logits are as many as its classes")
    check, scale = record.case.check, input_scale(record)
    p, y = distribution(record, check), target(record, check)
    todo = {"check": job(check, check.call, p, y, scale)}
    if check.probabilities:
        todo["probabilities"] = job(check, check.probabilities, p, y, scale)
    if record.case.wrong:
        wrong = record.case.wrong if record.case.wrong.p or record.case.wrong.x else check
        todo["wrong"] = job(wrong, check.call, distribution(record, wrong), y, record.case.wrong.passes)
    for number, each in enumerate(record.case.also):
        todo[f"also {number}"] = job(each, each.call, distribution(record, each), target(record, each), scale)
    for number, (p, y, shift) in enumerate(fresh(record)):
        todo[f"fresh {number}"] = job(check, check.call, p, y, scale, shift)
        if record.scale == "log-probabilities" and record.case.role in FORMULAS and len(p) > 2:
            todo[f"shifted {number}"] = job(check, check.call, p, y, "logits", shift)
    return todo


IMPORTABLE = ("function", "class", "method", "attribute")


def signature(record: Record) -> Job | None:
    """The call that compares the record's paths and parameters with those of the framework, if it can be imported."""
    each = record.callable
    # Stan's functions and a command line are reached from Python, but they are no paths of it.
    if record.language != "Python" or each.form not in IMPORTABLE or "." not in each.paths[0]:
        return None
    return Job(f"as_recorded({each.form!r}, {each.paths!r}, {each.construct!r}, {each.call!r})", (0.0,), 0, (0.0,))


def verdict(record: Record, outcomes: dict[str, dict], backend: str | None = None) -> list[str]:
    """What is wrong with a record, given what its calls returned; nothing, if it is true."""
    try:
        jobs(record)
    except MisfitError as error:
        return [f"holds: {error}"]
    faults = [
        f"check: {fault}"
        for fault in _compare(record.case.check, outcomes["check"], backend, record.case.check.tolerance)
    ]
    if record.case.wrong:
        faults += [
            f"wrong: {fault}" for fault in _compare(record.case.wrong, outcomes["wrong"], backend, _slack(record))
        ]
        if record.case.wrong.passes == record.scale:
            faults.append(f"wrong: it passes {record.scale}, which is what the argument holds")
        elif _equal(outcomes["wrong"], outcomes["check"], _slack(record)):
            faults.append(f"wrong: {record.case.wrong.passes} give the right number, so they are not wrong here")
    for number, each in enumerate(record.case.also):
        found = outcomes[f"also {number}"]
        faults += [f"also ({each.says}): {fault}" for fault in _compare(each, found, backend, each.tolerance)]
    if record.case.role in UNREADABLE:
        return faults
    return faults + (
        _output_faults(record, outcomes) if record.case.role in OUTPUT else _formula_faults(record, outcomes)
    )


def _formula_faults(record: Record, outcomes: dict[str, dict]) -> list[str]:
    if not formula(record) or record.case.check.x is not None:
        return []
    check = record.case.check
    cases = {"check": (distribution(record, check), target(record, check))}
    cases |= {f"fresh {number}": (p, y) for number, (p, y, _) in enumerate(fresh(record))}
    faults = []
    for name, (p, y) in cases.items():
        wanted = expected(record, p, y)
        if not _equal(outcomes[name], {"value": wanted}, _slack(record)):
            faults.append(
                f"{name}: given {record.scale} of p = {_show(p)}, y = {y}, it was {_show_outcome(outcomes[name])}, "
                f"but {formula(record)} = {_show(wanted)}"
            )
        shifted = outcomes.get(name.replace("fresh", "shifted")) if name != "check" else None
        if shifted and _equal(shifted, {"value": wanted}, _slack(record)):
            faults.append(f"{name}: it takes log p plus any constant, so it holds logits")
    return faults


def expected(record: Record, p: np.ndarray, y: int) -> np.ndarray:
    """The formula's value: it sees probabilities only."""
    names = {"p": p, "y": y, "K": len(p), "log": np.log, "exp": np.exp, "sum": np.sum, "max": np.max}
    return np.atleast_1d(eval(formula(record), {"__builtins__": {}}, names))


def _output_faults(record: Record, outcomes: dict[str, dict]) -> list[str]:
    cases = {"check": distribution(record, record.case.check)}
    cases |= {f"fresh {number}": p for number, (p, _, _) in enumerate(fresh(record))}
    faults = []
    for name, p in cases.items():
        if "value" not in outcomes[name]:
            faults.append(f"{name}: {_show_outcome(outcomes[name])}")
            continue
        output = np.array(outcomes[name]["value"])
        if "probabilities" in outcomes:
            if "value" not in outcomes["probabilities"]:
                return [f"probabilities: {_show_outcome(outcomes['probabilities'])}"]
            p = np.array(outcomes["probabilities"]["value"])
        faults += [f"{name}: {fault}" for fault in _misread(output, p, record.scale, _slack(record))]
    return faults


def _misread(output: np.ndarray, p: np.ndarray, holds: str, slack: float) -> list[str]:
    """Why this output cannot be `holds` of the probabilities p."""
    if len(output) == 1:
        p = p[-1:]
    read = {
        "probabilities": lambda: output,
        "log-probabilities": lambda: np.exp(output),
        "log-odds": lambda: expit(output) if len(output) == 1 else expit(output) / expit(output).sum(),
        "logits": lambda: softmax(output) if len(output) > 1 else p,
    }[holds]()
    if len(read) != len(p) or not np.allclose(read, p, rtol=slack, atol=slack):
        return [f"read as {holds}, {_show(output)} are the probabilities {_show(read)}, but the model's are {_show(p)}"]
    if holds == "logits" and len(output) > 1 and abs(logsumexp(output)) < 1e-3:
        return [f"{_show(output)} are normalized: they are log-probabilities"]
    if holds == "logits" and len(output) == 1:  # one logit alone may be any number but those of another scale
        others = {"the probability": p, "the log-probability of": np.log(p), "the log-odds of": logit(p)}
        return [
            f"{_show(output)} is {name} {_show(p)}" for name, each in others.items() if np.allclose(output, each, 1e-3)
        ]
    return []


def _slack(record: Record) -> float:
    return record.case.check.tolerance


def _compare(check: Check, outcome: dict, backend: str | None, slack: float) -> list[str]:
    claim = check.raises if check.gives is None else check.gives
    if isinstance(claim, Mapping):
        if backend not in claim:
            return [f"the record says nothing of the backend {backend}"]
        claim = claim[backend]
    wanted = {"raises": claim} if isinstance(claim, str) else {"value": np.atleast_1d(claim)}
    if _equal(outcome, wanted, slack):
        return []
    return [f"the record says {_show_outcome(wanted)}, it was {_show_outcome(outcome)}"]


def _equal(one: dict, other: dict, slack: float) -> bool:
    if "raises" in one or "raises" in other:
        return one.get("raises") == other.get("raises")
    a, b = np.array(one["value"], float), np.array(other["value"], float)
    # Numbers are written with six decimals, and 1.19e-07 with as many digits as it has.
    tiny = max(np.abs(b).max(initial=0), np.abs(a).max(initial=0)) < 1e-5
    return a.shape == b.shape and np.allclose(
        a, b, rtol=0.02 if tiny else slack, atol=0 if tiny else slack, equal_nan=True
    )


def _show(numbers: np.ndarray) -> str:
    return "[" + ", ".join(f"{number:.6g}" for number in np.atleast_1d(numbers)) + "]"


def _show_outcome(outcome: dict) -> str:
    if "raises" in outcome:
        return f"{outcome['raises']} ({outcome['message']})" if "message" in outcome else outcome["raises"]
    return _show(outcome["value"])
