"""Sums of rows as if added exactly, for arrays of NumPy or PyTorch; `xp` is as in `binary`."""

from __future__ import annotations

from typing import Any


def row_sum(values: Any, largest: Any, xp: Any, corrections: Any = 0.0) -> Any:
    """Return the sums of non-negative float64 and their small corrections, rounded at the end; both are columns.

    `largest` is the largest value of each row, or more. All leading parts lie on one grid, coarse enough for their sum
    to be exact, and the remainders are small: step 1 of AccSum in Rump, Ogita and Oishi, *Accurate floating-point
    summation part I*, doi:10.1137/050645671.
    """
    _, exponent = xp.frexp(largest)
    grid = xp.ldexp(xp.ones_like(largest), exponent + values.shape[-1].bit_length())
    leading = (values + grid) - grid
    return leading.sum(-1)[..., None] + ((values - leading) + corrections).sum(-1)[..., None]
