"""The multiclass scale: logits, probabilities, log-probabilities and the log-odds of each class against the rest.

Every function rests on one decomposition of a row (`shift`): the largest logit m, the exact differences z - m, and
the sum of the other classes' exponentials *without* the largest one, which is 1. That sum is what is small when the
network is confident, and it is what log1p, the losses and the gradients need; a sum that contains the 1 has lost it.

Sources: Blanchard, Higham and Higham, *Accurately computing the log-sum-exp and softmax functions*, IMA J. Numer.
Anal. 41 (2021), doi:10.1093/imanum/draa038, for the shift and log1p of the rest; the exact error of the shift and
the log-odds of a class are worked out in the book's chapter *Are raw logits log-odds?*
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from logitkit import kernels
from logitkit._arrays import Axis, Float64s, Floats, as_floats, by_row, require, require_axis
from logitkit._scales import as_rows, defined, tolerance_of_sum
from logitkit.formulas import double_double
from logitkit.formulas.sums import row_sum

# Down to here the sum of a row, of up to 2^60 terms, does not feel that those below 2^-1022 have fewer digits.
_SUBNORMAL_SUM = 2.0**-960


def logsumexp(z: npt.ArrayLike, axis: Axis = -1, keepdims: bool = False) -> Any:
    r"""Logarithm of a sum of exponentials: the log of softmax's denominator.

    .. math:: \operatorname{logsumexp}(z) = \log \sum_j e^{z_j}

    Where the result is near zero (the logsumexp of log-probabilities is) it is computed with twice the digits.

    Parameters
    ----------
    z : array_like
        Logits in nats, of at least one dimension; -inf masks a class.
    axis : int or tuple of int
        The dimension that is summed over, or several.
    keepdims : bool
        Whether these dimensions are kept, with length one.

    Returns
    -------
    ndarray or scalar
        One value per row, in nats. float16, float32 and float64 keep their dtype; integers and booleans give float64.
        A row with a NaN gives NaN, any other row with +inf gives inf, and an empty or fully masked row gives -inf.

    Raises
    ------
    ValueError
        If `z` has no dimension `axis`.
    TypeError
        If `z` does not hold real numbers.

    References
    ----------
    Blanchard, Higham and Higham, IMA J. Numer. Anal. 41 (2021), doi:10.1093/imanum/draa038.

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.logsumexp([[0.0, 0.0], [1000.0, 0.0]])
    array([6.93147181e-01, 1.00000000e+03])
    """
    logits = as_floats(z, "z")
    axis = require_axis(logits, "z", axis)
    limit = cancellation_limit_of(logits.dtype)
    kernel = _kernel("logsumexp", logits, limit, reduced=True)
    (result,) = by_row(lambda z: (shifted_logsumexp(z, limit),), [logits], axis, logits.dtype, kernel)
    result = round_to(result, logits)
    return np.expand_dims(result, axis) if keepdims else result[()]


def softmax(z: npt.ArrayLike, axis: Axis = -1) -> Any:
    r"""Probabilities of the classes from their logits.

    .. math:: \operatorname{softmax}(z)_i = \frac{e^{z_i}}{\sum_j e^{z_j}}

    Parameters
    ----------
    z : array_like
        Logits in nats, of at least one dimension; -inf masks a class, one +inf in a row is certainty.
    axis : int or tuple of int
        The dimension of the classes, or several that count as one.

    Returns
    -------
    ndarray
        Probabilities, of the shape of `z`. float16, float32 and float64 keep their dtype; integers and booleans
        give float64. A row with a NaN gives NaN.

    Raises
    ------
    ValueError
        If `z` has no dimension `axis`, or a row is all -inf or has more than one +inf.
    TypeError
        If `z` does not hold real numbers.

    References
    ----------
    Bridle, *Probabilistic interpretation of feedforward classification network outputs*, in *Neurocomputing*,
    NATO ASI Series F 68 (1990).

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.softmax([2.0, 0.0, -1.0])
    array([0.84379473, 0.1141952 , 0.04201007])
    """
    logits, axis = as_rows(z, "z", axis)
    return _each_row(softmax64, logits, axis, _kernel("softmax", logits))


def log_softmax(z: npt.ArrayLike, axis: Axis = -1) -> Any:
    r"""Log-probabilities of the classes from their logits.

    .. math:: \operatorname{log\_softmax}(z)_i = z_i - \operatorname{logsumexp}(z)

    The log-probability of a confident class keeps its digits: it is computed as :math:`-\log(1 + \text{rest})`.

    Parameters
    ----------
    z : array_like
        Logits in nats, of at least one dimension; -inf masks a class, one +inf in a row is certainty.
    axis : int or tuple of int
        The dimension of the classes, or several that count as one.

    Returns
    -------
    ndarray
        Log-probabilities in nats, at most 0, of the shape of `z`. float16, float32 and float64 keep their dtype;
        integers and booleans give float64. A row with a NaN gives NaN.

    Raises
    ------
    ValueError
        If `z` has no dimension `axis`, or a row is all -inf or has more than one +inf.
    TypeError
        If `z` does not hold real numbers.

    References
    ----------
    Blanchard, Higham and Higham, IMA J. Numer. Anal. 41 (2021), doi:10.1093/imanum/draa038.

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.log_softmax([40.0, 0.0])
    array([-4.24835426e-18, -4.00000000e+01])
    """
    logits, axis = as_rows(z, "z", axis)
    return _each_row(log_softmax64, logits, axis, _kernel("log_softmax", logits))


def class_log_odds(z: npt.ArrayLike, axis: Axis = -1) -> Any:
    r"""Log-odds of each class against all the others: the statistician's logit of each softmax probability.

    .. math::

        \begin{aligned}
        \ell_i &= z_i - \log \sum_{j \ne i} e^{z_j} \\
        &= \operatorname{logit}(\operatorname{softmax}(z)_i)
        \end{aligned}

    Parameters
    ----------
    z : array_like
        Logits in nats, of at least one dimension; -inf masks a class, one +inf in a row is certainty.
    axis : int or tuple of int
        The dimension of the classes, or several that count as one.

    Returns
    -------
    ndarray
        Log-odds in nats, of the shape of `z`; inf where a class has no rival. float16, float32 and float64 keep
        their dtype; integers and booleans give float64. A row with a NaN gives NaN.

    Raises
    ------
    ValueError
        If `z` has no dimension `axis`, or a row is all -inf or has more than one +inf.
    TypeError
        If `z` does not hold real numbers.

    References
    ----------
    Theorem "One against the rest" in the book's chapter *Are raw logits log-odds?*, where it is proved.

    Examples
    --------
    >>> import logitkit as lk
    >>> z = [2.0, 0.0, -1.0]
    >>> lk.class_log_odds(z)
    array([ 1.68673831, -2.04858735, -3.12692801])
    >>> lk.logit(lk.softmax(z))
    array([ 1.68673831, -2.04858735, -3.12692801])
    """
    logits, axis = as_rows(z, "z", axis)
    limit = cancellation_limit_of(logits.dtype)
    # In float64 the largest logit's log-odds would be left in many rows.
    kernel = _kernel("class_log_odds", logits, limit) if limit < 1 else None
    return _each_row(_class_log_odds, logits, axis, kernel)


def center(z: npt.ArrayLike, axis: Axis = -1) -> Any:
    r"""The logits with mean zero that stand for the same probabilities.

    .. math:: \operatorname{center}(z)_i = z_i - \frac{1}{C} \sum_j z_j

    with the sum over the C classes that are not masked.

    Parameters
    ----------
    z : array_like
        Logits in nats, of at least one dimension. Classes masked by -inf stay masked and do not count in the mean.
    axis : int or tuple of int
        The dimension of the classes, or several that count as one.

    Returns
    -------
    ndarray
        Logits in nats, of the shape of `z`. float16, float32 and float64 keep their dtype; integers and booleans
        give float64. A row with a NaN gives NaN.

    Raises
    ------
    ValueError
        If `z` has no dimension `axis`, holds +inf, or a row is all -inf.
    TypeError
        If `z` does not hold real numbers.

    References
    ----------
    Aitchison, *The statistical analysis of compositional data*, JRSS B 44 (1982): applied to log-probabilities it
    is the centered log-ratio.

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.center([3.0, 1.0, 2.0])
    array([ 1., -1.,  0.])
    """
    logits, axis = as_rows(z, "z", axis)

    def check(logits: Floats) -> list[Floats]:
        require(logits != np.inf, logits, "z", "be below inf", "a certain class has no centered logit")
        return [defined(logits, "z", axis)]

    kernel = _kernel("center", logits, kernels.SCALES.index("logits"), 0.0)
    (result,) = by_row(lambda z: (_center(z),), [logits], axis, logits.dtype, kernel, check)
    return result


def logits_from_probs(p: npt.ArrayLike, axis: Axis = -1) -> Any:
    r"""The logits with mean zero whose softmax is `p`. A softmax cancels the constant, so any mean would do.

    .. math::

        \begin{aligned}
        & \operatorname{logits\_from\_probs}(p)_i \\
        &= \log p_i - \frac{1}{C} \sum_j \log p_j
        \end{aligned}

    with the sum over the C classes whose probability is not zero.

    Parameters
    ----------
    p : array_like
        Probabilities that sum to one along `axis`, within 2\ :sup:`-11` (float16: 2\ :sup:`-5`). A probability of zero
        gives -inf and does not count in the mean.
    axis : int or tuple of int
        The dimension of the classes, or several that count as one.

    Returns
    -------
    ndarray
        Logits in nats, of the shape of `p`. float16, float32 and float64 keep their dtype; integers and booleans
        give float64. A row with a NaN gives NaN.

    Raises
    ------
    ValueError
        If a probability lies outside [0, 1] by more than 16 machine epsilons, a row does not sum to one, or `p` has no
        dimension `axis`.
    TypeError
        If `p` does not hold real numbers.

    References
    ----------
    Aitchison, *The statistical analysis of compositional data*, JRSS B 44 (1982): the centered log-ratio.

    Examples
    --------
    >>> import logitkit as lk
    >>> z = lk.logits_from_probs(lk.softmax([3.0, 1.0, 2.0]))
    >>> z.round(12) + 0.0
    array([ 1., -1.,  0.])
    """
    probs, axis = as_rows(p, "p", axis, "probs")
    kernel = _kernel("center", probs, kernels.SCALES.index("probs"), tolerance_of_sum(probs.dtype))

    def check(probs: Floats) -> list[Floats]:
        return [defined(probs, "p", axis, "probs")]

    (result,) = by_row(lambda p: (_center(np.log(p)),), [probs], axis, probs.dtype, kernel, check)
    return result


@np.errstate(all="ignore")
def round_to(values: Float64s, like: Floats) -> npt.NDArray[Any]:
    """Round float64 results to the dtype of the input, where overflow to inf is the rounded value."""
    return values.astype(like.dtype, copy=False)


class Shifted(NamedTuple):
    """Rows along the last axis, seen from their largest logit m."""

    largest: Float64s  # m, a column; nan where the row has one
    difference: Float64s  # z - m, rounded
    error: Float64s  # what the rounding took away
    exps: Float64s  # exp(z - m), free of the error of the shift
    rest: Float64s  # sum of the exps but for one largest, which is 1; a column

    @property
    def surprisal(self) -> Float64s:
        """Minus the log-probability of each class."""
        return (np.log1p(self.rest) - self.difference) - self.error

    @property
    def rivals(self) -> Float64s:
        """For each class the sum of all other exps: `rest` itself for the largest, and no cancellation elsewhere."""
        return np.where(self.difference == 0, self.rest, (1 + self.rest) - self.exps)

    def of_class(self, labels: npt.NDArray[np.intp]) -> Shifted:
        """Return the same rows with one class of each alone, as a column."""
        own = np.arange(len(labels))[:, None], labels[:, None]
        difference, error, exps = self.difference[own], self.error[own], self.exps[own]
        return self._replace(difference=difference, error=error, exps=exps)


def shift(z: Float64s, cancellation_limit: float) -> Shifted:
    """Return the decomposition of a block of rows; below a limit of one float64's roundings do not show."""
    largest = z.max(axis=-1, keepdims=True, initial=-np.inf)
    difference, error = _difference_from(largest, z, cancellation_limit)
    exps, equal = np.exp(difference), difference == 0
    # Leaving out all that equal the maximum and adding their number less one needs no index, so no argmax.
    rest, ties = np.where(equal, 0, exps), equal.sum(axis=-1, keepdims=True) - 1
    if cancellation_limit < 1:
        return Shifted(largest, difference, error, exps, rest.sum(axis=-1, keepdims=True) + ties)
    correction = exps * error
    total = _row_sum(rest, correction) + ties
    subnormal = (total < _SUBNORMAL_SUM)[:, 0]
    if subnormal.any():
        total[subnormal] = _sum_of_subnormals(difference[subnormal], error[subnormal]) + ties[subnormal]
    return Shifted(largest, difference, error, exps + correction, total)


