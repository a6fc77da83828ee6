"""The extra "fast": formulas compiled to machine code, for NumPy and for PyTorch's tensors.

Numba compiles for a CPU. Triton, which PyTorch brings along where it's built for a GPU, compiles for that.

Two environment variables are read when a function is first called: LOGITKIT_KERNELS=0 switches the kernels off, and
LOGITKIT_THREADS sets how many threads a large call may use (else OMP_NUM_THREADS, else all processors).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt

from logitkit._arrays import Float64s, Floats

# The oldest that compiles the kernels.
OLDEST_TRITON = 3, 5
# Numbers from which on a kernel is worth its call, and the first call the compiler's import; below that NumPy computes.
WORTH_A_KERNEL = 1 << 12
# The scales of a distribution, in the order of their numbers in kernels.
SCALES = "logits", "probs", "log_probs"
# Numbers for which one more thread is worth waking, and the least part of a thread's share that it takes at once.
WORTH_A_THREAD, PARTS = 1 << 16, 16


@cache
def why_off() -> str | None:
    """Return why the kernels aren't used, None if they are."""
    if os.environ.get("LOGITKIT_KERNELS", "1") == "0":
        return "LOGITKIT_KERNELS is 0"
    return None if find_spec("numba") else "Numba isn't installed; pip install 'logitkit[fast]' brings it"


@cache
def why_off_on_gpu() -> str | None:
    """Return why the kernels for a GPU aren't used, None if they are."""
    if os.environ.get("LOGITKIT_KERNELS", "1") == "0":
        return "LOGITKIT_KERNELS is 0"
    if not find_spec("triton"):
        return "Triton isn't installed; PyTorch for CUDA on Linux brings it"
    import triton

    known = tuple(map(int, triton.__version__.split(".")[:2])) >= OLDEST_TRITON
    return None if known else f"Triton {triton.__version__} is too old; PyTorch 2.9 or newer brings one that isn't"


def suit(values: npt.NDArray[Any]) -> bool:
    """Whether a kernel should compute with an array."""
    return values.size >= max(1, WORTH_A_KERNEL) and why_off() is None


@cache
def threads() -> int:
    """Return how many threads a large call may use."""
    for name in ("LOGITKIT_THREADS", "OMP_NUM_THREADS"):
        if (value := os.environ.get(name, "")).isdecimal() and int(value) > 0:
            return int(value)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def show_config() -> None:
    """Print what computes and why: the kernels of the extra "fast", or NumPy; for tensors on a GPU Triton, or PyTorch.

    ``LOGITKIT_KERNELS=0`` in the environment switches the kernels off; ``LOGITKIT_THREADS`` sets how many threads a
    large call may use (without it ``OMP_NUM_THREADS`` does, else all processors are used).

    Examples
    --------
    >>> import logitkit as lk
    >>> lk.show_config()  # doctest: +ELLIPSIS
    logitkit ...
    backend  ...
    threads  ...
    on CUDA  ...
    """
    import logitkit

    off, off_on_gpu = why_off(), why_off_on_gpu()
    print(f"logitkit {logitkit.__version__}")
    print(f"backend  {'NumPy: ' + off if off else 'Numba, compiled kernels'}")
    print(f"threads  {threads()}")
    print(f"on CUDA  {'PyTorch: ' + off_on_gpu if off_on_gpu else 'Triton, compiled kernels'}")


def elementwise(
    kernel: str, values: Floats, grad: bool = False, most_threads: int | None = None
) -> tuple[Floats, Floats]:
    """Return what a kernel computes of each number, and if asked for the derivatives."""
    x = _flat(values)
    results, slopes = np.empty_like(x), np.empty(x.size if grad else 0, x.dtype)
    run(kernel, x.size, 1, x, results, slopes, most_threads=most_threads)
    with np.errstate(all="ignore"):
        return results.reshape(values.shape).astype(values.dtype, copy=False), slopes


