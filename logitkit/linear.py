"""The output layer and its loss in one: cross entropy of `features @ weight.T + bias`, a block of logits at a time.

With a large vocabulary the logits, rows x classes of them, are the largest array of a training step, and the loss and
its gradient make several more of that size. Here no more than a block of them exists at any time:

- If a block of rows with all their classes fits, each block yields its losses and gradients in one pass.
- If not, a first pass over blocks of classes keeps two numbers a row, the running maximum and the running rest, and
  with them the running gradient of the features; a second pass, which computes the logits again, adds up that of the
  weight.

Both add the terms of a gradient in float64 and round it once. The gradient with respect to the logits is that of
`losses`: at the target minus the sum of the others, so the class is left out of the running sums, not subtracted later.

Sources: Milakov and Gimelshein, *Online normalizer calculation for softmax*, arXiv:1805.02867, for the running
maximum; Rabe and Staats, *Self-attention does not need O(n^2) memory*, arXiv:2112.05682, for sums scaled along with it;
Wijmans et al., *Cut your losses in large-vocabulary language models*, arXiv:2411.09009, for layer and loss in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from logitkit import kernels
from logitkit._arrays import BLOCK, Float64s, Floats, Reduction, as_array, as_floats, by_row, integer, require
from logitkit._targets import class_indices, divisor_for, reduce, require_layer_options
from logitkit.formulas import softcap as formulas
from logitkit.losses import hard_gradient
from logitkit.simplex import Shifted, cancellation_limit_of, round_to, shift, shift_by

BLOCK_BYTES = 1 << 26

# float64 numbers alive at once, at most: for each cell of a block of logits, and of what `by_row` works on at a time;
# for each row and each class as many as it has features.
_PER_CELL, _PER_WORKED_ON, _PER_ROW, _PER_CLASS = 2, 12, 6, 3
_MORE_TO_CAP = 4
# A product with fewer rows is bound by reading the weight, so that computing the logits twice costs less.
_ROWS_WORTH_ONE_PASS = 32


def linear_cross_entropy(
    features: npt.ArrayLike,
    weight: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    bias: npt.ArrayLike | None = None,
    ignore_index: int | None = None,
    softcap: float | None = None,
    z_loss: float = 0.0,
    reduction: Reduction = "mean",
    block_bytes: int = BLOCK_BYTES,
) -> Any:
    r"""Cross entropy of a linear layer's logits, which are never stored as a whole.

    .. math::

        \begin{aligned}
        \operatorname{CE} &= -\log \operatorname{softmax}(z)_y, \\
        z &= W h + b
        \end{aligned}

    The value is that of ``cross_entropy(target, logits=features @ weight.T + bias)``; memory is bounded by
    `block_bytes` where that call holds rows x classes logits.

    Parameters
    ----------
    features : array_like
        The inputs h of the layer, finite, of shape (..., D).
    weight : array_like
        The layer's matrix W, finite, one row for each class: of shape (C, D).
    target : array_like
        Class indices: integers of shape (...).
    bias : array_like, optional
        The layer's b, of shape (C,); -inf masks a class.
    ignore_index : int, optional
        Rows with this class index count for nothing.
    softcap : float, optional
        Cap c on the size of the logits: z becomes :math:`c \tanh(z / c)`. A bias of -inf still masks a class.
    z_loss : float
        Price of the free constant: this many times the square of logsumexp(z) is added to the loss of each row that
        isn't ignored.
    reduction : {"mean", "sum", "none"}
        "none" keeps one value per row; "mean" divides the sum by the number of rows that are not ignored.
    block_bytes : int
        How many bytes the call may use besides its results and a few numbers for each row and each class. A smaller
        number means smaller blocks, and results that differ only by rounding.

    Returns
    -------
    ndarray or scalar
        Loss in nats, at least 0, in the widest dtype of features, weight and bias; integers and booleans count as
        float64. NaN gives NaN: one in the features in its row, one in the weight or bias in all rows.

    Raises
    ------
    ValueError
        If shapes do not fit, an index is not a class, features or weight are infinite or so large that the product may
        overflow, all classes are masked, the mean is over no row, `softcap` isn't positive, `z_loss` is negative, or
        `block_bytes` is too small for one logit.
    TypeError
        If an argument does not hold real numbers, or `ignore_index` or `block_bytes` is not an integer.

    Notes
    -----
    Products are formed and added in float64, whatever the dtype, and the result is rounded once. In float16 and float32
    the product's own error therefore does not show; in float64 it is the only one that does: the loss is as accurate
    as that of :func:`logitkit.cross_entropy`, given the logits.

    References
    ----------
    Wijmans et al., *Cut your losses in large-vocabulary language models*, arXiv:2411.09009; Gemma Team, *Gemma 2*,
    arXiv:2408.00118, for the cap; Chowdhery et al., *PaLM*, arXiv:2204.02311, for the z-loss.

    Examples
    --------
    >>> import logitkit as lk
    >>> features, weight = [[1.0, 2.0], [3.0, -1.0]], [[20.0, 10.0], [0.0, 0.0], [0.0, -1.0]]
    >>> lk.linear_cross_entropy(features, weight, [0, 2], reduction="none")
    array([4.82330648e-18, 4.90000000e+01])
    """
    layer = _layer(features, weight, bias, target, ignore_index, softcap, z_loss)
    divisor = divisor_for(layer.kept.size, reduction)
    row_step, class_step = layer.block_shape(block_bytes)
    losses = np.zeros(layer.labels.size)
    with np.errstate(all="ignore"):
        for rows, block in layer.row_blocks(row_step):
            losses[rows] = layer.losses(_scan(layer, block, layer.labels[rows], class_step)[0])[:, 0]
    return reduce(losses.reshape(layer.row_shape), divisor, reduction, layer.dtype)


def linear_cross_entropy_value_and_grad(
    features: npt.ArrayLike,
    weight: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    bias: npt.ArrayLike | None = None,
    ignore_index: int | None = None,
    softcap: float | None = None,
    z_loss: float = 0.0,
    reduction: Reduction = "mean",
    block_bytes: int = BLOCK_BYTES,
) -> tuple[Any, tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any] | None]]:
    r"""Cross entropy of a linear layer's logits and its derivatives with respect to the layer's three operands.

    .. math::

        \begin{aligned}
        \frac{\partial \operatorname{CE}}{\partial h} &= W^\top g, \\
        \frac{\partial \operatorname{CE}}{\partial W} &= g h^\top, \\
        \frac{\partial \operatorname{CE}}{\partial b} &= g, \\
        g_j &= \begin{cases} p_j & j \ne y \\ -\sum_{i \ne y} p_i & j = y \end{cases}
        \end{aligned}

    for one row; the derivatives of W and b add up over the rows that are not ignored. A `z_loss` of
    :math:`\lambda` adds :math:`2 \lambda \operatorname{lse}(z)\, p_j` to :math:`g_j`, and a `softcap` multiplies it by
    the derivative of the cap.

    Parameters
    ----------
    features, weight, target, bias, ignore_index, softcap, z_loss, reduction, block_bytes
        As for :func:`logitkit.linear_cross_entropy`.

    Returns
    -------
    value : ndarray or scalar
        As for :func:`logitkit.linear_cross_entropy`.
    grads : tuple of ndarray
        Derivatives of the value (with reduction "none": of the sum of the values) with respect to features, weight and
        bias, each of its operand's shape and dtype; integers and booleans give float64. Without a bias the third is
        None.

    Raises
    ------
    ValueError, TypeError
        As for :func:`logitkit.linear_cross_entropy`.

    References
    ----------
    Wijmans et al., *Cut your losses in large-vocabulary language models*, arXiv:2411.09009.

    Examples
    --------
    >>> import logitkit as lk
    >>> features, weight = [1.0, 2.0], [[20.0, 10.0], [0.0, 0.0]]
    >>> value, (d_features, d_weight, d_bias) = lk.linear_cross_entropy_value_and_grad(features, weight, 0)
    >>> d_weight
    array([[-4.24835426e-18, -8.49670851e-18],
           [ 4.24835426e-18,  8.49670851e-18]])
    """
    layer = _layer(features, weight, bias, target, ignore_index, softcap, z_loss)
    divisor = divisor_for(layer.kept.size, reduction)
    row_step, class_step = layer.block_shape(block_bytes)
    differentiate = _in_one_pass if class_step == len(layer.weight) else _in_two_passes
    with np.errstate(all="ignore"):
        losses, d_features, d_weight, d_bias = differentiate(layer, divisor, row_step, class_step)
    value = reduce(losses.reshape(layer.row_shape), divisor, reduction, layer.dtype)
    d_features = d_features.reshape(*layer.row_shape, layer.features.shape[1])
    return value, (d_features, d_weight, None if bias is None else d_bias)


@dataclass(frozen=True)
class _Layer:
    """A linear layer and the classes that its rows should have, all checked."""

    features: Floats  # rows x D
    weight: Floats  # classes x D
    bias: Floats  # one a class
    labels: npt.NDArray[np.intp]  # one a row
    kept: npt.NDArray[np.intp]  # the rows that are not ignored
    row_shape: tuple[int, ...]
    softcap: float  # inf if there's none
    z_loss: float

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the loss."""
        return np.result_type(self.features, self.weight, self.bias)

    @property
    def cancellation_limit(self) -> float:
        return cancellation_limit_of(self.dtype)

    def block_shape(self, block_bytes: int) -> tuple[int, int]:
        """Return how many rows and classes a block may have."""
        most = max(1, self.kept.size), max(1, len(self.weight))
        allowed, needed = integer(block_bytes, "block_bytes"), self._bytes(1, 1)
        if allowed < needed:
            raise ValueError(
                f"block_bytes must be at least {needed} with {self.weight.shape[1]} features, but is {allowed}; "
                "it is the memory in bytes for blocks of logits and of their operands"
            )
        rows, classes = most
        while self._bytes(rows, classes) > allowed and rows > _ROWS_WORTH_ONE_PASS:
            rows = -(-rows // 2)
        if self._bytes(rows, classes) <= allowed:
            return rows, classes
        rows, classes = most
        while self._bytes(rows, classes) > allowed:
            rows, classes = (-(-rows // 2), classes) if rows > classes else (rows, -(-classes // 2))
        return rows, classes

    def _bytes(self, rows: int, classes: int) -> int:
        cells, operands = rows * classes, _PER_ROW * rows + _PER_CLASS * classes
        worked_on = min(cells, max(BLOCK, classes)) * (_PER_WORKED_ON + (_MORE_TO_CAP if self.softcap < np.inf else 0))
        return 8 * (_PER_CELL * cells + worked_on + operands * (1 + self.weight.shape[1]))

    def row_blocks(self, step: int) -> Iterator[tuple[npt.NDArray[np.intp], Float64s]]:
        """Yield the indices and the features of blocks of rows."""
        for start in range(0, self.kept.size, step):
            rows = self.kept[start : start + step]
            yield rows, self.features[rows].astype(np.float64, copy=False)

    def class_blocks(self, step: int) -> Iterator[tuple[slice, Float64s]]:
        """Yield the place and the weights of blocks of classes."""
        for start in range(0, len(self.weight), step):
            classes = slice(start, min(start + step, len(self.weight)))
            # Rows one after another, because NumPy multiplies other layouts without BLAS.
            yield classes, self.weight[classes].astype(np.float64, order="C", copy=False)

    def logits(self, features: Float64s, weight: Float64s, classes: slice) -> Float64s:
        """Return the logits of a block."""
        z = features @ weight.T
        z += self.bias[classes]
        return z

    def capped(self, z: Float64s) -> Float64s:
        """Return what the loss sees of logits."""
        return z if self.softcap == np.inf else formulas.capped(z, self.softcap, np)

    def slope(self, z: Float64s) -> Float64s | float:
        """Return the derivative of that."""
        return 1.0 if self.softcap == np.inf else formulas.slope(z, self.softcap, np)

    def losses(self, own: Shifted) -> Float64s:
        """Return the loss of each row, as a column, from what its target's class looks like."""
        return own.surprisal + (self.z_loss * _logsumexp(own) ** 2 if self.z_loss else 0)  # a square may overflow

    def pull_of_price(self, row: Shifted) -> Float64s:
        """Return the derivative of the z-loss with respect to the logsumexp, as a column."""
        return 2 * self.z_loss * _logsumexp(row)


def _logsumexp(row: Shifted) -> Float64s:
    return row.largest + np.log1p(row.rest)


def _scan(
    layer: _Layer, features: Float64s, labels: npt.NDArray[np.intp], step: int, pull: Float64s | None = None
) -> tuple[Shifted, Float64s]:
    """Return the target's class of each row, seen from the largest of all logits, and the target's logit uncapped.

    Goes through a block of classes at a time, and adds to `pull` the sum over the other classes of exp(z - m) times the
    weights.
    """
    largest, rest = (np.full((len(labels), 1), start) for start in (-np.inf, -1.0))  # of no class
    target = np.empty_like(largest)

    def formula(z: Float64s) -> tuple[Float64s, ...]:
        row = shift(layer.capped(z), layer.cancellation_limit)
        return (row.largest[:, 0], row.rest[:, 0], *([] if pull is None else [row.exps * layer.slope(z)]))

    for classes, weight in layer.class_blocks(step):
        z = layer.logits(features, weight, classes)
        inside = _within(labels, classes)
        target[inside[0], 0] = z[inside]
        block_largest, block_rest, *exps = by_row(formula, [z], 1, np.float64)
        both = shift(np.column_stack([largest, block_largest]), layer.cancellation_limit)
        rest = both.rest + (both.exps * np.column_stack([rest, block_rest])).sum(axis=-1, keepdims=True)
        largest = both.largest
        if pull is not None:
            exps[0][inside] = 0
            pull *= both.exps[:, :1]
            pull += both.exps[:, 1:] * (exps[0] @ weight)
        del z, exps  # before the next block needs the room
    return shift_by(largest, rest, layer.capped(target), layer.cancellation_limit), target


def _in_one_pass(layer: _Layer, divisor: float, row_step: int, class_step: int) -> tuple[Any, ...]:
    """Return losses and derivatives where blocks have all classes."""
    losses, d_features = np.zeros(layer.labels.size), np.zeros_like(layer.features)
    d_weight, d_bias = np.zeros(layer.weight.shape), np.zeros(layer.bias.shape)

    def formula(z: Float64s, labels: npt.NDArray[np.intp]) -> tuple[Float64s, Float64s]:
        row = shift(layer.capped(z), layer.cancellation_limit)
        grad = hard_gradient(row, labels)
        if layer.z_loss:
            grad += layer.pull_of_price(row) * (row.exps / (1 + row.rest))
        return layer.losses(row.of_class(labels))[:, 0], grad * layer.slope(z)

    def kernel(z: Floats, labels: npt.NDArray[np.intp]) -> tuple[Any, ...]:
        return kernels.cross_entropy(z, labels, -1, None, 1.0, grad=True)

    plain = layer.softcap == np.inf and not layer.z_loss
    for classes, weight in layer.class_blocks(class_step):
        for rows, features in layer.row_blocks(row_step):
            z = layer.logits(features, weight, classes)
            fast = kernel if plain and kernels.suit(z) else None
            losses[rows], grad = by_row(formula, [z, layer.labels[rows]], 1, np.float64, fast)
            d_features[rows] = (grad @ weight) / divisor
            d_weight += grad.T @ features
            d_bias += grad.sum(axis=0)
            del z, grad  # before the next block needs the room
    d_weight /= divisor
    d_bias /= divisor
    return losses, d_features, round_to(d_weight, layer.weight), round_to(d_bias, layer.bias)


def _in_two_passes(layer: _Layer, divisor: float, row_step: int, class_step: int) -> tuple[Any, ...]:
    """Return losses and derivatives where they do not."""
    losses, seen = np.zeros(layer.labels.size), np.empty((layer.labels.size, 4))
    d_features, d_weight, d_bias = (np.zeros_like(a) for a in (layer.features, layer.weight, layer.bias))
    for rows, features in layer.row_blocks(row_step):
        labels, pull = layer.labels[rows], np.zeros_like(features)
        own, z = _scan(layer, features, labels, class_step, pull)
        total, price = 1 + own.rest, layer.pull_of_price(own)
        push = (price * own.exps - own.rivals) / total * layer.slope(z)
        d_features[rows] = ((1 + price) * pull / total + push * layer.weight[labels]) / divisor
        losses[rows] = layer.losses(own)[:, 0]
        seen[rows] = np.column_stack([own.largest, own.rest, total / (1 + price), push])

    def formula(z: Float64s, largest: Float64s, rest: Float64s, scale: Float64s) -> tuple[Float64s]:
        row = shift_by(largest[:, None], rest[:, None], layer.capped(z), layer.cancellation_limit)
        return (row.exps / scale[:, None] * layer.slope(z),)

    for classes, weight in layer.class_blocks(class_step):
        of_weight, of_bias = np.zeros(weight.shape), np.zeros(len(weight))
        for rows, features in layer.row_blocks(row_step):
            *about_rows, push = seen[rows].T
            z = layer.logits(features, weight, classes)
            (grad,) = by_row(formula, [z, *about_rows], 1, np.float64)
            inside = _within(layer.labels[rows], classes)
            grad[inside] = push[inside[0]]
            of_weight += grad.T @ features
            of_bias += grad.sum(axis=0)
            del z, grad
        d_weight[classes], d_bias[classes] = of_weight / divisor, of_bias / divisor
    return losses, d_features, d_weight, d_bias


def _within(labels: npt.NDArray[np.intp], classes: slice) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the rows whose class is in a block of classes, and its place there."""
    (rows,) = np.nonzero((labels >= classes.start) & (labels < classes.stop))
    return rows, labels[rows] - classes.start


def _layer(
    features: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None,
    target: npt.ArrayLike,
    ignore_index: int | None,
    softcap: float | None,
    z_loss: float,
) -> _Layer:
    require_layer_options(softcap, z_loss)
    inputs, matrix = as_floats(features, "features"), as_floats(weight, "weight")
    if inputs.ndim == 0:
        raise ValueError("features must have a last dimension, of the layer's inputs, but is a number")
    row_shape, width = inputs.shape[:-1], inputs.shape[-1]
    if matrix.ndim != 2 or matrix.shape[1] != width:
        hint = "; is it transposed?" if matrix.ndim == 2 and matrix.shape[0] == width else ""
        raise ValueError(
            f"weight must have the shape (classes, {width}) to go with features of shape {inputs.shape}, "
            f"but has {matrix.shape}{hint}"
        )
    offsets = as_floats(np.zeros(len(matrix), matrix.dtype) if bias is None else bias, "bias")
    if offsets.shape != matrix.shape[:1]:
        raise ValueError(f"bias must hold one number for each of the {len(matrix)} classes, but has {offsets.shape}")
    _require_finite_logits(inputs, matrix, offsets)
    classes = as_array(target, "target")
    if classes.shape != row_shape:
        raise ValueError(
            f"target must hold one class index for each row of features, in the shape {row_shape}, "
            f"but has {classes.shape}"
        )
    labels, kept = class_indices(classes, len(matrix), ignore_index)
    rows = inputs.reshape(prod(row_shape), width)
    return _Layer(rows, matrix, offsets, labels.ravel(), np.flatnonzero(kept), row_shape, softcap or np.inf, z_loss)


def _require_finite_logits(features: Floats, weight: Floats, bias: Floats) -> None:
    """Raise unless logits and derivatives are finite but for masks: where a sum overflows on the way, it is wrong."""
    require(bias != np.inf, bias, "bias", "be below inf", "no class can be certain in every row")
    if bias.size:
        largest = bias.max()
        require(largest != -np.inf, largest, "the largest of bias", "be above -inf", "all classes are masked")
    inputs, factor = _largest_size(features, "features"), _largest_size(weight, "weight")
    offset = max(float(np.fmax.reduce(bias, initial=0)), -float(np.fmin.reduce(bias, initial=0, where=bias != -np.inf)))
    if not max(features.shape[-1] * inputs * factor + offset, 2.0 * features.size * inputs, 2 * factor) < np.inf:
        raise ValueError(
            "features @ weight.T + bias may overflow float64, since the largest sizes are "
            f"{inputs:.2g} in features, {factor:.2g} in weight and {offset:.2g} in bias; scale them down"
        )


def _largest_size(values: Floats, name: str) -> float:
    # These reductions pass over NaN; a test for each value would make an array of the size of the layer.
    size = float(max(np.fmax.reduce(values, axis=None, initial=0), -np.fmin.reduce(values, axis=None, initial=0)))
    if size == np.inf:
        require(
            ~np.isinf(values), values, name, "be finite", "an inf times 0 has no meaning; a bias of -inf masks a class"
        )
    return size