def _sum_of_subnormals(difference: Float64s, error: Float64s) -> Float64s:
    """Sums of exponentials that are subnormal or vanish one by one, rounded once at the end; a column."""
    # The square of exp(x/2) 2^512 is exp(x) 2^1024, which leaves the normal numbers only where the sum is 0.
    scaled = (np.exp(difference / 2) * 2.0**512) ** 2
    rest = np.where(difference == 0, 0, scaled)
    return np.ldexp(_row_sum(rest, rest * error), -1024)


def shift_by(largest: Float64s, rest: Float64s, z: Float64s, cancellation_limit: float) -> Shifted:
    """Return the decomposition for some classes z of rows whose largest logit and rest, as columns, are known."""
    difference, error = _difference_from(largest, z, cancellation_limit)
    exps = np.exp(difference)
    return Shifted(largest, difference, error, exps + exps * error, rest)


def _difference_from(largest: Float64s, z: Float64s, cancellation_limit: float) -> double_double.Extended:
    pivot = np.where(np.isinf(largest), 0, largest)
    if cancellation_limit < 1:
        return z - pivot, np.zeros_like(z)
    # At a large offset the rounding of z - m changes exp(z - m) by hundreds of units in the last place.
    difference, error = double_double.two_sum(z, -pivot)
    np.copyto(error, 0, where=np.isinf(difference))
    return difference, error


