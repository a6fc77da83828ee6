"""The binary scale, element by element, for arrays of NumPy or PyTorch.

`xp` is the array module: NumPy, or `logitkit.torch`'s functions. The formulas are chosen so that no digits are lost
anywhere on their domain, and so that automatic differentiation loses none either, however often it is applied: a
branch never sees a number at which its derivative is infinite but where the function's own is, and x = 0 belongs to
one side wherever both meet.
"""

from __future__ import annotations

from typing import Any

LOG2 = 0.6931471805599453


def odds(p: Any) -> Any:
    """Return the odds of probabilities."""
    return p / (1 - p)


def logit(p: Any, xp: Any) -> Any:
    """Return the log-odds of probabilities."""
    # Near one half, p / (1 - p) is near 1 and its logarithm would lose all digits. There 1 - 2p is exact, and the
    # quotient is that of the odds minus one, the larger probability by the smaller.
    middle = xp.abs(p - 0.5) <= 0.25
    m, tail = xp.where(middle, p, 0.5), xp.where(middle, 0.125, p)
    below = m < 0.5
    distance = xp.log1p(xp.where(below, 1 - 2 * m, 2 * m - 1) / xp.where(below, m, 1 - m))
    return xp.where(middle, xp.where(below, -distance, distance), xp.log(tail) - xp.log1p(-tail))


def minus_abs(x: Any, xp: Any) -> Any:
    """Return -abs(x), with a derivative at 0."""
    return xp.where(x < 0, x, -x)


def expit(x: Any, xp: Any) -> Any:
    """Return the probabilities of log-odds."""
    # exp(-|x|) cannot overflow. The quotient has the rounding error of its sum, too; what is made of it, the smaller of
    # the two probabilities as e - e^2 / (1 + e) and the larger as 1 - e / (1 + e), has less than all of its errors.
    e = xp.exp(minus_abs(x, xp))
    smaller = e / (1 + e)
    return xp.where(x < 0, e - e * smaller, 1 - smaller)


def softplus(x: Any, xp: Any) -> Any:
    """Return log(1 + exp(x))."""
    # Both terms are positive, so nothing cancels; log1p keeps the tail where exp(-|x|) is below the spacing at 1.
    return xp.where(x < 0, 0, x) + xp.log1p(xp.exp(minus_abs(x, xp)))


def log1mexp(x: Any, xp: Any) -> Any:
    """Return log(1 - exp(x)) of x <= 0."""
    # Near 0, exp(x) is near 1 and only expm1 keeps the difference; far below, only log1p keeps the tail.
    # At -log 2, where the result is -log 2 too, both are good (Maechler); at 0 only log1p has the right derivative.
    near = (x > -LOG2) & (x < 0)
    return xp.where(near, xp.log(-xp.expm1(xp.where(near, x, -LOG2))), xp.log1p(-xp.exp(xp.where(near, -LOG2, x))))


def zero_safe_product(weight: Any, values: Any, xp: Any) -> Any:
    """Return the product with 0 * inf = 0."""
    return weight * xp.where((weight == 0) & xp.isinf(values), 0, values)


def loss_of_logits(x: Any, y: Any, pos_weight: Any, xp: Any) -> Any:
    """Return a y softplus(-x) + (1 - y) softplus(x), with the weight a of the positive part."""
    # The log1p that both share is written once: all terms are positive.
    positive, negative, minus_size = pos_weight * y, 1 - y, minus_abs(x, xp)
    linear = zero_safe_product(xp.where(x < 0, positive, negative), -minus_size, xp)
    return (positive + negative) * xp.log1p(xp.exp(minus_size)) + linear


def loss_of_probs(p: Any, y: Any, pos_weight: Any, xp: Any) -> Any:
    """Return -a y log(p) - (1 - y) log(1 - p)."""
    return zero_safe_product(pos_weight * y, -xp.log(p), xp) + zero_safe_product(1 - y, -xp.log1p(-p), xp)


def loss_of_log_probs(log_p: Any, y: Any, pos_weight: Any, xp: Any) -> Any:
    """Return the same of log-probabilities."""
    return zero_safe_product(pos_weight * y, -log_p, xp) + zero_safe_product(1 - y, -log1mexp(log_p, xp), xp)
