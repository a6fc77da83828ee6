"""Losses in PyTorch: drop-in twins of `torch.nn.functional` that keep their digits.

Where PyTorch's own result is exact they agree with it to rounding, reductions included. The book's page on edge cases
lists where they differ, and why.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from logitkit import kernels
from logitkit._arrays import Floats
from logitkit.formulas.binary import loss_of_logits, zero_safe_product
from logitkit.torch import _device
from logitkit.torch import _namespace as xp
from logitkit.torch._blocks import in_blocks
from logitkit.torch._classes import ClassTarget, reduced
from logitkit.torch._inputs import (
    autocast_to_float32,
    legacy_reduction,
    overridable,
    require_factor,
    require_floats,
    require_integer,
    require_proportion,
    require_scale,
    require_tensor,
    widened,
)
from logitkit.torch._operators import Operator, Ways


@overridable
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    r"""Cross entropy of logits: ``torch.nn.functional.cross_entropy``, with its digits.

    .. math:: \operatorname{CE} = -\sum_i w_i t_i \log \operatorname{softmax}(z)_i

    For one target class y it is :math:`w_y \operatorname{softplus}(-\ell_y)` with the class log-odds
    :math:`\ell_y = z_y - \log \sum_{j \ne y} e^{z_j}`, and its gradient
    :math:`w_y \operatorname{expit}(-\ell_y)(\operatorname{softmax}(z_{j \ne y}) - \mathbf 1_y)`. Both are computed so.

    Parameters
    ----------
    input : Tensor
        Logits in nats, of shape (C,), (N, C) or (N, C, d1, ...); -inf masks a class, one +inf in a row is certainty.
    target : Tensor
        Integers of the shape of `input` without C: class indices. Floating-point numbers in [0, 1] of the shape of
        `input`: distributions.
    weight : Tensor, optional
        One weight for each class.
    size_average, reduce : bool, optional
        PyTorch's deprecated spelling of `reduction`.
    ignore_index : int
        The class index of rows that count for nothing, whatever their logits.
    reduction : {"mean", "sum", "none"}
        "mean" divides the sum by the sum of the weights of the target classes, or, where the target holds
        distributions, by the number of rows; it is NaN where that is zero.
    label_smoothing : float
        Share in [0, 1] of each target that is spread evenly over the classes.

    Returns
    -------
    Tensor
        Loss in nats, in the dtype of `input`, which a distribution in a wider dtype widens and a weight doesn't.
        Within autocast, float16 and bfloat16 count as float32. float32 and float64 compute in their own precision,
        float16 and bfloat16 in float32. You can differentiate the loss any number of times, map it and compile it.
        Unlike :func:`logitkit.cross_entropy`, it may be inf where two logits are further apart than the largest
        number of their dtype, however small the target's share of the lower one.

    Raises
    ------
    TypeError
        If `input`, `target` or `weight` isn't a tensor, or `ignore_index` isn't an integer.
    ValueError
        If shapes or dtypes do not fit or an option is unknown; on a CPU also if a target is no class or outside
        [0, 1]. Elsewhere, and where the function is compiled, mapped or traced, such a target gives NaN.

    References
    ----------
    The book's chapters *Are raw logits log-odds?* and *Why do losses take logits?*

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> logits = torch.tensor([[17.0, 0.0]], requires_grad=True)
    >>> loss = lt.cross_entropy(logits, torch.tensor([0]))
    >>> print(f"{loss.item():.5e}")
    4.13994e-08
    >>> loss.backward()
    >>> logits.grad
    tensor([[-4.1399e-08,  4.1399e-08]])
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    logits = autocast_to_float32(require_floats(input))
    shape = tuple(logits.shape)
    axis = 1 if len(shape) > 1 else 0
    distributions = require_scale(target, shape[:axis] + shape[axis + 1 :], shape)
    rows = logits
    if axis == 0:  # one row without a batch
        rows, target = rows[None], target[None]
    elif len(shape) > 2:
        rows, target = rows.movedim(1, -1), target.movedim(1, -1) if distributions else target
    losses = _CROSS_ENTROPY(
        rows, target, weight, require_integer(ignore_index, "ignore_index"), label_smoothing, reduction
    )
    return losses[0] if axis == 0 and reduction == "none" else losses


def _ways_of_classes(
    rows: Tensor, target: Tensor, weight: Tensor | None, ignored: int, smoothing: float, reduction: str
) -> Ways:
    goal = ClassTarget(target, rows.shape[-1], weight, ignored, smoothing)
    dtype = torch.promote_types(rows.dtype, target.dtype) if goal.is_distribution else rows.dtype

    def composite(rows: Tensor) -> Tensor:
        return reduced(goal.losses_of_all(rows), goal.divisor(), reduction).to(dtype)

    def kernel(rows: Tensor, grad: bool) -> tuple[Tensor, Floats]:
        return goal.by_kernel(rows, grad, reduction, dtype)

    return Ways(composite, kernel, rows.shape[:-1] if reduction == "none" else (), dtype)


_CROSS_ENTROPY = Operator(
    "cross_entropy",
    _ways_of_classes,
    "Tensor target, Tensor? weight, int ignored, float smoothing, str reduction",
)


