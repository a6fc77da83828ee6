"""Which scale an array looks like: what its rows sum to, where its values lie, and how likely that is by accident."""

from __future__ import annotations

import math
from typing import Any

from logitkit.diagnose._findings import Diagnosis, Finding
from logitkit.diagnose._tells import PAGES

ROWS = 4096  # so many rows are looked at, spread over the array


def diagnose_array(array: Any) -> Diagnosis:
    """Say which scale an array looks like; see `logitkit.diagnose.diagnose`."""
    import numpy as np

    values = _as_numpy(array)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"array must hold real numbers, not {values.dtype}")
    if values.size == 0:
        raise ValueError("array must not be empty")
    subject = f"an array of shape {values.shape}, {values.dtype}"
    good = values[~np.isnan(values)] if values.dtype.kind == "f" else values.ravel()
    notes = [] if good.size == values.size else [f"{values.size - good.size} values are NaN; the rest is looked at."]
    if good.size == 0:
        return Diagnosis(subject, (), tuple(notes))
    if (good == np.round(good)).all():
        findings = _whole_numbers(values, good)
    else:
        digits = _resolution(good)
        findings = [
            finding for axis in _axes(values) for finding in _rows(np.moveaxis(values, axis, -1), axis, digits)
        ] or _loose(values, good)
    return Diagnosis.of(subject, findings, notes)


def _as_numpy(array: Any) -> Any:
    """A NumPy array of it; a tensor on any device, with or without a gradient, in bfloat16 too."""
    import numpy as np

    if hasattr(array, "detach"):
        array = array.detach().cpu()
        array = array.float() if str(array.dtype) == "torch.bfloat16" else array
    return np.asarray(array)


def _axes(values: Any) -> list[int]:
    """The axes that may hold the classes: the last, and the second as PyTorch has it."""
    axes = [values.ndim - 1] if values.ndim else []
    axes += [1] if values.ndim > 2 else []
    return [axis for axis in axes if values.shape[axis] > 1]


def _resolution(good: Any) -> float:
    """How finely the numbers are given: rounded to three decimals, they sum to 1 by accident more often."""
    import numpy as np

    finite = good[np.isfinite(good)].astype(float)
    for decimals in range(1, 7):
        if np.allclose(finite, np.round(finite, decimals), rtol=0, atol=1e-9):
            return 10.0**-decimals
    return 16 * float(np.finfo(good.dtype).eps)