def binary_cross_entropy(
    operands: Sequence[Floats],
    limit: float,
    summed: bool,
    factor: float | None,
    most_threads: int | None = None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return losses, or their sum; their gradient times a factor, if given; and which numbers of it are left.

    The operands are log-odds, targets, weights and pos_weights.
    """
    from logitkit.kernels import _compiled

    x, y, *of_each = operands
    chunk, values = _compiled.CHUNK, _flat(x)
    chunks, size_of_grad = -(-x.size // chunk), 0 if factor is None else x.size
    factors = [_flat(f if f.size == 1 else np.broadcast_to(f, x.shape)) for f in of_each]
    losses, sums = np.empty(0 if summed else x.size, values.dtype), np.empty(chunks)
    grads, left = np.empty(size_of_grad, values.dtype), np.zeros(size_of_grad, bool)
    arrays = (values, _flat(y, values), *factors, limit, losses, sums, factor or 0.0, grads, left)
    run("binary_cross_entropy", chunks, chunk, *arrays, most_threads=most_threads)
    with np.errstate(over="ignore"):  # a sum beyond the largest number is inf
        return sums.sum() if summed else losses.reshape(x.shape), grads, left


def binary_cross_entropy_of(scale: str, operands: Sequence[Floats], summed: bool) -> npt.NDArray[Any]:
    """Return losses of probabilities or log-probabilities, or their sum; the operands are those of the other."""
    from logitkit.kernels import _compiled

    x, y, *of_each = operands
    chunk, values = _compiled.CHUNK, _flat(x)
    chunks = -(-x.size // chunk)
    factors = [_flat(f if f.size == 1 else np.broadcast_to(f, x.shape)) for f in of_each]
    losses, sums = np.empty(0 if summed else x.size, values.dtype), np.empty(chunks)
    arrays = values, SCALES.index(scale), _flat(y, values), *factors, losses, sums
    run("binary_cross_entropy_of", chunks, chunk, *arrays)
    with np.errstate(over="ignore"):
        return sums.sum() if summed else losses.reshape(x.shape)


def cross_entropy(
    logits: Floats,
    labels: npt.NDArray[np.integer[Any]],
    ignored: int,
    weights: Float64s | None,
    divisor: float,
    grad: bool,
    most_threads: int | None = None,
) -> tuple[Float64s, Floats, npt.NDArray[np.bool_]]:
    """Return the weighted loss of each row's class, its gradient over the divisor, and which rows are left."""
    rows, classes = logits.shape
    values, of_classes = _flat(logits), np.empty(0) if weights is None else weights
    losses, left = np.empty(rows), np.zeros(rows, bool)
    grads = np.empty(logits.size if grad else 0, values.dtype)
    arrays = (values, classes, labels, ignored, of_classes, divisor, losses, grads, left)
    run("cross_entropy", rows, classes, *arrays, most_threads=most_threads)
    return losses, grads.reshape(logits.shape if grad else (0, classes)), left


def mean_cross_entropy(
    logits: Floats, labels: npt.NDArray[np.integer[Any]], ignored: int, grad: bool, dtype: type[np.floating[Any]]
) -> tuple[npt.NDArray[Any], Floats, bool]:
    """Return the mean loss of few rows, its gradient, and whether a row is left; several calls would take longer."""
    from logitkit.kernels import _compiled

    values = _flat(logits)
    mean, grads = np.empty((), dtype), np.empty(values.size if grad else 0, values.dtype)
    left = _compiled.mean_cross_entropy(values, logits.shape[1], labels, ignored, mean, grads)
    return mean, grads, left


def soft_cross_entropy(
    logits: Floats,
    target: npt.NDArray[Any],
    ignored: int,
    weights: Float64s | None,
    smoothing: float,
    divisor: float,
    limit: float,
    grad: bool,
    most_threads: int | None = None,
) -> tuple[Float64s, Floats, npt.NDArray[np.bool_]]:
    """Return the loss of rows under distributions or smoothed classes, its gradient, and which rows are left."""
    rows, classes = logits.shape
    values, of_classes = _flat(logits), np.empty(0) if weights is None else weights
    soft = target.ndim == 2
    labels, shares = (np.empty(0, np.int64), _flat(target, values)) if soft else (target, np.empty(0, values.dtype))
    losses, left = np.empty(rows), np.zeros(rows, bool)
    grads = np.empty(logits.size if grad else 0, values.dtype)
    arrays = (values, classes, labels, ignored, shares, of_classes, smoothing, divisor, limit, losses, grads, left)
    run("soft_cross_entropy", rows, classes, *arrays, most_threads=most_threads)
    return losses, grads.reshape(logits.shape if grad else (0, classes)), left


def focal_loss(x: Floats, y: Floats, exponent: float, positive: float, negative: float, summed: bool) -> Any:
    """Return the focal losses of log-odds, or their sum; the last two numbers weigh the targets 1 and 0."""
    from logitkit.kernels import _compiled

    chunk, values = _compiled.CHUNK, _flat(x)
    chunks = -(-x.size // chunk)
    losses, sums = np.empty(0 if summed else x.size, values.dtype), np.empty(chunks)
    run("focal_loss", chunks, chunk, values, _flat(y, values), exponent, positive, negative, losses, sums)
    with np.errstate(over="ignore"):  # a sum beyond the largest number is inf
        return sums.sum() if summed else losses.reshape(x.shape)


def kl_divergence(
    scales: Sequence[str], tolerances: Sequence[float], *sides: Floats
) -> tuple[Float64s, npt.NDArray[np.bool_]]:
    """Return the divergence of each row's target from its prediction, and which rows are left.

    Left are also rows of probabilities whose sum is further from one than the side's tolerance.
    """
    rows, classes = sides[0].shape
    dtype = np.result_type(*sides)
    of_sides = [
        (_flat(side.astype(dtype, copy=False)), SCALES.index(scale), tolerance)
        for side, scale, tolerance in zip(sides, scales, tolerances, strict=True)
    ]
    losses, *left = np.empty(rows), np.zeros(rows, bool), np.zeros(rows, bool)
    run("kl_divergence", rows, classes, *of_sides[0], *of_sides[1], classes, losses, *left)
    return losses, left[0] | left[1]


def cross_entropy_of(
    scale: str,
    tolerance: float,
    prediction: Floats,
    target: npt.NDArray[Any],
    ignored: int,
    weights: Float64s,
    smoothing: float,
) -> tuple[Float64s, npt.NDArray[np.bool_]]:
    """Return the loss of rows of probabilities or log-probabilities, and which rows are left.

    Left are those of another sum than one, and those that hold NaN.
    """
    rows, classes = prediction.shape
    values = _flat(prediction)
    labels, shares = (np.empty(0, np.int64), _flat(target)) if target.ndim == 2 else (target, values[:0])
    losses, left = np.empty(rows), np.zeros(rows, bool)
    arrays = values, SCALES.index(scale), tolerance, classes, labels, ignored, shares, weights, smoothing, losses, left
    run("cross_entropy_of", rows, classes, *arrays)
    return losses, left


def of_rows(
    kernel: str, logits: Floats, *options: float, reduced: bool = False, most_threads: int | None = None
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return what a kernel makes of rows of logits, a row or a number each, and which rows are left."""
    rows, classes = logits.shape
    values, left = _flat(logits), np.zeros(rows, bool)
    results = np.empty(rows) if reduced else np.empty_like(values)
    run(kernel, rows, classes, values, classes, *options, results, left, most_threads=most_threads)
    return results if reduced else results.reshape(logits.shape), left


def gradient_of_rows(
    kernel: str, logits: Floats, cotangents: Floats, most_threads: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the gradient of what a kernel makes of rows of logits, and which rows are left."""
    rows, classes = logits.shape
    values, left = _flat(logits), np.zeros(rows, bool)
    grads = np.empty_like(values)
    run(kernel, rows, classes, values, classes, _flat(cotangents, values), grads, left, most_threads=most_threads)
    return grads.reshape(logits.shape), left


def _flat(values: Floats, beside: Floats | None = None) -> npt.NDArray[Any]:
    """Return the values as kernels take them: one after another, not protected, and in float64 unless in float32.

    Kernels write in the dtype of what they read: what came in float16 is so rounded to that once, at the end. Values
    beside others that aren't in float32 are in float64 too, so that fewer pairs of dtypes are compiled.
    """
    narrow = values.dtype == np.float32 and (beside is None or beside.dtype == np.float32)
    flat = np.ascontiguousarray(values, np.float32 if narrow else np.float64).reshape(-1)
    return flat if flat.flags.writeable else np.asarray(_Unprotected(flat))


class _Unprotected:
    """The memory of a read-only array, for which all kernels would be compiled anew; none writes to its input."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self.values = values
        self.__array_interface__ = {**values.__array_interface__, "data": (values.ctypes.data, False)}


def run(kernel: str, rows: int, width: int, *arguments: Any, most_threads: int | None = None) -> None:
    """Call a kernel for all rows of `width` numbers, in as many threads as they're worth."""
    from logitkit.kernels import _compiled

    function: Callable[..., None] = getattr(_compiled, kernel)
    workers = min(most_threads or threads(), rows * width // WORTH_A_THREAD, rows)
    if workers <= 1:
        return function(0, rows, *arguments)
    parts, tickets, outcomes = iter(_parts(rows, workers)), [None] * (workers - 1), SimpleQueue[BaseException | None]()

    def work() -> None:
        for part in parts:  # whichever thread is free takes the next part
            function(*part, *arguments)

    def help_out() -> None:
        try:
            tickets.pop()
        except IndexError:  # the caller has done it all
            return
        try:
            work()
            outcomes.put(None)
        except BaseException as error:
            outcomes.put(error)

    for _ in range(workers - 1):
        _helpers().put(help_out)
    work()
    for _ in range(workers - 1):
        try:
            tickets.pop()  # one helper never began
        except IndexError:
            if (error := outcomes.get()) is not None:
                raise error from None


def _parts(rows: int, workers: int) -> list[tuple[int, int]]:
    """Return the first and last rows of parts, ever smaller: whoever is held up leaves the rest to the others."""
    parts, start, least = [], 0, -(-rows // (PARTS * workers))
    while start < rows:
        stop = min(rows, start + max(least, (rows - start) // (2 * workers)))
        parts.append((start, stop))
        start = stop
    return parts


@cache
def _helpers() -> SimpleQueue[Callable[[], None]]:
    """Return where threads wait for what they're to call: with futures, a call takes 0.06 ms longer."""
    calls = SimpleQueue[Callable[[], None]]()

    def serve() -> None:
        while True:
            calls.get()()

    for _ in range(max(1, threads() - 1)):
        Thread(target=serve, name="logitkit", daemon=True).start()
    return calls


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)  # a fork doesn't bring the threads along
