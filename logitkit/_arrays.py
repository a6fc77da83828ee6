"""What comes in and what goes out: dtypes, domains, blocks, and a clear word about input that has no meaning.

Every formula of the package is written for float64 blocks that fit in cache. This module cuts the input into
such blocks and rounds the results to the dtype of the input, once. A float16 or float32 result is therefore the
correctly rounded one except where the float64 value falls within its own error of a tie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import index
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Axis = int | tuple[int, ...]
Reduction = Literal["none", "sum", "mean"]

# Elements in a block: enough that the cost of calling NumPy does not show, few enough that a formula's float64
# temporaries stay in cache.
BLOCK = 1 << 16
# Up to this many classes a block is stored class by class, so that a reduction runs along the rows.
FEW_CLASSES = 32
# Sums of shares and filtered masks are this many roundings above 1 or below 0, at most.
ROUNDINGS = 16


def as_array(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return `values` as an array, unless that would lose something."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be ignored; fill it or select the valid entries")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {error}") from error
    except (RuntimeError, TypeError) as error:  # a tensor that requires grad, or holds what NumPy has no dtype for
        raise TypeError(f"{name} is not an array: {error}") from error


def as_floats(values: npt.ArrayLike, name: str) -> Floats:
    """Return `values` as a float16, float32 or float64 array; integers and booleans become float64."""
    array = as_array(values, name)
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise TypeError(f"{name} must hold real numbers in float16, float32, float64 or integers, not {array.dtype}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def require(valid: npt.NDArray[np.bool_], values: npt.NDArray[Any], name: str, rule: str, hint: str) -> None:
    """Raise a ValueError that shows the first entry of `values` where `valid` is False."""
    if valid.all():
        return
    place = tuple(int(i) for i in np.argwhere(~valid)[0])
    where = f"[{', '.join(map(str, place))}]" if place else ""
    raise ValueError(f"{name} must {rule}, but {name}{where} is {values[place]!s}; {hint}")


def require_within(values: Floats, name: str, low: float, high: float, hint: str) -> None:
    """Raise unless every entry lies in [low, high]; NaN passes, to come out as NaN."""
    if values.size and values.min() >= low and values.max() <= high:  # mostly so, and soon seen
        return
    bounds = f"lie in [{low:g}, {high:g}]" if np.isfinite(low) else f"be at most {high:g}"
    require(~((values < low) | (values > high)), values, name, bounds, hint)


def proportions(values: Floats, name: str, hint: str) -> Floats:
    """Return numbers in [0, 1]; what is a few roundings outside is taken for the 0 or 1 that it was meant to be."""
    if values.size and values.min() >= 0 and values.max() <= 1:
        return values
    slack = ROUNDINGS * np.finfo(values.dtype).eps
    require(~((values < -slack) | (values > 1 + slack)), values, name, "lie in [0, 1]", hint)
    return np.clip(values, 0, 1)


def require_same_shape(values: npt.NDArray[Any], name: str, model: npt.NDArray[Any], model_name: str) -> None:
    """Raise unless both have one shape: broadcasting (n, 1) against (n,) is a mistake that goes unnoticed."""
    if values.shape != model.shape:
        raise ValueError(f"{name} must have the shape of {model_name}, {model.shape}, but has {values.shape}")


def integer(value: Any, name: str) -> int:
    """Return `value` as an integer, if it is one."""
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{name} must be one integer, not {value!r}") from None


def require_axis(array: npt.NDArray[Any], name: str, axis: Axis) -> Axis:
    """Return `axis` counted from the front."""
    if isinstance(axis, tuple):
        axes = tuple(integer(require_axis(array, name, each), "axis") for each in axis)
        if not axes or len(set(axes)) < len(axes):
            raise ValueError(f"axis must name dimensions of {name}, each of them once, but is {axis}")
        return axes
    axis = integer(axis, "axis")
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"axis {axis} is out of bounds for {name}, which has {array.ndim} dimensions")
    return axis % array.ndim


@np.errstate(all="ignore")
def by_element(
    formula: Callable[..., tuple[Float64s, ...]], arrays: Sequence[Floats], dtypes: Sequence[npt.DTypeLike]
) -> tuple[Any, ...]:
    """Apply a float64 formula to broadcast arrays, block by block, and round each result once to its dtype."""
    inputs, outputs, shape = len(arrays), len(dtypes), np.broadcast(*arrays).shape
    # NumPy 2.0 does not fill the buffer of an array without dimensions. None is an array that nditer makes.
    operands: Any = [*map(np.atleast_1d, arrays), *[None] * outputs]
    # Contiguous blocks, because NumPy's loops for strided ones may round the last bit differently.
    op_flags: Any = [["readonly", "contig"]] * inputs + [["writeonly", "allocate"]] * outputs
    with np.nditer(
        operands,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=op_flags,
        op_dtypes=[np.float64] * inputs + list(dtypes),
        buffersize=BLOCK,
    ) as blocks:
        for block in blocks:
            for result, value in zip(block[inputs:], formula(*block[:inputs]), strict=True):
                result[...] = value
        return tuple(result.reshape(shape)[()] for result in blocks.operands[inputs:])


@np.errstate(all="ignore")
def by_row(
    formula: Callable[..., tuple[Float64s, ...]],
    arrays: Sequence[npt.NDArray[Any]],
    axis: Axis,
    dtype: npt.DTypeLike,
    kernel: Callable[..., tuple[Any, ...]] | None = None,
    check: Callable[..., Sequence[Floats]] = lambda *arrays: arrays,
) -> tuple[npt.NDArray[Any], ...]:
    """Apply a formula for rows of float64 along `axis`, or along several at once, block by block.

    The first array is full; each other one has either its shape or one value a row. Each result of the formula
    is one value a row (stored as float64, since it may still be reduced) or a full array (rounded to `dtype`).
    A kernel takes all rows at once; it returns the same results and, last, which rows it leaves to the formula. If
    those are any, `check` raises where the arrays have no meaning, or returns what is to be computed with.
    """
    shape, axes = arrays[0].shape, axis if isinstance(axis, tuple) else (axis,)
    last = tuple(range(len(shape) - len(axes), len(shape)))
    row_shape = tuple(length for dimension, length in enumerate(shape) if dimension not in axes)
    full_shape = row_shape + tuple(shape[dimension] for dimension in axes)
    rows, classes = math.prod(row_shape), math.prod(full_shape[last[0] :])

    def table(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if array.ndim < len(shape):
            return array.ravel()
        return (array if axes == last else np.moveaxis(array, axes, last)).reshape(rows, classes)

    order: Literal["F", "C"] = "F" if classes <= FEW_CLASSES else "C"
    results: list[npt.NDArray[Any]] = []
    step = max(1, BLOCK // max(1, classes))
    places: Any = None
    if kernel is not None:
        *results, left = kernel(*map(table, arrays))
        places = np.flatnonzero(left)
    if places is None or places.size:
        arrays = check(*arrays)
    tables = [table(a) for a in arrays]
    count = rows if places is None else places.size
    for start in range(0, max(results == [], count), step):
        block: Any = slice(start, min(start + step, count))
        block = block if places is None else places[block]
        inputs = [
            t[block].astype(np.float64, order=order, copy=False) if t.dtype.kind == "f" else t[block] for t in tables
        ]
        for place, value in enumerate(formula(*inputs)):
            if place == len(results):
                results.append(np.empty((rows, *value.shape[1:]), np.float64 if value.ndim == 1 else dtype))
            results[place][block] = value

    def like_the_input(table: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if table.ndim == 1:
            return table.reshape(row_shape)
        full = table.astype(dtype, copy=False).reshape(full_shape)
        return full if axes == last else np.moveaxis(full, last, axes)

    return tuple(map(like_the_input, results))