def _row_sum(values: Float64s, corrections: Float64s | float = 0.0) -> Float64s:
    result: Float64s = row_sum(values, values.max(axis=-1, keepdims=True, initial=0), np, corrections)
    return result


def others(values: Float64s) -> Float64s:
    """For each entry of a row of non-negative numbers the sum of all other entries, at full relative accuracy."""
    largest = values.max(axis=-1, keepdims=True, initial=0)
    equal = values == largest
    rest = _row_sum(np.where(equal, 0, values))
    rest += (equal.sum(axis=-1, keepdims=True) - 1) * largest
    # Any entry but the largest is at most half of the total, so subtracting it cancels at most one bit.
    return np.where(equal, rest, (rest + largest) - values)


def shifted_logsumexp(z: Float64s, cancellation_limit: float, origin: Float64s | float = 0.0) -> Float64s:
    """log(sum(exp(z - origin))) of each row, with twice the digits where it nearly vanishes."""
    row = shift(z, cancellation_limit)
    largest = row.largest[..., 0]
    offset, offset_error = double_double.two_sum(largest, -origin)
    coarse, fine = _log1p_in_two(row.rest[..., 0])
    partial, partial_error = double_double.two_sum(offset, coarse)
    result, error = double_double.two_sum(partial, fine)
    result += np.where(np.isfinite(result), error + partial_error + offset_error, 0)
    cancelled = np.abs(result) < cancellation_limit * (coarse + fine)
    if cancelled.any():
        result[cancelled] = _shifted_logsumexp_extended(z[cancelled], np.broadcast_to(origin, result.shape)[cancelled])
    return np.where(largest == np.inf, np.inf, result)


