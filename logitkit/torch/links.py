"""The binary scale in PyTorch: elementwise functions whose values and derivatives keep their digits.

The formulas, with their reasons, are those of `logitkit.formulas.binary`, in the precision of the input.
"""

from __future__ import annotations

import torch
from torch import Tensor

from logitkit.formulas import binary
from logitkit.torch import _namespace as xp
from logitkit.torch._inputs import overridable, require_floats, widened
from logitkit.torch._operators import Operator, elementwise


@overridable
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
    TypeError
        If `input` isn't a tensor.

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
    return _LOGIT(probs).to(input.dtype)


def _logit(probs: Tensor) -> Tensor:
    result: Tensor = binary.logit(_nan_unless((probs >= 0) & (probs <= 1), probs), xp)
    return result


_LOGIT = Operator("logit", elementwise(_logit, "logit"))


@overridable
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
    TypeError
        If `input` isn't a tensor.

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
    return _LOG1MEXP(widened(require_floats(input))).to(input.dtype)


def _log1mexp(log_probs: Tensor) -> Tensor:
    result: Tensor = binary.log1mexp(_nan_unless(log_probs <= 0, log_probs), xp)
    return result


_LOG1MEXP = Operator("log1mexp", elementwise(_log1mexp, "log1mexp"))


@overridable
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
        Where PyTorch's own function becomes linear. It has no effect here, and is an argument only so that you can swap
        the two.

    Returns
    -------
    Tensor
        Values of at least 0, in the shape and dtype of `input`.

    Raises
    ------
    ValueError
        If `input` does not hold floating-point numbers.
    TypeError
        If `input` isn't a tensor.

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
    values = require_floats(input)
    return _SOFTPLUS(values) if beta == 1 else _softplus(values, beta)


def _softplus(input: Tensor, beta: float = 1.0) -> Tensor:
    values = widened(input)
    # max(x, 0) is not multiplied by beta and divided again: beta x may overflow.
    linear = torch.where((values < 0) == (beta > 0), 0, values)
    curved = torch.log1p(torch.exp(abs(beta) * binary.minus_abs(values, xp)))
    return (linear + curved / beta).to(input.dtype)


_SOFTPLUS = Operator("softplus", elementwise(_softplus, "softplus"))


def _nan_unless(valid: Tensor, values: Tensor) -> Tensor:
    """Return the values, outside of the domain NaN, and with NaN for a derivative."""
    return values * torch.where(valid, 1.0, torch.nan).to(values.dtype)
