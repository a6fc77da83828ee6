"""The multiclass scale in PyTorch: log-softmax and class log-odds that keep their digits.

As in `logitkit.simplex`, everything rests on the exponentials relative to the largest logit and on their sum without
that largest one, which is what is small when the network is confident.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from logitkit.torch._blocks import widened
from logitkit.torch._checks import require_floats


def log_softmax(input: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    r"""Log-probabilities of the classes: ``torch.nn.functional.log_softmax``, whose top class keeps its digits.

    .. math:: \operatorname{log\_softmax}(z)_i = z_i - \log \sum_j e^{z_j}

    Parameters
    ----------
    input : Tensor
        Logits in nats; -inf masks a class, one +inf in a row is certainty.
    dim : int
        The dimension of the classes.
    dtype : torch.dtype, optional
        The dtype that the logits are first converted to.

    Returns
    -------
    Tensor
        Log-probabilities in nats, in the shape and dtype of `input`. A row that is all -inf, holds NaN or more than one
        +inf is NaN.

    Raises
    ------
    ValueError
        If, after a conversion to `dtype`, the logits do not hold floating-point numbers.

    References
    ----------
    See :func:`logitkit.log_softmax`.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> lt.log_softmax(torch.tensor([40.0, 0.0]), dim=-1)
    tensor([-4.2484e-18, -4.0000e+01])
    """
    logits = require_floats(input if dtype is None else input.to(dtype))
    result: Tensor = _LogSoftmax.apply(widened(logits).movedim(dim, -1))
    return result.movedim(-1, dim).to(logits.dtype)


def class_log_odds(input: Tensor, dim: int = -1) -> Tensor:
    r"""Log-odds of each class against all the others.

    .. math::

        \begin{aligned}
        \ell_i &= z_i - \log \sum_{j \ne i} e^{z_j} \\
        &= \operatorname{logit}(\operatorname{softmax}(z)_i)
        \end{aligned}

    Parameters
    ----------
    input : Tensor
        Logits in nats; -inf masks a class, one +inf in a row is certainty. A row that is all -inf, holds NaN or more
        than one +inf is NaN.
    dim : int
        The dimension of the classes.

    Returns
    -------
    Tensor
        Log-odds in nats, in the shape and dtype of `input`; inf where a class has no rival. Near zero the error is that
        of a difference of numbers near one.

    Raises
    ------
    ValueError
        If `input` does not hold floating-point numbers.

    References
    ----------
    See :func:`logitkit.class_log_odds`.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> lt.class_log_odds(torch.tensor([200.0, 0.0, 0.0]))
    tensor([ 199.3069, -200.0000, -200.0000])
    """
    logits = widened(require_floats(input)).movedim(dim, -1)
    top = logits.argmax(dim=-1, keepdim=True)
    largest = logits.gather(-1, top)
    # Any other class has the largest among its rivals, so their sum contains a one and taking its own term from it
    # cancels nothing.
    difference = (logits - largest).scatter(-1, top, 0)  # also where the largest is inf
    exps = torch.exp(difference)
    rivals = exps.sum(dim=-1, keepdim=True) - exps
    log_odds = difference - torch.log(rivals.scatter(-1, top, 1))
    of_top = largest - logits.scatter(-1, top, -torch.inf).logsumexp(dim=-1, keepdim=True)
    return log_odds.scatter(-1, top, of_top).movedim(-1, dim).to(input.dtype)


def exp_of_difference(values: Tensor, pivot: Tensor) -> Tensor:
    """Return exp(values - pivot) without the rounding error of the difference, for finite operands."""
    # Step by step as in two_difference, but with as few temporaries as it takes.
    difference = values - pivot
    pivot_used = values - difference
    error = values - (difference + pivot_used)
    error += pivot_used.sub_(pivot)
    return difference.exp_().mul_(error.add_(1))


def two_difference(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rounded difference and its rounding error, exactly: a - b == difference + error (Knuth's TwoSum)."""
    difference = a - b
    b_used = a - difference
    return difference, (a - (difference + b_used)) + (b_used - b)


def others(values: Tensor) -> Tensor:
    """For each entry of a row the sum of all other entries; the largest is left out of its own sum."""
    top = values.abs().argmax(dim=-1, keepdim=True)
    rest = values.scatter(-1, top, 0).sum(dim=-1, keepdim=True)
    return ((values.gather(-1, top) + rest) - values).scatter(-1, top, rest)


def _relative_to_largest(logits: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return z - max(z) with its rounding error, its exponentials, and their sum without one largest, which is 1."""
    largest = logits.amax(dim=-1, keepdim=True)
    difference, error = two_difference(logits, largest)
    # A certain class is 0 against -inf. A row of which all classes are masked stays NaN.
    difference = torch.where(logits == torch.inf, 0, difference)
    error = torch.where(difference.isfinite() & largest.isfinite(), error, 0)
    exps = difference.exp() * (1 + error)
    equal = difference == 0
    ties = equal.sum(dim=-1, keepdim=True) - 1
    rest = torch.where(equal, 0, exps).sum(dim=-1, keepdim=True) + ties
    return difference, error, exps, torch.where(largest.isposinf() & (ties > 0), torch.nan, rest)


class _LogSoftmax(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor) -> Tensor:
        difference, error, _, rest = _relative_to_largest(logits)
        return (difference - torch.log1p(rest)) + error

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        result: Tensor = _LogSoftmaxGradient.apply(*ctx.saved_tensors, grad)
        return result


class _LogSoftmaxGradient(Function):
    """g_j - p_j sum(g), as g_j (1 - p_j) - p_j (sum of the other g): the terms that would cancel are left out."""

    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor, grad: Tensor) -> Tensor:
        _, _, exps, rest = _relative_to_largest(logits)
        rivals = torch.where(exps == 1, rest, (1 + rest) - exps)
        return (grad * rivals - exps * others(grad)) / (1 + rest)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        logits, grad = ctx.saved_tensors
        probs = torch.softmax(logits, dim=-1)
        deviation = cotangent - (probs * cotangent).sum(dim=-1, keepdim=True)
        return -grad.sum(dim=-1, keepdim=True) * probs * deviation, deviation