def _log1p_in_two(x: Float64s) -> tuple[Float64s, Float64s]:
    """log(1 + x) as an exact multiple of a short log 2 and a remainder of at most log(2)/2 with all its digits.

    Rounded to one float64, the log of a large sum would be wrong by more than a small result can bear.
    """
    total, low = double_double.two_sum(x, 1.0)
    fraction, exponent = np.frexp(total)
    double = fraction < np.sqrt(0.5)
    fraction, exponent = np.where(double, 2 * fraction, fraction), exponent - double
    remainder = np.log(fraction) + (exponent * double_double.LOG2_LOW + np.where(total > 0, low / total, 0))
    return exponent * double_double.LOG2_HIGH, remainder


def _shifted_logsumexp_extended(z: Float64s, origin: Float64s) -> Float64s:
    difference, error = double_double.two_sum(z, np.broadcast_to(-origin[:, None], z.shape))
    exps = double_double.exp((difference, np.where(np.isfinite(difference), error, 0)))
    total, low = double_double.row_sum(exps)
    excess = (total - 1) + low
    # Near one the excess over one carries the digits; away from it the logarithm is well conditioned.
    return np.where(np.abs(excess) < 0.5, np.log1p(excess), np.log(total) + low / total)


def cancellation_limit_of(dtype: np.dtype[Any]) -> float:
    """The part of an operand to which a float64 difference may shrink before its error shows in `dtype`."""
    return 1.0 if dtype.itemsize == 8 else 2.0**-18


