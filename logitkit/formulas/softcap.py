"""Soft-capping of logits, element by element, for arrays of NumPy or PyTorch; `xp` is as in `binary`."""

from __future__ import annotations

from typing import Any

from logitkit.formulas.binary import minus_abs


def capped(z: Any, cap: float, xp: Any) -> Any:
    """Return cap tanh(z / cap); a mask, -inf, stays one."""
    x = z / cap
    e = xp.exp(2 * minus_abs(x, xp))
    far = (1 - e) / (1 + e)
    # Near 0 a difference from 1 would lose the digits of x; away from it, 1 - tanh(x)^2 those of the derivative.
    near = xp.abs(x) < 0.5
    return xp.where(z == -xp.inf, z, cap * xp.where(near, xp.tanh(x), xp.where(x < 0, -far, far)))


def slope(z: Any, cap: float, xp: Any) -> Any:
    """Return the derivative of that, 1 - tanh(z / cap)^2."""
    e = xp.exp(2 * minus_abs(z / cap, xp))
    return 4 * e / ((1 + e) * (1 + e))
