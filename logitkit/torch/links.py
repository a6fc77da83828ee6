"""The binary scale in PyTorch: elementwise functions whose values and derivatives keep their digits.

The formulas are those of `logitkit.links`, with their reasons there. Each derivative is written with functions of this
module, so that it can be differentiated again, any number of times.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from logitkit.torch._blocks import widened
from logitkit.torch._checks import require_floats


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    r"""Log-odds of probabilities: ``torch.logit``, accurate near one half too.

    .. math:: \operatorname{logit}(p) = \log \frac{p}{1 - p}

    Parameters
    ----------
    input : Tensor
        Probabilities, of any shape.
    eps : float, optional
        If given, probabilities are first clamped to [eps, 1 - eps].

    Returns
    -------
    Tensor
        Log-odds in nats, in the shape and dtype of `input`; NaN outside [0, 1].

    Raises
    ------
    ValueError
        If `input` does not hold floating-point numbers.

    References
    ----------
    See :func:`logitkit.logit`.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> lt.logit(torch.tensor([0.0, 0.4999999, 0.9]))
    tensor([       -inf, -3.5763e-07,  2.1972e+00])
    """
    probs = widened(require_floats(input))
    if eps is not None:
        probs = probs.clamp(eps, 1 - eps)
    result: Tensor = _Logit.apply(probs)
    return result.to(input.dtype)


def log1mexp(input: Tensor) -> Tensor:
    r"""Logarithm of one minus an exponential: the log of a probability becomes the log of its complement.

    .. math:: \operatorname{log1mexp}(x) = \log(1 - e^x), \quad x \le 0

    Parameters
    ----------
    input : Tensor
        Log-probabilities in nats, of any shape.

    Returns
    -------
    Tensor
        Log-probabilities in nats, in the shape and dtype of `input`; NaN where it is above 0.

    Raises
    ------
    ValueError
        If `input` does not hold floating-point numbers.

    References
    ----------
    See :func:`logitkit.log1mexp`.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> lt.log1mexp(torch.tensor([-1e-20, -0.5]))
    tensor([-46.0517,  -0.9328])
    """
    result: Tensor = _Log1mexp.apply(widened(require_floats(input)))
    return result.to(input.dtype)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    r"""The smooth positive part: ``torch.nn.functional.softplus``, without the jump at its threshold.

    .. math:: \operatorname{softplus}(x) = \frac{1}{\beta} \log(1 + e^{\beta x})

    Parameters
    ----------
    input : Tensor
        Real numbers, of any shape.
    beta : float
        Steepness.
    threshold : float
        Where PyTorch's own function becomes linear. This one has no need to and takes the argument to be a drop-in.

    Returns
    -------
    Tensor
        Values of at least 0, in the shape and dtype of `input`.

    Raises
    ------
    ValueError
        If `input` does not hold floating-point numbers.

    References
    ----------
    See :func:`logitkit.softplus`.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> print(f"{lt.softplus(torch.tensor(20.5, dtype=torch.float64)).item():.11f}")
    20.50000000125
    """
    result: Tensor = _Softplus.apply(widened(require_floats(input)) * beta)
    return (result / beta).to(input.dtype)


def expit(log_odds: Tensor) -> Tensor:
    """Return the probabilities of log-odds."""
    result: Tensor = _Expit.apply(log_odds)
    return result


class _Elementwise(Function):
    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)


class _Expit(_Elementwise):
    @staticmethod
    def forward(log_odds: Tensor) -> Tensor:
        e = torch.exp(-log_odds.abs())
        return torch.where(log_odds < 0, e, 1) / (1 + e)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (log_odds,) = ctx.saved_tensors
        return grad * expit(log_odds) * expit(-log_odds)


class _Softplus(_Elementwise):
    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return values.clamp(min=0) + torch.log1p(torch.exp(-values.abs()))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        return grad * expit(values)


class _Logit(_Elementwise):
    @staticmethod
    def forward(probs: Tensor) -> Tensor:
        middle = (probs - 0.5).abs() <= 0.25
        return torch.where(middle, 2 * torch.atanh(2 * probs - 1), torch.log(probs / (1 - probs)))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (probs,) = ctx.saved_tensors
        return grad / (probs * (1 - probs))


class _Log1mexp(_Elementwise):
    @staticmethod
    def forward(log_probs: Tensor) -> Tensor:
        near_zero, far = torch.log(-torch.expm1(log_probs)), torch.log1p(-torch.exp(log_probs))
        return torch.where(log_probs > -math.log(2), near_zero, far)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        # -e^x over 1 - e^x, where nothing overflows or cancels.
        (log_probs,) = ctx.saved_tensors
        return grad * torch.exp(log_probs) / torch.expm1(log_probs)
