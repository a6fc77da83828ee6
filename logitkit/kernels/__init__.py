"""The extra "fast": formulas compiled to machine code, for NumPy and for PyTorch's eager tensors on a CPU.

Two environment variables are read when a function is first called: LOGITKIT_KERNELS=0 switches the kernels off, and
LOGITKIT_THREADS sets how many threads a large call may use (else OMP_NUM_THREADS, else all processors).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from logitkit._arrays import Float64s, Floats

# Numbers for which one more thread is worth waking, and parts of each thread's share: one held up by another program
# leaves the rest to the others.
WORTH_A_THREAD, PARTS = 1 << 16, 8


@cache
def why_off() -> str | None:
    """Return why the kernels aren't used, None if they are."""
    if os.environ.get("LOGITKIT_KERNELS", "1") == "0":
        return "LOGITKIT_KERNELS is 0"
    return None if find_spec("numba") else "Numba isn't installed; pip install 'logitkit[fast]' brings it"


@cache
def threads() -> int:
    """Return how many threads a large call may use."""
    for name in ("LOGITKIT_THREADS", "OMP_NUM_THREADS"):
        if (value := os.environ.get(name, "")).isdecimal() and int(value) > 0:
            return int(value)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def show_config() -> None:
    """Print what computes and why: the kernels of the extra "fast", or NumPy.

    ``LOGITKIT_KERNELS=0`` in the environment switches the kernels off; ``LOGITKIT_THREADS`` sets how many threads a
    large call may use (without it ``OMP_NUM_THREADS`` does, else all processors are used).

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.show_config()  # doctest: +ELLIPSIS
    logitkit ...
    backend  ...
    threads  ...
    """
    import logitkit

    off = why_off()
    print(f"logitkit {logitkit.__version__}")
    print(f"backend  {'NumPy: ' + off if off else 'Numba, compiled kernels'}")
    print(f"threads  {threads()}")


def cross_entropy(
    logits: Floats, labels: npt.NDArray[np.integer[Any]], factors: Float64s, grad: bool, most_threads: int | None = None
) -> tuple[Float64s, Floats, npt.NDArray[np.bool_]]:
    """Return the loss of each row's class, 0 for a negative one; its gradient times a factor; and the rows left out."""
    rows, classes = logits.shape
    values = _flat(logits)
    losses, left = np.empty(rows), np.zeros(rows, bool)
    grads = np.empty(logits.size if grad else 0, values.dtype)
    arrays = (values, classes, labels, factors, losses, grads, left)
    run("cross_entropy", rows, classes, *arrays, most_threads=most_threads)
    return losses, grads.reshape(logits.shape if grad else (0, classes)), left


def _flat(values: Floats) -> npt.NDArray[Any]:
    """Return the values as kernels take them: one after another, in float32 or float64."""
    return np.ascontiguousarray(values, np.float64 if values.dtype == np.float64 else np.float32).reshape(-1)


def run(kernel: str, rows: int, width: int, *arguments: Any, most_threads: int | None = None) -> None:
    """Call a kernel for all rows of `width` numbers, in as many threads as they're worth."""
    from logitkit.kernels import _compiled

    function: Callable[..., None] = getattr(_compiled, kernel)
    workers = min(most_threads or threads(), rows * width // WORTH_A_THREAD, rows)
    if workers <= 1:
        with np.errstate(all="ignore"):
            return function(0, rows, *arguments)
    step = -(-rows // (PARTS * workers))
    starts = iter(range(0, rows, step))

    def work() -> None:
        with np.errstate(all="ignore"):
            for start in starts:  # whichever thread is free takes the next part
                function(start, min(start + step, rows), *arguments)

    others = [_pool().submit(work) for _ in range(workers - 1)]
    work()
    for other in others:
        if not other.cancel():  # it never began, and nothing is left for it
            other.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, threads() - 1), thread_name_prefix="logitkit")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a fork doesn't bring the threads along