@overridable
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    r"""Binary cross entropy of log-odds: ``torch.nn.functional.binary_cross_entropy_with_logits``, with its digits.

    .. math::

        \begin{aligned}
        \operatorname{BCE} &= w\,[a\,y \operatorname{softplus}(-x) \\
        &\quad + (1 - y) \operatorname{softplus}(x)]
        \end{aligned}

    Parameters
    ----------
    input : Tensor
        Log-odds x in nats, of any shape.
    target : Tensor
        Probabilities y in [0, 1] of the positive class, of the shape of `input`.
    weight : Tensor, optional
        Factor w of each loss; broadcasts to the shape of `input`.
    size_average, reduce : bool, optional
        PyTorch's deprecated spelling of `reduction`.
    reduction : {"mean", "sum", "none"}
        "mean" divides the sum by the number of elements.
    pos_weight : Tensor, optional
        Factor a of the positive part; broadcasts to the shape of `input`.

    Returns
    -------
    Tensor
        Loss in nats, in the dtype of `input`, which a floating-point target in a wider dtype widens and a factor
        doesn't. The rest is as for :func:`logitkit.torch.cross_entropy`.

    Raises
    ------
    TypeError
        If `input`, `target`, `weight` or `pos_weight` isn't a tensor.
    ValueError
        If shapes do not fit or an option is unknown; on a CPU also if a target lies outside [0, 1], elsewhere such a
        target gives NaN.

    References
    ----------
    Cox, *The regression analysis of binary sequences*, JRSS B 20 (1958).

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> log_odds, target = torch.tensor([-30.0, torch.inf]), torch.tensor([0.0, 1.0])
    >>> lt.binary_cross_entropy_with_logits(log_odds, target, reduction="none")
    tensor([9.3576e-14, 0.0000e+00])
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    logits = autocast_to_float32(require_floats(input))
    if require_tensor(target, "target").shape != input.shape:
        raise ValueError(f"target must have the shape of input, {tuple(input.shape)}, but has {tuple(target.shape)}")
    if target.is_complex():
        raise ValueError(f"target must hold real numbers, not {target.dtype}")
    return _BINARY_CROSS_ENTROPY(logits, target, weight, pos_weight, reduction)


def _ways_of_binary(
    logits: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str
) -> Ways:
    dtype = torch.promote_types(logits.dtype, target.dtype) if target.is_floating_point() else logits.dtype
    factors = {
        name: require_factor(factor, name, logits.shape)
        for name, factor in (("weight", weight), ("pos_weight", pos_weight))
        if factor is not None
    }

    def proportions() -> Tensor:  # a kernel for a GPU sees for itself what is none
        return require_proportion(target if target.is_floating_point() else target.to(logits.dtype))

    def losses_of(logits: Tensor) -> Tensor:
        operands = [logits, proportions(), *(factors[name] for name in factors if name == "pos_weight")]
        losses = in_blocks(_binary_losses, operands, (), logits[:1].numel() if logits.dim() else 1)
        losses = losses if weight is None else zero_safe_product(factors["weight"], losses, xp)
        return losses if reduction == "none" else reduced(losses, 1, "sum")

    def composite(logits: Tensor) -> Tensor:
        losses = _device.binary_cross_entropy(losses_of, logits, target, factors, reduction)
        return reduced(losses, logits.numel(), reduction).to(dtype)

    def kernel(logits: Tensor, grad: bool) -> tuple[Tensor, Floats]:
        operands = [widened(t).numpy() for t in (logits, proportions())]
        names = "weight", "pos_weight"
        operands += [factors[name].numpy().astype(np.float64) if name in factors else np.ones(1) for name in names]
        divisor, summed = logits.numel() if reduction == "mean" else 1, reduction != "none"
        factor = 1 / max(1, divisor) if grad else None  # without losses there's nothing to differentiate
        losses, slopes, _ = kernels.binary_cross_entropy(operands, 0.0, summed, factor, torch.get_num_threads())
        return torch.from_numpy(np.asarray(losses / divisor)).to(dtype), slopes

    shape = logits.shape if reduction == "none" else ()
    return Ways(composite, kernel if dtype == logits.dtype else None, shape, dtype)


_BINARY_CROSS_ENTROPY = Operator(
    "binary_cross_entropy", _ways_of_binary, "Tensor target, Tensor? weight, Tensor? pos_weight, str reduction"
)


def _binary_losses(logits: Tensor, target: Tensor, pos_weight: Tensor | float = 1.0) -> Tensor:
    result: Tensor = loss_of_logits(widened(logits), widened(target), pos_weight, xp)
    return result


class CrossEntropyLoss(torch.nn.CrossEntropyLoss):
    """The module of :func:`logitkit.torch.cross_entropy`, with the arguments of ``torch.nn.CrossEntropyLoss``.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> lt.CrossEntropyLoss(label_smoothing=0.1)(torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0]))
    tensor(0.3365)
    >>> lt.CrossEntropyLoss(reduction="sum")(torch.tensor([[40.0, 0.0]]), torch.tensor([0]))
    tensor(4.2484e-18)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits `input` under `target`."""
        return cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class BCEWithLogitsLoss(torch.nn.BCEWithLogitsLoss):
    """The module of :func:`logitkit.torch.binary_cross_entropy_with_logits`, as ``torch.nn.BCEWithLogitsLoss``.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> loss_of = lt.BCEWithLogitsLoss(reduction="none", pos_weight=torch.tensor(3.0))
    >>> loss_of(torch.tensor([2.0, -40.0]), torch.tensor([1.0, 0.0]))
    tensor([3.8078e-01, 4.2484e-18])
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of log-odds `input` under `target`."""
        return binary_cross_entropy_with_logits(
            input, target, weight=self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )
