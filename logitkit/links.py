"""The binary scale: probability, odds, log-odds and the functions that lead from one to the other.

The formulas, and why they have the form they have, are in `logitkit.formulas.binary`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from logitkit import kernels
from logitkit._arrays import Float64s, Floats, as_floats, by_element, proportions, require_within
from logitkit.formulas import binary

_LOGITS_AS_PROBS = "did you pass logits? expit turns log-odds into probabilities"


def odds(p: npt.ArrayLike) -> Any:
    r"""Odds in favor of an event of probability `p`.

    .. math:: \operatorname{odds}(p) = \frac{p}{1 - p}

    Parameters
    ----------
    p : array_like
        Probabilities in [0, 1], of any shape. Up to 16 machine epsilons outside, they count as 0 or 1.

    Returns
    -------
    ndarray or scalar
        Odds in [0, inf], of the shape of `p`. float16, float32 and float64 keep their dtype; integers and booleans
        give float64. NaN gives NaN, `odds(1)` is inf.

    Raises
    ------
    ValueError
        If a probability lies further outside [0, 1].
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
    probs = proportions(as_floats(p, "p"), "p", _LOGITS_AS_PROBS)
    return _each(binary.odds, probs)


def logit(p: npt.ArrayLike) -> Any:
    r"""Log-odds of a probability: the inverse of `expit`.

    .. math:: \operatorname{logit}(p) = \log \frac{p}{1 - p}

    Near one half the quotient is close to one and its logarithm would lose digits, so the middle half of the
    interval uses :math:`\log(1 + \frac{2p - 1}{1 - p})`, whose numerator is exact there.

    Parameters
    ----------
    p : array_like
        Probabilities in [0, 1], of any shape. Up to 16 machine epsilons outside, they count as 0 or 1.

    Returns
    -------
    ndarray or scalar
        Log-odds in nats, of the shape of `p`. float16, float32 and float64 keep their dtype; integers and booleans
        give float64. NaN gives NaN, `logit(0)` is -inf and `logit(1)` is inf.

    Raises
    ------
    ValueError
        If a probability lies further outside [0, 1].
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
    probs = proportions(as_floats(p, "p"), "p", _LOGITS_AS_PROBS)
    return _each(lambda p: binary.logit(p, np), probs, "logit")


def expit(x: npt.ArrayLike) -> Any:
    r"""Probability whose log-odds are `x`, the logistic sigmoid: the inverse of `logit`.

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
    return _each(lambda x: binary.expit(x, np), log_odds, "expit")


def log_expit(x: npt.ArrayLike) -> Any:
    r"""Logarithm of the probability whose log-odds are `x`.

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
    return _each(lambda x: -binary.softplus(-x, np), log_odds, "log_expit")


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
        Real numbers, of any shape. They are log-odds in nats where the function is used as a loss.

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
    return _each(lambda x: binary.softplus(x, np), values, "softplus")


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
    # In float64 the kernel's logarithm has a sixth of a unit more than is promised.
    kernel = "log1mexp" if log_probs.dtype != np.float64 else ""
    return _each(lambda x: binary.log1mexp(x, np), log_probs, kernel)


def _each(formula: Callable[[Float64s], Float64s], values: Floats, kernel: str = "") -> Any:
    if kernel and kernels.suit(values):
        return kernels.elementwise(kernel, values)[0][()]
    (result,) = by_element(lambda x: (formula(x),), [values], [values.dtype])
    return result