def _sampled(rows: Any) -> Any:
    import numpy as np

    flat = rows.reshape(-1, rows.shape[-1])
    flat = flat[~np.isnan(flat).any(axis=1)]
    return flat[:: max(1, len(flat) // ROWS)].astype(float)


def _accident(tolerance: float, rows: int) -> float:
    """Arbitrary rows hit a sum with a density of about 1, each on its own: a chance of twice the tolerance each."""
    return min(1.0, 2 * tolerance) ** rows


def _rows(rows: Any, axis: int, digits: float) -> list[Finding]:
    import numpy as np

    rows = _sampled(rows)
    if not len(rows):
        return []
    classes = rows.shape[1]
    distinct = len(np.unique(rows, axis=0))
    with np.errstate(over="ignore", invalid="ignore"):
        sums = rows.sum(axis=1)
        logsums = np.log(np.exp(rows).sum(axis=1))
        odds_sums = (1 / (1 + np.exp(-rows))).sum(axis=1)
    where = f"{len(rows)} rows of {classes} along axis {axis}"
    # A sum of C values that are each rounded to a resolution is off by some sqrt(C) of them.
    tolerance = digits * (1 + math.sqrt(classes))
    accident = _accident(tolerance, distinct)
    uniform = np.ptp(rows) == 0
    found = []
    chance: float | None
    if rows.min() >= 0 and abs(sums - 1).max() <= tolerance:
        chance = None if uniform else accident
        evidence = f"{where} lie in [0, 1] and sum to 1 within {abs(sums - 1).max():.1g}"
        confirm = f"abs(outputs.sum({axis}) - 1).max() < 1e-3"
        found.append(_finding("probabilities of a softmax", evidence, chance, confirm, "names.html"))
    if rows.max() <= tolerance and abs(logsums).max() <= tolerance:
        evidence = f"{where} are at most 0 and have a logsumexp of 0 within {abs(logsums).max():.1g}"
        confirm = f"abs(outputs.logsumexp({axis})).max() < 1e-3"
        found.append(_finding("log-probabilities", evidence, accident, confirm, "names.html"))
    if abs(odds_sums - 1).max() <= tolerance:
        evidence = f"the sigmoids of {where} sum to 1 within {abs(odds_sums - 1).max():.1g}"
        title = "class log-odds"
        chance = accident
        if classes == 2:
            title, chance = "class log-odds of two classes, or a pair (-d, d) of centered logits", max(accident, 0.3)
        confirm = f"abs(outputs.sigmoid().sum({axis}) - 1).max() < 1e-3"
        found.append(_finding(title, evidence, chance, confirm, "one-idea.html"))
    elif abs(sums).max() <= tolerance * max(1.0, abs(rows).max()) and not uniform:
        evidence = f"{where} sum to 0 within {abs(sums).max():.1g}, and their logsumexp varies"
        confirm = f"abs(outputs.mean({axis})).max() < 1e-3"
        found.append(_finding("logits, centered", evidence, accident, confirm, "one-idea.html"))
    return found


def _loose(values: Any, good: Any) -> list[Finding]:
    """Where no row is normalized: by the range alone, which proves less."""
    low, high = float(good.min()), float(good.max())
    many = f"{good.size} values lie between {low:.4g} and {high:.4g}"
    if low >= 0 and high <= 1:
        evidence = f"{many}, and rows don't sum to 1; it takes values near 0 and 1 to be sure of the bounds"
        title = "probabilities, each on its own (of a sigmoid)"
        confirm = "0 <= outputs.min() and outputs.max() <= 1"
        return [_finding(title, evidence, None, confirm, "binary-multilabel.html")]
    if low < 0 < high or high > 1:
        rest = "no probability is below 0 or above 1, no log-probability above 0"
        title = "log-odds of a binary output, or margins" if _is_column(values) else "logits (unnormalized scores)"
        title += " or another unbounded score"
        return [_finding(title, f"{many}: {rest}", None, "outputs.min() < 0 < outputs.max()", "names.html")]
    evidence = f"{many}: all negative, but no row is normalized; logits may be so by accident"
    return [
        _finding("logs of probabilities, one by one (of a log-sigmoid), or logits", evidence, None, "", "names.html")
    ]


def _is_column(values: Any) -> bool:
    return values.ndim < 2 or values.shape[-1] == 1


def _whole_numbers(values: Any, good: Any) -> list[Finding]:
    import numpy as np

    low, high = int(good.min()), int(good.max())
    kinds = set(np.unique(good)[:3].tolist()) if good.size else set()
    if low == high == 0:
        evidence = "every value is 0: labels of one class, or the logits of a head whose weights are 0"
        return [_finding("nothing to tell by", evidence, None, "", "names.html")]
    if values.ndim >= 2 and kinds <= {0, 1} and (values.sum(axis=-1) == 1).all() and values.shape[-1] > 1:
        evidence = f"each row of {values.shape[-1]} has a single 1; a softmax that is saturated looks the same"
        return [_finding("one-hot labels", evidence, None, "((target == 0) | (target == 1)).all()", "names.html")]
    if kinds <= {0, 1}:
        return [_finding("labels of a yes or no", "every value is 0 or 1", None, "target.unique()", "names.html")]
    if kinds == {-1, 1}:
        evidence = "every value is -1 or 1; a loss of 0 and 1 turns negative on them"
        fix = "Use (target + 1) / 2."
        return [_finding("labels -1 and +1", evidence, None, "target.unique()", "traps.html#traps-target-range", fix)]
    if kinds == {0, 255}:
        evidence = "every value is 0 or 255; a binary loss turns negative on them"
        fix = "Use target / 255."
        return [_finding("a mask image", evidence, None, "target.unique()", "traps.html#traps-target-range", fix)]
    span = f"whole numbers from {low} to {high}"
    if low >= 0:
        evidence = f"{span}: {high + 1} classes or more"
        return [_finding("class indices", evidence, None, "target.min() >= 0", "names.html")]
    if values.dtype.kind in "iu" and low in (-1, -100):
        title, evidence = "class indices with padding", f"{span}, and {low} is a common ignore_index"
        fix = f"Pass ignore_index={low}."
        return [_finding(title, evidence, None, "(target < 0).any()", "traps.html#traps-padding", fix)]
    evidence = f"{span}, negative ones among them"
    return [_finding("scores that are whole numbers, such as logits", evidence, None, "", "names.html")]


def _finding(title: str, evidence: str, coincidence: float | None, confirm: str, page: str, fix: str = "") -> Finding:
    return Finding(title, evidence, coincidence, confirm, fix, PAGES + page)
