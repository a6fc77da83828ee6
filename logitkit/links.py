"""The binary scale: probability, odds, log-odds and the functions that lead from one to the other.

Each function is chosen so that no digits are lost anywhere on its domain: an exponential never overflows, one minus
a probability is never taken after rounding, and a logarithm never sees a number that has been rounded towards one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from logitkit._arrays import Float64s, Floats, as_floats, by_element, require_within

_LOGITS_AS_PROBS = "did you pass logits? expit turns log-odds into probabilities"


def odds(p: npt.ArrayLike) -> Any:
    r"""Odds in favour of an event of probability `p`.

    .. math:: \operatorname{odds}(p) = \frac{p}{1 - p}

    Parameters
    ----------
    p : array_like
        Probabilities in [0, 1], of any shape.

    Returns
    -------
    ndarray or scalar
        Odds in [0, inf], of the shape of `p`. float16, float32 and float64 keep their dtype; integers and booleans
        give float64. NaN gives NaN, `odds(1)` is inf.

    Raises
    ------
    ValueError
        If a probability lies outside [0, 1].
    TypeError
        If `p` does not hold real numbers.

    References
    ----------
    Agresti, *Categorical Data Analysis*, 3rd ed. (2013), section 2.2.

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.odds([0.5, 0.75, 0.9])
    array([1., 3., 9.])
    """
    probs = as_floats(p, "p")
    require_within(probs, "p", 0, 1, _LOGITS_AS_PROBS)
    return _each(odds64, probs)


def logit(p: npt.ArrayLike) -> Any:
    r"""Log-odds of a probability: the inverse of `expit`.

    .. math:: \operatorname{logit}(p) = \log \frac{p}{1 - p}

    Near one half the quotient is close to one and its logarithm would lose all digits, so the middle half of the
    interval uses :math:`2 \operatorname{artanh}(2p - 1)`, whose argument is exact there.

    Parameters
    ----------
    p : array_like
        Probabilities in [0, 1], of any shape.

    Returns
    -------
    ndarray or scalar
        Log-odds in nats, of the shape of `p`. float16, float32 and float64 keep their dtype; integers and booleans
        give float64. NaN gives NaN, `logit(0)` is -inf and `logit(1)` is inf.

    Raises
    ------
    ValueError
        If a probability lies outside [0, 1].
    TypeError
        If `p` does not hold real numbers.

    References
    ----------
    Berkson, *Application of the logistic function to bio-assay*, JASA 39 (1944).

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.logit([0.0, 0.5, 0.9])
    array([      -inf, 0.        , 2.19722458])
    """
    probs = as_floats(p, "p")
    require_within(probs, "p", 0, 1, _LOGITS_AS_PROBS)
    return _each(logit64, probs)


def expit(x: npt.ArrayLike) -> Any:
    r"""Probability of a log-odds, the logistic sigmoid: the inverse of `logit`.

    .. math:: \operatorname{expit}(x) = \frac{1}{1 + e^{-x}}

    For negative `x` it is computed as :math:`e^x / (1 + e^x)`, which neither overflows nor loses the subnormal
    tail, down to the smallest probability that the dtype can hold.

    Parameters
    ----------
    x : array_like
        Log-odds in nats, of any shape.

    Returns
    -------
    ndarray or scalar
        Probabilities in [0, 1], of the shape of `x`. float16, float32 and float64 keep their dtype; integers and
        booleans give float64. NaN gives NaN.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers.

    References
    ----------
    Verhulst, *Recherches mathematiques sur la loi d'accroissement de la population*, Nouveaux memoires de
    l'Academie royale de Bruxelles 18 (1845).

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.expit([-1000.0, -1.0, 0.0, 1.0])
    array([0.        , 0.26894142, 0.5       , 0.73105858])
    """
    log_odds = as_floats(x, "x")
    return _each(expit64, log_odds)


def log_expit(x: npt.ArrayLike) -> Any:
    r"""Log-probability of a log-odds.

    .. math::

        \begin{aligned}
        \log \operatorname{expit}(x) &= -\log(1 + e^{-x}) \\
        &= -\operatorname{softplus}(-x)
        \end{aligned}

    Parameters
    ----------
    x : array_like
        Log-odds in nats, of any shape.

    Returns
    -------
    ndarray or scalar
        Log-probabilities in nats, at most 0, of the shape of `x`. float16, float32 and float64 keep their dtype;
        integers and booleans give float64. NaN gives NaN.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers.

    References
    ----------
    Maechler, *Accurately computing log(1 - exp(-|a|))*, vignette of the R package Rmpfr (2012).

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.log_expit([-1000.0, 0.0, 40.0])
    array([-1.00000000e+03, -6.93147181e-01, -4.24835426e-18])
    """
    log_odds = as_floats(x, "x")
    return _each(lambda x: -softplus64(-x), log_odds)


def softplus(x: npt.ArrayLike) -> Any:
    r"""The smooth positive part of `x`, which is the loss of log-odds `-x` for an event that happened.

    .. math::

        \begin{aligned}
        & \operatorname{softplus}(x) = \log(1 + e^x) \\
        &= \max(x, 0) + \log(1 + e^{-|x|})
        \end{aligned}

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape; log-odds in nats where it is used as a loss.

    Returns
    -------
    ndarray or scalar
        Values of at least 0 (nats), of the shape of `x`. float16, float32 and float64 keep their dtype; integers
        and booleans give float64. NaN gives NaN.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers.

    References
    ----------
    Dugas et al., *Incorporating second-order functional knowledge for better option pricing*, NIPS 13 (2000).

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.softplus([-40.0, 0.0, 1000.0])
    array([4.24835426e-18, 6.93147181e-01, 1.00000000e+03])
    """
    values = as_floats(x, "x")
    return _each(softplus64, values)


def log1mexp(x: npt.ArrayLike) -> Any:
    r"""Logarithm of one minus an exponential: the log of a probability becomes the log of its complement.

    .. math:: \operatorname{log1mexp}(x) = \log(1 - e^x), \quad x \le 0

    Parameters
    ----------
    x : array_like
        Log-probabilities in nats, at most 0, of any shape.

    Returns
    -------
    ndarray or scalar
        Log-probabilities in nats, at most 0, of the shape of `x`. float16, float32 and float64 keep their dtype;
        integers and booleans give float64. NaN gives NaN, `log1mexp(0)` is -inf and `log1mexp(-inf)` is 0.

    Raises
    ------
    ValueError
        If a value is above 0.
    TypeError
        If `x` does not hold real numbers.

    References
    ----------
    Maechler, *Accurately computing log(1 - exp(-|a|))*, vignette of the R package Rmpfr (2012).

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.log1mexp([-1e-20, -0.5, -40.0])
    array([-4.60517019e+01, -9.32752130e-01, -4.24835426e-18])
    """
    log_probs = as_floats(x, "x")
    require_within(log_probs, "x", -np.inf, 0, "a log-probability is never positive: did you pass logits?")
    return _each(log1mexp64, log_probs)


def _each(formula: Callable[[Float64s], Float64s], values: Floats) -> Any:
    (result,) = by_element(lambda x: (formula(x),), [values], [values.dtype])
    return result


def odds64(p: Float64s) -> Float64s:
    """Return the odds of a block of probabilities."""
    return p / (1 - p)


def logit64(p: Float64s) -> Float64s:
    """Return the log-odds of a block of probabilities."""
    # 2p - 1 is exact on [1/4, 1]; artanh stays well conditioned as far as 3/4, the mirror image of 1/4.
    middle = np.abs(p - 0.5) <= 0.25
    return np.where(middle, 2 * np.arctanh(2 * p - 1), np.log(p / (1 - p)))


def expit64(x: Float64s) -> Float64s:
    """Return the probabilities of a block of log-odds."""
    # exp(-|x|) cannot overflow. The quotient has the rounding error of its sum, too; what is made of it, the smaller of
    # the two probabilities as e - e^2 / (1 + e) and the larger as 1 - e / (1 + e), has less than all of its errors.
    e: Float64s = np.exp(-np.abs(x))
    smaller = e / (1 + e)
    return np.where(x < 0, e - e * smaller, 1 - smaller)


def softplus64(x: Float64s) -> Float64s:
    """Return log(1 + exp(x)) for a block."""
    # Both terms are positive, so nothing cancels; log1p keeps the tail where exp(-|x|) is below the spacing at 1.
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log1mexp64(x: Float64s) -> Float64s:
    """Return log(1 - exp(x)) for a block of x <= 0."""
    # Near 0, exp(x) is near 1 and only expm1 keeps the difference; far below, only log1p keeps the tail.
    # At -log 2, where the result is -log 2 too, both are good (Maechler).
    return np.where(x > -np.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))
