"""PyTorch's functions as the formulas call them, which are written for arrays of NumPy or PyTorch alike."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch import abs as abs
from torch import exp as exp
from torch import frexp as frexp
from torch import inf as inf
from torch import isinf as isinf
from torch import ldexp as ldexp
from torch import log as log
from torch import log1p as log1p
from torch import ones_like as ones_like
from torch import tanh as tanh


def where(condition: Tensor, a: Tensor | float, b: Any) -> Tensor:
    """Return a where the condition holds, else b: for a number in one operation, of which torch.where makes two."""
    return torch.where(condition, a, b) if isinstance(a, Tensor) else b.masked_fill(condition, a)


def expm1(x: Tensor) -> Tensor:
    """Return exp(x) - 1 of x <= 0, with its digits: a compiled torch.expm1 is a difference on some processors."""
    # 2 t / (1 - t) with t = tanh(x / 2), where x / 2 is not subnormal.
    double = torch.where(x > -1e-30, x, 2 * torch.tanh(x / 2))
    return double / (1 - double / 2)
