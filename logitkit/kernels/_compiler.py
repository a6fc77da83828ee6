"""How a kernel is compiled: by Numba, which lets go of the interpreter's lock and keeps the result on disk."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# A product and a sum may be one instruction. Nothing else about the order of operations is free: `two_sum` and the
# rounding in `exp` are what compilers take for roundabout ways of writing zero. With NUMBA_DISABLE_JIT=1 the kernels
# are the plain functions that they look like, for a debugger or to measure what tests reach, without NumPy's warnings.
options: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract"}}
plain: bool = numba.config.DISABLE_JIT  # type: ignore[attr-defined]
compiled: Any = np.errstate(all="ignore") if plain else numba.njit(**options)
# Part of its callers before a compiler weighs whether that's worth it: what a loop calls must be, to be vectorized.
inlined: Any = numba.njit(forceinline=True, **options)
