"""What a number on the screen means: scales and causes read off losses, logs and arrays.

Losses and logs need the standard library alone; an array needs NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from logitkit.diagnose._findings import Diagnosis, Finding
from logitkit.diagnose._logs import losses_of, read_log
from logitkit.diagnose._loss import diagnose_log, diagnose_loss
from logitkit.diagnose._scale import diagnose_array

__all__ = ["Diagnosis", "Finding", "diagnose", "diagnose_log", "losses_of", "read_log"]


def diagnose(
    number: Any,
    *,
    classes: int | None = None,
    positive_rate: float | None = None,
    shares: Sequence[float] | None = None,
) -> Diagnosis:
    """Say what a loss means, or on which scale an array is.

    A loss is compared with the levels, floors and ceilings that mistakes have: chance, log C; the entropy of the class
    shares; log(e + C - 1) - 1 for a softmax applied twice; 0.3133 per positive and 0.6931 per negative for a sigmoid
    applied twice; the floors of label smoothing; clamps and epsilons. Each match says how likely it is by accident: the
    share of random numbers, from half to twice the loss and uniform in their logarithm, that match any of the values
    tried as well. Without `classes` the usual numbers of classes are tried, so more numbers match by accident.

    Of an array it's asked whether rows sum to 1 (probabilities), have a logsumexp of 0 (log-probabilities), have
    sigmoids that sum to 1 (class log-odds), sum to 0 (centered logits), whether values are whole (labels), and where
    they lie. Any row of real numbers may be logits: the answer is what it looks like, with the chance of an accident.

    Parameters
    ----------
    number : float or array_like
        A loss in nats, or an array of at least one dimension: NumPy's, a tensor of PyTorch, nested lists.
    classes : int, optional
        The number of classes.
    positive_rate : float, optional
        The share of the positive class, for two classes.
    shares : sequence of float, optional
        The shares of all classes.

    Returns
    -------
    Diagnosis
        Its `findings`, the most convincing first; false if there are none. Printed, it's a report.

    Raises
    ------
    ValueError
        If `classes` or rates are out of range, or the array is empty or not of real numbers.

    Examples
    --------
    >>> from logitkit.diagnose import diagnose
    >>> best = diagnose(1.4615, classes=10).findings[0]
    >>> best.title, best.verdict
    ('probabilities into a loss that applies softmax', 'likely')
    >>> bool(diagnose(1.2, classes=10))
    False
    >>> import numpy as np
    >>> diagnose(np.log([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])).findings[0].title
    'log-probabilities'

    References
    ----------
    The floors are derived in the book: https://logitkit.github.io/logitkit/chapters/traps.html
    """
    if getattr(number, "ndim", 1 if isinstance(number, (list, tuple)) else 0):
        return diagnose_array(number)
    return diagnose_loss(float(number), classes, positive_rate, shares)
