"""What the rows of an array hold on each scale: logits, probabilities or log-probabilities.

Each number is looked at first. Whether the numbers of a row have a meaning together may be left to a kernel, which sees
it in passing, and names the rows for which it has to be asked here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from logitkit._arrays import Axis, Floats, as_floats, proportions, require, require_axis, require_within

_LOGITS_AS_LOG_PROBS = "did you pass logits? log_softmax turns them into log-probabilities"


def as_rows(values: npt.ArrayLike, name: str, axis: Axis, scale: str = "logits") -> tuple[Floats, Axis]:
    """Return numbers that exist on the scale, and `axis` from the front."""
    array = as_floats(values, name)
    axis = require_axis(array, name, axis)
    if scale == "probs":
        array = proportions(array, name, "did you pass logits? softmax turns them into probabilities")
    elif scale == "log_probs":
        require_within(array, name, -np.inf, 0, _LOGITS_AS_LOG_PROBS)
    return array, axis


def defined(rows: Floats, name: str, axis: Axis, scale: str = "logits") -> Floats:
    """Return rows that stand for a distribution, if they do."""
    if scale == "logits":
        return _with_certain_classes(rows, name, axis)
    if scale == "probs":
        require_sum_of_one(
            rows.sum(axis=axis, dtype=np.float64), rows, name, "are these independent (sigmoid) outputs?"
        )
    else:
        with np.errstate(under="ignore"):
            sums = np.exp(rows).sum(axis=axis, dtype=np.float64)
        require_sum_of_one(sums, rows, f"exp({name})", _LOGITS_AS_LOG_PROBS)
    return rows


def _with_certain_classes(logits: Floats, name: str, axis: Axis) -> Floats:
    """Return logits whose softmax is defined; a certain class becomes 0 against -inf."""
    if np.isfinite(logits).all():
        return logits
    largest = logits.max(axis=axis, initial=-np.inf)
    require(largest != -np.inf, largest, f"the largest of {name}", "be above -inf", "all classes of the row are masked")
    certain = logits == np.inf
    count = certain.sum(axis=axis)
    require(
        (count <= 1) | np.isnan(largest),
        count,
        f"the number of inf in {name}",
        "be 0 or 1",
        "only one class of a row can be certain",
    )
    rows = np.expand_dims(count == 1, axis) & ~np.isnan(logits)
    return np.where(rows, np.where(certain, 0, -np.inf), logits).astype(logits.dtype)


def tolerance_of_sum(dtype: np.dtype[Any]) -> float:
    """Return how far the sum of a row may be from one: room for float16, and for what was computed in float32."""
    return 2.0**-5 if dtype.itemsize == 2 else 2.0**-11


def require_sum_of_one(sums: Any, source: Floats, name: str, hint: str) -> None:
    """Raise unless the sums are one, as nearly as the dtype of `source` allows."""
    off = np.abs(sums - 1) > tolerance_of_sum(source.dtype)
    require(~np.asarray(off), np.asarray(sums), f"the sum of {name}", "be 1 in each row", hint)
