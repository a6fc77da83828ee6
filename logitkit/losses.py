"""Losses that say which scale they take, and their gradients.

The keyword is the scale: `logits`, `probs` or `log_probs`, and exactly one is given. A loss of logits never forms a
probability and takes its logarithm; it adds terms that are all positive:

- cross entropy: minus the log-probability of the target is log(1 + rest) + (m - z_y);
- binary: log(1 + exp(-|x|)), plus |x| times the weight of the class that x speaks against.

A gradient is a difference of the prediction and the target, p - y. For a hard target it is written as a sum over the
other classes, which does not cancel; for a soft target it may, and is then computed with twice the digits.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from logitkit import kernels
from logitkit._arrays import (
    Axis,
    Float64s,
    Floats,
    Reduction,
    as_floats,
    by_element,
    by_row,
    require,
    require_same_shape,
)
from logitkit._scales import as_rows, defined, tolerance_of_sum
from logitkit._targets import (
    Targets,
    binary_prediction,
    binary_targets,
    class_prediction,
    class_targets,
    divisor_for,
    one_scale,
    reduce,
    scalar,
    share,
)
from logitkit.formulas import binary, double_double
from logitkit.formulas.binary import zero_safe_product
from logitkit.simplex import (
    Shifted,
    cancellation_limit_of,
    log_softmax64,
    others,
    round_to,
    shift,
    softmax64,
)


def cross_entropy(
    target: npt.ArrayLike,
    *,
    logits: npt.ArrayLike | None = None,
    probs: npt.ArrayLike | None = None,
    log_probs: npt.ArrayLike | None = None,
    axis: int = -1,
    weight: npt.ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Any:
    r"""Cross entropy of a target class, or a target distribution, under predicted probabilities.

    .. math::

        \begin{aligned}
        \operatorname{CE} &= -\sum_i w_i t_i \log p_i, \\
        p &= \operatorname{softmax}(z)
        \end{aligned}

    For one target class y this is :math:`\operatorname{softplus}(-\ell_y)`: the binary logistic loss of the class's
    log-odds. The result keeps its digits at any margin, also where the probability of y rounds to one.

    Parameters
    ----------
    target : array_like
        Either class indices: integers, with the shape of the prediction without `axis`. Or distributions: the shape
        of the prediction, at least 0, with sum one along `axis`, within 2\ :sup:`-11` (float16: 2\ :sup:`-5`).
    logits, probs, log_probs : array_like
        The prediction, on the scale that the keyword names; exactly one is given. Probabilities sum to one as
        nearly as distributions do. A logit or log-probability of -inf masks a class, one logit of +inf in a row is
        certainty.
    axis : int
        The dimension of the classes.
    weight : array_like, optional
        A weight in [0, 1e100] for each class.
    ignore_index : int, optional
        Rows with this class index count for nothing, whatever their prediction holds.
    label_smoothing : float
        The share s in [0, 1] of the target that is spread evenly over all C classes: t becomes (1 - s) t + s / C.
    reduction : {"mean", "sum", "none"}
        "none" keeps one value per row. "mean" divides the sum by the number of rows that are not ignored or, with
        class weights, by the sum over the rows of :math:`\sum_i w_i t_i`.

    Returns
    -------
    ndarray or scalar
        Loss in nats, at least 0, in the prediction's dtype; integers and booleans give float64. A NaN in a row of
        the prediction or of its target gives NaN. A masked class counts as 0 where the target gives it no share,
        else as inf.

    Raises
    ------
    ValueError
        If not exactly one scale is given, values have no meaning on it, an index is not a class, class indices are
        not integers, shapes do not fit, or the mean is over no row or no weight.
    TypeError
        If an argument does not hold real numbers, or `axis` or `ignore_index` is not an integer.

    References
    ----------
    Good, *Rational decisions*, JRSS B 14 (1952), for the logarithmic score; Szegedy et al., arXiv:1512.00567,
    for label smoothing.

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.cross_entropy(0, logits=[2.0, 0.0, -1.0])
    np.float64(0.16984601955628567)
    >>> lk.cross_entropy([0, 1], logits=[[40.0, 0.0], [40.0, 0.0]], reduction="none")
    array([4.24835426e-18, 4.00000000e+01])
    """
    scale, values = one_scale(logits=logits, probs=probs, log_probs=log_probs)
    prediction, along = as_rows(values, scale, axis, scale)
    targets = class_targets(target, prediction, along, weight, ignore_index, label_smoothing, reduction)
    cancellation_limit = cancellation_limit_of(prediction.dtype)

    def formula(values: Float64s, *t: Any) -> tuple[Float64s]:
        surprisal = 0 - _log_probs(values, scale, cancellation_limit)
        return (_expectation(surprisal, values if scale == "logits" else None, targets, *t),)

    arrays, kernel = [prediction, targets.labels, targets.kept], _kernel(targets, prediction, along, scale, grad=False)
    (losses,) = by_row(formula, arrays, along, prediction.dtype, *kernel)
    return reduce(losses, targets.divisor, reduction, prediction.dtype)


def cross_entropy_value_and_grad(
    target: npt.ArrayLike,
    *,
    logits: npt.ArrayLike,
    axis: int = -1,
    weight: npt.ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> tuple[Any, Any]:
    r"""Cross entropy of logits and its derivative with respect to them, in one pass.

    .. math:: \frac{\partial \operatorname{CE}}{\partial z_j} = p_j \sum_i w_i t_i - w_j t_j

    For one target class y without weights this is :math:`p_j` and, at y itself, minus the *sum of the other
    probabilities*: never :math:`p_y - 1`, which is 0 in float32 from a margin of about 17 on.

    Parameters
    ----------
    target, logits, axis, weight, ignore_index, label_smoothing, reduction
        As for :func:`logitkit.cross_entropy`.

    Returns
    -------
    value : ndarray or scalar
        As for :func:`logitkit.cross_entropy`.
    grad : ndarray
        Derivative of the value (with reduction "none": of each row's own value), of the shape and dtype of `logits`.

    Raises
    ------
    ValueError, TypeError
        As for :func:`logitkit.cross_entropy`.

    References
    ----------
    Bridle, *Training stochastic model recognition algorithms as networks can lead to maximum mutual information
    estimation of parameters*, NIPS 2 (1989). The form without cancellation is derived in the book.

    Examples
    --------
    >>> import logitkit as lk
    >>> value, grad = lk.cross_entropy_value_and_grad(0, logits=[40.0, 0.0])
    >>> grad
    array([-4.24835426e-18,  4.24835426e-18])
    """
    prediction, along = as_rows(one_scale(logits=logits)[1], "logits", axis)
    targets = class_targets(target, prediction, along, weight, ignore_index, label_smoothing, reduction)
    cancellation_limit = cancellation_limit_of(prediction.dtype)

    def formula(z: Float64s, *t: Any) -> tuple[Float64s, Float64s]:
        row = shift(z, cancellation_limit)
        return _expectation(row.surprisal, z, targets, *t), _class_gradient(
            row, targets, cancellation_limit, *t
        ) / targets.divisor

    arrays = [prediction, targets.labels, targets.kept]
    losses, grad = by_row(
        formula, arrays, along, prediction.dtype, *_kernel(targets, prediction, along, "logits", grad=True)
    )
    return reduce(losses, targets.divisor, reduction, prediction.dtype), grad


def binary_cross_entropy(
    target: npt.ArrayLike,
    *,
    logits: npt.ArrayLike | None = None,
    probs: npt.ArrayLike | None = None,
    log_probs: npt.ArrayLike | None = None,
    weight: npt.ArrayLike | None = None,
    pos_weight: npt.ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> Any:
    r"""Cross entropy of a binary target under a predicted probability of the positive class.

    .. math::

        \begin{aligned}
        \operatorname{BCE} &= -w\,[a\,y \log p \\
        &\quad + (1 - y) \log(1 - p)], \\
        p &= \operatorname{expit}(x)
        \end{aligned}

    with w the `weight` and a the `pos_weight`. From logits, and without weights, it is the sum of two terms of at least
    0, :math:`\log(1 + e^{-|x|})` and :math:`|x|` times the share of the answer that x speaks against.

    Parameters
    ----------
    target : array_like
        Probabilities of the positive class in [0, 1], often 0 or 1, of the shape of the prediction.
    logits, probs, log_probs : array_like
        The prediction for the positive class, on the scale that the keyword names; exactly one is given. The logits
        are log-odds in nats.
    weight : array_like, optional
        A factor in [0, 1e100] for each element, of a shape that broadcasts to the prediction's.
    pos_weight : array_like, optional
        A factor in [0, 1e100] for the positive part, of a shape that broadcasts to the prediction's.
    reduction : {"mean", "sum", "none"}
        "none" keeps every value; "mean" divides the sum by the number of elements, weighted or not.

    Returns
    -------
    ndarray or scalar
        Loss in nats, at least 0, in the prediction's dtype; integers and booleans give float64. NaN gives NaN.
        0 times an infinite term counts as 0.

    Raises
    ------
    ValueError
        If not exactly one scale is given, values have no meaning on it, a target lies outside [0, 1], shapes do not
        fit, or the mean is over no element.
    TypeError
        If an argument does not hold real numbers.

    References
    ----------
    Cox, *The regression analysis of binary sequences*, JRSS B 20 (1958).

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.binary_cross_entropy([1, 0], logits=[2.0, 2.0], reduction="none")
    array([0.12692801, 2.12692801])
    >>> lk.binary_cross_entropy(0, logits=-40.0)
    np.float64(4.248354255291589e-18)
    """
    scale, prediction = binary_prediction(logits=logits, probs=probs, log_probs=log_probs)
    arrays = binary_targets(target, prediction, weight, pos_weight)
    divisor, surprisal = divisor_for(prediction.size, reduction), _BINARY_LOSSES[scale]
    if kernels.suit(prediction):
        if scale == "logits":
            limit = 0.75 * cancellation_limit_of(prediction.dtype)
            losses, *_ = kernels.binary_cross_entropy(arrays, limit, reduction != "none", None)
        else:
            losses = kernels.binary_cross_entropy_of(scale, arrays, reduction != "none")
        return reduce(losses, divisor, reduction, prediction.dtype)

    def formula(values: Float64s, y: Float64s, w: Float64s, a: Float64s) -> tuple[Float64s]:
        return (zero_safe_product(w, surprisal(values, y, a, np), np),)

    (losses,) = by_element(formula, arrays, [np.float64])
    return reduce(losses, divisor, reduction, prediction.dtype)


def binary_cross_entropy_value_and_grad(
    target: npt.ArrayLike,
    *,
    logits: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    pos_weight: npt.ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> tuple[Any, Any]:
    r"""Binary cross entropy of logits and its derivative with respect to them, in one pass.

    .. math::

        \begin{aligned}
        \frac{\partial \operatorname{BCE}}{\partial x} &= w\,[(1 - y) \operatorname{expit}(x) \\
        &\quad - a\,y \operatorname{expit}(-x)]
        \end{aligned}

    Without weights this is :math:`\operatorname{expit}(x) - y`; written that way, it is 0 in float32 for a
    confident positive.

    Parameters
    ----------
    target, logits, weight, pos_weight, reduction
        As for :func:`logitkit.binary_cross_entropy`.

    Returns
    -------
    value : ndarray or scalar
        As for :func:`logitkit.binary_cross_entropy`.
    grad : ndarray or scalar
        Derivative of the value (with reduction "none": of each element's own value), of the shape and dtype of
        `logits`.

    Raises
    ------
    ValueError, TypeError
        As for :func:`logitkit.binary_cross_entropy`.

    References
    ----------
    Cox, *The regression analysis of binary sequences*, JRSS B 20 (1958).

    Examples
    --------
    >>> import logitkit as lk
    >>> value, grad = lk.binary_cross_entropy_value_and_grad([1.0, 0.0], logits=[40.0, 40.0], reduction="sum")
    >>> grad
    array([-4.24835426e-18,  1.00000000e+00])
    """
    _, prediction = binary_prediction(logits=logits)
    arrays = binary_targets(target, prediction, weight, pos_weight)
    divisor, cancellation_limit = divisor_for(prediction.size, reduction), cancellation_limit_of(prediction.dtype)

    def formula(x: Float64s, y: Float64s, w: Float64s, a: Float64s) -> tuple[Float64s, Float64s]:
        grad = w * _binary_gradient(x, y, a, cancellation_limit) / divisor
        return zero_safe_product(w, binary.loss_of_logits(x, y, a, np), np), grad

    if kernels.suit(prediction):
        limit = 0.75 * cancellation_limit
        losses, grad, left = kernels.binary_cross_entropy(arrays, limit, reduction != "none", 1 / divisor)
        if left.any():
            operands = [np.broadcast_to(a, prediction.shape).ravel()[left] for a in arrays]
            grad[left] = by_element(formula, operands, [np.float64, grad.dtype])[1]
        grad = round_to(grad.reshape(prediction.shape), prediction)[()]
    else:
        losses, grad = by_element(formula, arrays, [np.float64, prediction.dtype])
    return reduce(losses, divisor, reduction, prediction.dtype), grad


def focal_loss(
    target: npt.ArrayLike,
    *,
    logits: npt.ArrayLike,
    gamma: float = 2.0,
    alpha: float | None = None,
    reduction: Reduction = "mean",
) -> Any:
    r"""Binary cross entropy with the weight of easy examples turned down.

    .. math::

        \begin{aligned}
        \operatorname{FL} &= \alpha_t (1 - p_t)^\gamma (-\log p_t), \\
        p_t &= \begin{cases} p & y = 1 \\ 1 - p & y = 0 \end{cases}
        \end{aligned}

    Parameters
    ----------
    target : array_like
        0 or 1, of the shape of `logits`.
    logits : array_like
        Log-odds in nats.
    gamma : float
        Exponent of at least 0; 0 gives the binary cross entropy.
    alpha : float, optional
        Weight in [0, 1] of the targets 1; those of 0 get 1 - alpha. Without it both have weight 1.
    reduction : {"mean", "sum", "none"}
        "none" keeps every value; "mean" divides the sum by the number of elements.

    Returns
    -------
    ndarray or scalar
        Loss in nats, at least 0, in the dtype of `logits`; integers and booleans give float64. NaN gives NaN.

    Raises
    ------
    ValueError
        If a target is neither 0 nor 1, `gamma` or `alpha` is out of range, shapes do not fit, or the mean is over
        no element.
    TypeError
        If an argument does not hold real numbers.

    References
    ----------
    Lin et al., *Focal loss for dense object detection*, arXiv:1708.02002.

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.focal_loss([1, 0], logits=[2.0, 2.0], reduction="none")
    array([0.00180356, 1.65007818])
    """
    _, prediction = binary_prediction(logits=logits)
    targets = as_floats(target, "target")
    require_same_shape(targets, "target", prediction, "logits")
    hard = (targets == 0) | (targets == 1) | np.isnan(targets)
    require(hard, targets, "target", "be 0 or 1", "the focal loss is not defined for soft targets")
    exponent = scalar(gamma, "gamma")
    require(exponent >= 0, exponent, "gamma", "be at least 0", "it is the exponent of 1 - p")
    positive = 1.0 if alpha is None else share(alpha, "alpha")
    negative = 1.0 if alpha is None else 1 - positive
    divisor = divisor_for(prediction.size, reduction)
    if kernels.suit(prediction):
        weights = min(float(exponent), 2.0**1000), positive, negative
        losses = kernels.focal_loss(prediction, targets, *weights, reduction != "none")
        return reduce(losses, divisor, reduction, prediction.dtype)

    def formula(x: Float64s, y: Float64s) -> tuple[Float64s]:
        against = np.where(y == 1, -x, x) + 0 * y  # the log-odds of the wrong answer
        losses = binary.expit(against, np) ** exponent * binary.softplus(against, np)
        return (zero_safe_product(np.where(y == 1, positive, negative), losses, np),)

    (losses,) = by_element(formula, [prediction, targets], [np.float64])
    return reduce(losses, divisor, reduction, prediction.dtype)


def kl_divergence(
    *,
    target_logits: npt.ArrayLike | None = None,
    target_probs: npt.ArrayLike | None = None,
    target_log_probs: npt.ArrayLike | None = None,
    logits: npt.ArrayLike | None = None,
    probs: npt.ArrayLike | None = None,
    log_probs: npt.ArrayLike | None = None,
    axis: Axis = -1,
    reduction: Reduction = "mean",
) -> Any:
    r"""Kullback-Leibler divergence of target probabilities t from predicted probabilities p.

    .. math:: \operatorname{KL}(t \,\|\, p) = \sum_i t_i \log \frac{t_i}{p_i}

    Parameters
    ----------
    target_logits, target_probs, target_log_probs : array_like
        The target, on the scale that the keyword names; exactly one is given.
    logits, probs, log_probs : array_like
        The prediction, of the target's shape, on the scale that the keyword names; exactly one is given.
    axis : int or tuple of int
        The dimension of the classes, or several that count as one.
    reduction : {"mean", "sum", "none"}
        "none" keeps one value per row; "mean" divides the sum by the number of rows.

    Returns
    -------
    ndarray or scalar
        Divergence in nats, in the wider of the two dtypes; integers and booleans give float64. A NaN in a row gives
        NaN. A class masked in the target counts as 0, one masked in the prediction alone as inf.
        Never negative: the terms are computed as t log(t/p) - t + p, which adds up to the same where both sides sum
        to one.

    Raises
    ------
    ValueError
        If not exactly one scale is given for each side, values have no meaning on it, shapes do not fit, or the mean
        is over no row.
    TypeError
        If an argument does not hold real numbers.

    References
    ----------
    Kullback and Leibler, *On information and sufficiency*, Annals of Mathematical Statistics 22 (1951).

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.kl_divergence(target_probs=[0.5, 0.5, 0.0], logits=[1.0, 1.0, 1.0]).round(12)
    np.float64(0.405465108108)
    """
    target_name, target, _ = class_prediction(
        axis, target_logits=target_logits, target_probs=target_probs, target_log_probs=target_log_probs
    )
    scale, prediction, axis = class_prediction(axis, logits=logits, probs=probs, log_probs=log_probs)
    require_same_shape(target, target_name, prediction, scale)
    target_scale, dtype = target_name.removeprefix("target_"), np.result_type(target, prediction)
    cancellation_limit = cancellation_limit_of(dtype)

    def formula(t: Float64s, p: Float64s) -> tuple[Float64s]:
        log_t, log_p = _log_probs(t, target_scale, cancellation_limit), _log_probs(p, scale, cancellation_limit)
        shares = _probs(t, target_scale, cancellation_limit)
        losses = _divergence(shares, log_t, _probs(p, scale, cancellation_limit), log_p)
        if scale == "logits" and (beyond := np.isinf(losses)).any():
            expected = _total_of_shares(shares, -log_p, p) + _row_totals(zero_safe_product(shares, log_t, np))
            losses = np.where(beyond, expected, losses)
        return (losses,)

    def check(target: Floats, prediction: Floats) -> list[Floats]:
        return [defined(target, target_name, axis, target_scale), defined(prediction, scale, axis, scale)]

    tolerances = [tolerance_of_sum(side.dtype) for side in (target, prediction)]
    kernel = partial(kernels.kl_divergence, (target_scale, scale), tolerances) if kernels.suit(prediction) else None
    (losses,) = by_row(formula, [target, prediction], axis, dtype, kernel, check)
    return reduce(losses, divisor_for(losses.size, reduction), reduction, dtype)


def _kernel(targets: Targets, prediction: Floats, axis: Axis, scale: str, grad: bool) -> tuple[Any, Any]:
    """Return the kernel of a loss, if it's of use, and the check of what it leaves to the formula."""

    def kernel(logits: Floats, labels: npt.NDArray[Any], kept: npt.NDArray[np.bool_]) -> tuple[Any, ...]:
        target = np.where(kept, labels, -1) if labels.ndim == 1 else labels
        if scale != "logits":
            tolerance = tolerance_of_sum(prediction.dtype)
            return kernels.cross_entropy_of(scale, tolerance, logits, target, -1, targets.weight, targets.smoothing)
        if targets.hard:
            losses, *of_rows = kernels.cross_entropy(logits, target, -1, targets.weight, targets.divisor, grad)
        else:
            options = targets.weight, targets.smoothing, targets.divisor, 0.75 * limit
            losses, *of_rows = kernels.soft_cross_entropy(logits, target, -1, *options, grad)
        return (losses, *of_rows[1 - grad :])

    limit = cancellation_limit_of(prediction.dtype)
    # Nearly every gradient under a distribution needs twice the digits of float64.
    usable = kernels.suit(prediction) and (scale != "logits" or targets.hard or limit < 1)
    return kernel if usable else None, lambda rows, *of_rows: [defined(rows, scale, axis, scale), *of_rows]


def _expectation(
    surprisal: Float64s,
    logits: Float64s | None,
    targets: Targets,
    labels: npt.NDArray[Any],
    kept: npt.NDArray[np.bool_],
) -> Float64s:
    """Return the weighted mean of the surprisal -log p under the target of each row."""
    if targets.hard:
        own = surprisal[np.arange(len(labels)), labels]
        values = zero_safe_product(targets.weight[labels], own, np)
    else:
        values = _total_of_shares(targets.shares(labels), surprisal, logits)
    return np.where(kept, values, 0)


def _total_of_shares(shares: Float64s, surprisal: Float64s, logits: Float64s | None) -> Float64s:
    """Return the sum of the shares of the surprisal in each row, which may be that of logits."""
    totals = _row_totals(zero_safe_product(shares, surprisal, np))
    if logits is None or not (beyond := np.isinf(totals)).any():
        return totals
    # A share of the distance of two logits may be a number where the distance is none; half of the distance is one.
    half = np.where(np.isinf(surprisal), logits.max(axis=-1, keepdims=True) / 2 - logits / 2, surprisal / 2)
    return np.where(beyond, 2 * _row_totals(zero_safe_product(shares, half, np)), totals)


def _class_gradient(
    row: Shifted, targets: Targets, cancellation_limit: float, labels: npt.NDArray[Any], kept: npt.NDArray[np.bool_]
) -> Float64s:
    """Return the derivative of the expectation of -log softmax(z) with respect to z."""
    if targets.hard:
        grad = targets.weight[labels][:, None] * hard_gradient(row, labels)
    else:
        grad = _soft_gradient(row, targets, cancellation_limit, labels)
    return np.where(kept[:, None], grad, 0)


def hard_gradient(row: Shifted, labels: npt.NDArray[np.intp]) -> Float64s:
    """Return the derivative of -log softmax(z) of one class of each row with respect to z."""
    total = 1 + row.rest
    grad = row.exps / total
    grad[np.arange(len(labels)), labels] = (-row.of_class(labels).rivals / total)[:, 0]
    return grad


def _soft_gradient(row: Shifted, targets: Targets, cancellation_limit: float, labels: npt.NDArray[Any]) -> Float64s:
    # p_j sum(q) - q_j with the terms i = j taken out of both products, where they would cancel.
    q, total = targets.shares(labels), 1 + row.rest
    pull, push = row.exps * others(q), q * row.rivals
    grad = (pull - push) / total
    cancelled = np.abs(pull - push) < 0.75 * cancellation_limit * np.maximum(pull, push)
    rows = cancelled.any(axis=-1)
    if rows.any():
        extended = _soft_gradient_extended(row.difference[rows], row.error[rows], targets, labels[rows])
        grad[rows] = np.where(cancelled[rows], extended, grad[rows])
    return grad


def _soft_gradient_extended(
    difference: Float64s, error: Float64s, targets: Targets, labels: npt.NDArray[Any]
) -> Float64s:
    # C q_j = w_j ((1 - s) C t_j + s) needs no division, so it is exact up to double-double rounding.
    zero = np.zeros_like(difference)
    classes, smoothing = zero + difference.shape[-1], zero + targets.smoothing
    target = double_double.two_prod(classes, zero + targets.distribution(labels))
    target = double_double.mul(double_double.two_sum(zero + 1, -smoothing), target)
    q = double_double.mul(double_double.add(target, (smoothing, zero)), (zero + targets.weight, zero))
    exps = double_double.exp((difference, error))
    pull, push = double_double.mul(exps, double_double.others(q)), double_double.mul(q, double_double.others(exps))
    total, _ = double_double.row_sum(exps)
    return double_double.sub(pull, push)[0] / (total[:, None] * classes)


def _row_totals(terms: Float64s) -> Float64s:
    """Return the sum of each row, added in one order, so that the other rows of its block do not show."""
    return np.ascontiguousarray(terms).sum(axis=-1)


_BINARY_LOSSES = {
    "logits": binary.loss_of_logits,
    "probs": binary.loss_of_probs,
    "log_probs": binary.loss_of_log_probs,
}


def _binary_gradient(x: Float64s, y: Float64s, pos_weight: Float64s, cancellation_limit: float) -> Float64s:
    # (1 - y) expit(x) - a y expit(-x) over the common denominator 1 + exp(-|x|).
    e = np.exp(-np.abs(x))
    pull, push = np.where(x < 0, e, 1) * (1 - y), np.where(x < 0, 1, e) * (pos_weight * y)
    difference = pull - push
    cancelled = np.abs(difference) < 0.75 * cancellation_limit * np.maximum(pull, push)
    if cancelled.any():
        difference[cancelled] = _binary_difference_extended(x[cancelled], y[cancelled], pos_weight[cancelled])
    # The rounding error of the sum is known, so its share of the quotient is taken back.
    total = 1 + e
    grad = difference / total
    return grad - grad * ((e - (total - 1)) / total)


def _binary_difference_extended(x: Float64s, y: Float64s, pos_weight: Float64s) -> Float64s:
    e, e_low = double_double.exp((-np.abs(x), np.zeros_like(x)))
    pull = double_double.two_sum(np.ones_like(x), -y)
    push = double_double.two_prod(pos_weight, y)
    negative = x < 0
    pull = double_double.mul(pull, (np.where(negative, e, 1), np.where(negative, e_low, 0)))
    push = double_double.mul(push, (np.where(negative, 1, e), np.where(negative, 0, e_low)))
    return double_double.sub(pull, push)[0]


def _probs(values: Float64s, scale: str, cancellation_limit: float) -> Float64s:
    if scale == "logits":
        return softmax64(values, cancellation_limit)
    return values if scale == "probs" else np.exp(values)


def _log_probs(values: Float64s, scale: str, cancellation_limit: float) -> Float64s:
    if scale == "logits":
        return log_softmax64(values, cancellation_limit)
    log_p = np.log(values) if scale == "probs" else values
    # A row with an unknown probability does not sum to one, whichever of its classes is asked for.
    return np.where(np.isnan(log_p).any(axis=-1, keepdims=True), np.nan, log_p)


def _divergence(t: Float64s, log_t: Float64s, p: Float64s, log_p: Float64s) -> Float64s:
    # The terms t log(t/p) have both signs and nearly cancel where t is near p. The terms t log(t/p) - t + p add up to
    # the same, since both sides sum to one, and none of them is negative.
    ratio = log_p - log_t
    near = np.abs(ratio) < 0.5
    terms = np.where(near, t * _exp_minus_1_minus_x(np.where(near, ratio, 0)), (p - t) - t * ratio)
    return _row_totals(np.where(t == 0, p, terms))


def _exp_minus_1_minus_x(x: Float64s) -> Float64s:
    """exp(x) - 1 - x for small x, as x^2/2 (1 + x/3 (1 + x/4 (...)))."""
    series = np.ones_like(x)
    for n in range(17, 2, -1):
        series = 1 + x / n * series
    return x * x / 2 * series