Kernel = Callable[[Floats], tuple[Any, ...]]


def _kernel(name: str, logits: Floats, *options: float, reduced: bool = False) -> Kernel | None:
    return (lambda rows: kernels.of_rows(name, rows, *options, reduced=reduced)) if kernels.suit(logits) else None


def _each_row(formula: Any, logits: Floats, axis: Axis, kernel: Kernel | None) -> Any:
    (result,) = by_row(
        lambda z: (formula(z, cancellation_limit_of(logits.dtype)),),
        [logits],
        axis,
        logits.dtype,
        kernel,
        lambda logits: [defined(logits, "z", axis)],
    )
    return result


def softmax64(z: Float64s, cancellation_limit: float) -> Float64s:
    """Return the softmax of a block of rows."""
    # Dividing keeps the digits of exps; exp(z - logsumexp) would multiply the error of the exponent by its size.
    difference, error = _difference_from(z.max(axis=-1, keepdims=True, initial=-np.inf), z, cancellation_limit)
    exps = np.exp(difference)
    if cancellation_limit < 1:
        return exps / exps.sum(axis=-1, keepdims=True)
    correction = exps * error
    return (exps + correction) / _row_sum(exps, correction)


def log_softmax64(z: Float64s, cancellation_limit: float) -> Float64s:
    """Return the log-softmax of a block of rows."""
    _, difference, error, _, rest = shift(z, cancellation_limit)
    return (difference - np.log1p(rest)) + error


def _class_log_odds(z: Float64s, cancellation_limit: float) -> Float64s:
    if z.shape[-1] == 0:
        return z
    _, difference, error, exps, rest = shift(z, cancellation_limit)
    top = np.argmax(z, axis=-1, keepdims=True)
    # The rivals of any other class are the largest, whose exponential is 1, and the remaining ones.
    np.put_along_axis(exps, top, 0, axis=-1)
    result = (difference - np.log1p(others(exps))) + error
    # The largest against its rivals is a true difference, which may cancel.
    rivals = z.copy()
    np.put_along_axis(rivals, top, -np.inf, axis=-1)
    log_odds_of_top = 0 - shifted_logsumexp(rivals, cancellation_limit, np.take_along_axis(z, top, axis=-1)[..., 0])
    np.put_along_axis(result, top, log_odds_of_top[..., None], axis=-1)
    return np.where(np.isnan(rest), np.nan, result)


def _center(z: Float64s) -> Float64s:
    masked = z == -np.inf
    count = np.maximum((~masked).sum(axis=-1, keepdims=True), 1).astype(np.float64)
    # z - mean cancels where z is near the mean, so the sum is kept to twice the digits and the division comes last.
    # The scale keeps sums of the largest float64 from overflowing; a power of two changes no digit.
    scale = np.where(np.abs(np.where(masked, 0, z)).max(axis=-1, keepdims=True, initial=0) > 2.0**900, 2.0**-100, 1.0)
    finite = np.where(masked, 0, z) * scale
    total, low = double_double.row_sum((finite, np.zeros_like(finite)))
    scaled, error = double_double.two_prod(finite, np.broadcast_to(count, finite.shape))
    centered = ((scaled - total[:, None]) + (error - low[:, None])) / count / scale
    return np.where(masked & ~np.isnan(total[:, None]), -np.inf, centered)
