"""How a kernel is compiled: by Numba, which lets go of the interpreter's lock and keeps the result on disk."""

from __future__ import annotations

from typing import Any

import numba

# A product and a sum may be one instruction. Nothing else about the order of operations is free: `two_sum` and the
# rounding in `exp` are what compilers take for roundabout ways of writing zero. With NUMBA_DISABLE_JIT=1 the kernels
# are the plain functions that they look like, for a debugger or to measure what tests reach.
compiled: Any = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
