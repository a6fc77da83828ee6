"""The multiclass scale in PyTorch: log-softmax and class log-odds that keep their digits."""

from __future__ import annotations

import torch
from torch import Tensor

from logitkit.torch._eager import rowwise
from logitkit.torch._inputs import overridable, require_floats, require_tensor, widened
from logitkit.torch._rows import log_odds, surprisals


@overridable
def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None
) -> Tensor:
    r"""Log-probabilities of the classes: ``torch.nn.functional.log_softmax``, whose top class keeps its digits.

    .. math:: \operatorname{log\_softmax}(z)_i = z_i - \log \sum_j e^{z_j}

    Parameters
    ----------
    input : Tensor
        Logits in nats; -inf masks a class, one +inf in a row is certainty.
    dim : int, optional
        The dimension of the classes; without it the first of one or three dimensions, else the second, as in PyTorch.
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
    TypeError
        If `input` isn't a tensor.

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
    logits = require_floats(input if dtype is None else require_tensor(input, "input").to(dtype))
    if logits.dim() == 0:
        return log_softmax(logits[None], dim)[0]
    if dim is None:
        dim = 0 if logits.dim() in (1, 3) else 1
    logits.size(dim)  # its error says what isn't a dimension
    return rowwise(_log_softmax, "log_softmax", logits, dim)


def _log_softmax(rows: Tensor) -> Tensor:
    return (0 - surprisals(widened(rows), -1)).to(rows.dtype)  # 0, and not -0, for a certain class


@overridable
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
    TypeError
        If `input` isn't a tensor.

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
    logits = widened(require_floats(input))
    if logits.size(dim) != 1:
        return log_odds(logits, dim).to(input.dtype)
    # The only class has a masked one for a rival.
    rival = torch.full_like(logits, -torch.inf)
    return log_odds(torch.cat([logits, rival], dim), dim).narrow(dim, 0, logits.shape[dim]).to(input.dtype)
