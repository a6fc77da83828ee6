"""The numbers of records that cannot be run are what their formulas give, for the right input and for the wrong one."""

from __future__ import annotations

import math

import pytest
from mpmath import exp, inf, log, mp, mpf, nan

from logitkit import conventions
from logitkit.conventions import Record

Scores = list[mpf]

# Their functions do more to a wrong input than their scale says: scores above 1 are clipped there.
CLIPPED = {"MulticlassClassificationMetrics.LogLoss"}
FORMULAS = {
    "multiclass loss": "-log(p[y])",
    "binary loss": "-y * log(p[1]) - (1 - y) * log(p[0])",
    "divergence": "-log(p[y])",
    "categorical distribution": "log(p[y])",
    "binary distribution": "y * log(p[1]) + (1 - y) * log(p[0])",
    "link": "log(p[1] / p[0])",
    "inverse link": "p[1]",
    "normalizer": "p",
    "sampler": "p",
    "log normalizer": "[log(each) for each in p]",
}
BINARY = {"binary loss", "binary distribution", "link", "inverse link"}
UNRUN = [
    record
    for record in conventions.table()
    if record.not_run and record.case.role in FORMULAS and record.case.check.x is None
]


def sigmoid(x: mpf) -> mpf:
    return 1 / (1 + exp(-x))


def softmax(x: Scores) -> Scores:
    weights = [exp(each) for each in x]
    return [weight / sum(weights) for weight in weights]


def put(p: Scores, scale: str) -> Scores:
    """A distribution on a scale: two classes are one number, that of the second."""
    scores = {
        "probabilities": lambda q: q,
        "log-probabilities": log,
        "log-odds": lambda q: log(q / (1 - q)),
        "logits": lambda q: log(q / p[1]),
    }
    return [scores[scale](each) for each in (p[1:] if len(p) == 2 else p)]


def read(x: Scores, scale: str) -> Scores:
    """What a function that expects this scale takes the numbers for: no probabilities, if they are on another."""
    if scale == "logits":
        return softmax(x)
    back = {"probabilities": lambda each: each, "log-probabilities": exp, "log-odds": sigmoid}[scale]
    return [1 - back(x[0]), back(x[0])] if len(x) == 1 else [back(each) for each in x]


def real_log(x: mpf) -> mpf:
    return nan if x < 0 else -inf if x == 0 else log(x)


def value(record: Record, passed: str, p: list[float] | None) -> list[float]:
    """What the record's function makes of the distribution p, or the agreed one, when it is passed on a scale."""
    agreed = [sigmoid(mpf(-2)), sigmoid(mpf(2))] if record.case.role in BINARY else softmax([mpf(2), mpf(0), mpf(-1)])
    taken = read(put([mpf(str(each)) for each in p] if p else agreed, passed), record.scale)
    names = {"p": taken, "y": int(len(taken) == 2), "K": len(taken), "log": real_log, "exp": exp}
    found = eval(record.case.formula or FORMULAS[record.case.role], {"__builtins__": {}} | names)
    return [float(each) for each in found] if isinstance(found, list) else [float(found)]


def numbers(gives: object) -> list[float]:
    return list(gives) if isinstance(gives, tuple) else [gives]


@pytest.mark.parametrize("record", UNRUN, ids=lambda record: f"{record.framework}: {record.symbol}")
def test_number_of_a_record_that_is_not_run_follows_from_its_formula(record: Record) -> None:
    with mp.workdps(30):
        right = value(record, record.scale, record.case.check.p)
        assert right == pytest.approx(numbers(record.case.check.gives), rel=1e-5, abs=1e-6)
        if record.case.wrong and record.case.wrong.gives is not None and record.symbol not in CLIPPED:
            wrong = value(record, record.case.wrong.passes, record.case.wrong.p or record.case.check.p)
            assert wrong == pytest.approx(numbers(record.case.wrong.gives), rel=1e-5, abs=1e-6, nan_ok=True)
            assert not math.isclose(wrong[0], right[0], rel_tol=1e-4)
