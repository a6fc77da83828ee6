"""What a function does with scores that are far apart: executed, because a docstring can't tell.

Scores 20, 200 and 800 apart are passed in float32 and in float64. A fused function holds at all of them. One that makes
a probability on the way has a logarithm of 0 somewhere, which is infinite or, if it was clipped, far too small.
"""

from __future__ import annotations

from collections.abc import Mapping

import mpmath
import numpy as np
from mpmath import mp

from logitkit import conventions
from logitkit.conventions import Record

from .contract import Job, formula

MARGINS = (20.0, 200.0, 800.0)
DTYPES = ("float32", "float64")
# Roles whose value follows from the probabilities alone.
JUDGED = {
    *("multiclass loss", "binary loss", "divergence", "categorical distribution", "binary distribution"),
    *("link", "inverse link", "log inverse link", "normalizer", "log normalizer"),
}
ALL_CLASSES = ("logits", "probabilities", "log-probabilities")
# Whether it agrees is decided to four digits: what's looked for is a bound or a NaN, not rounding.
SLACK = 1e-4


def jobs(record: Record) -> dict[str, Job]:
    """The calls: the true class far behind and far ahead, at every margin, in both precisions."""
    check = record.case.check
    if record.case.role not in JUDGED or check is None or check.x is not None or not formula(record):
        return {}
    if record.scale not in (("log-odds", "probabilities", "log-probabilities") if record.is_binary else ALL_CLASSES):
        return {}
    todo = {}
    for dtype in DTYPES:
        for margin in MARGINS:
            for ahead in (False, True):
                x, y = _scores(record, margin, ahead, dtype)
                onehot = [float(y)] if len(x) == 1 else [float(each == y) for each in range(len(x))]
                call = check.call.replace("np.float32", f"np.{dtype}")
                todo[f"{dtype} {margin:g} {ahead}"] = Job(call, tuple(map(float, x)), y, tuple(onehot), dtype)
    return todo


def observed(record: Record, outcomes: Mapping[str, dict]) -> str | None:
    """The word for what came out, as in a record's `stability`; None if nothing can be said."""
    agreed, finite = [], []
    for name, job in jobs(record).items():
        wanted = _expected(record, job)
        outcome = outcomes[name]
        if "value" not in outcome or wanted is None:
            continue
        found = np.array(outcome["value"], float)
        if found.shape != wanted.shape:
            continue
        agreed.append(np.allclose(found, wanted, rtol=SLACK, atol=1e-6))
        finite.append(bool((np.isfinite(found) | ~np.isfinite(wanted)).all()))
    if not agreed:
        return None
    if not all(finite):
        return "overflows"
    if not all(agreed):
        return "clips"
    if record.scale in ("probabilities", "log-probabilities"):
        return "exact"
    made = conventions.resolve(record.callable.paths[0], **dict(record.case.when))
    makes_probabilities = made is not None and made.returns == "probabilities"
    return "fused" if "log(" in (formula(record) or "") and not makes_probabilities else "saturates"


def _scores(record: Record, margin: float, ahead: bool, dtype: str) -> tuple[np.ndarray, int]:
    sign = 1 if ahead else -1
    if record.is_binary:
        log_odds, y = mp.mpf(sign * margin), 1
        p = [1 / (1 + mp.exp(log_odds)), 1 / (1 + mp.exp(-log_odds))]
        scores = {"log-odds": [log_odds], "probabilities": p[1:], "log-probabilities": [mp.log(p[1])]}
    else:
        logits, y = [mp.mpf(sign * margin), mp.mpf(0), mp.mpf(-1)], 0
        total = mpmath.fsum(map(mp.exp, logits))
        p = [mp.exp(each) / total for each in logits]
        scores = {"logits": logits, "probabilities": p, "log-probabilities": [mp.log(each) for each in p]}
    return np.array([float(each) for each in scores[record.scale]]).astype(dtype), y


def _expected(record: Record, job: Job) -> np.ndarray | None:
    """The formula in many digits, of the scores as the precision rounds them."""
    x = [mp.mpf(float(each)) for each in np.array(job.x).astype(job.dtype)]
    with mp.workdps(800):
        if record.scale == "log-odds":
            p = [1 / (1 + mp.exp(x[0])), 1 / (1 + mp.exp(-x[0]))]
        elif record.scale == "logits":
            weights = [mp.exp(each) for each in x]
            p = [each / mpmath.fsum(weights) for each in weights]
        else:
            p = [mp.exp(each) for each in x] if record.scale == "log-probabilities" else x
            p = [1 - p[0], p[0]] if len(p) == 1 else p
        names = {
            "p": np.array(p, object),
            "y": job.y,
            "K": len(p),
            "log": _log,
            "exp": _exp,
            "sum": np.sum,
            "max": np.max,
        }
        try:
            value = np.atleast_1d(eval(formula(record) or "", {"__builtins__": {}}, names)).astype(float)
        except (ZeroDivisionError, ValueError):  # 0 / 0: the formula says nothing there
            return None
    return None if np.isnan(value).any() else value


_log = np.frompyfunc(lambda value: mp.log(value) if value > 0 else mp.ninf, 1, 1)
_exp = np.frompyfunc(mp.exp, 1, 1)
