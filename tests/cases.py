"""What contracts try: calls, how their arguments are drawn and stored, and how two results are found to be the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Shape = tuple[int, ...]
Draw = Callable[[np.random.Generator, Shape], Array]
Storage = Callable[[Array], Array]
DTYPES = (np.float16, np.float32, np.float64)


def logits(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.normal(0, 3, shape)


def probs(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.uniform(0, 1, shape)


def log_probs(rng: np.random.Generator, shape: Shape) -> Array:
    return -rng.exponential(2, shape)


def class_probs(rng: np.random.Generator, shape: Shape) -> Array:
    shares = rng.exponential(1, shape) + 0.1
    return shares / shares.sum(axis=-1, keepdims=True)


def class_log_probs(rng: np.random.Generator, shape: Shape) -> Array:
    return np.log(class_probs(rng, shape))


def yes_or_no(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.integers(0, 2, shape).astype(np.float64)


def labels(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.integers(0, shape[-1], shape[:-1])


def weights(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.uniform(0.5, 2, shape)


def class_weights(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.uniform(0.5, 2, shape[-1:])


def _one_hot(values: Array) -> Array:
    return (np.arange(values.shape[-1]) == values.argmax(axis=-1)[..., None]).astype(np.float64)


# Whole numbers that are valid on the scale: exp(-800) is 0, so that [0, -800] are log-probabilities.
WHOLE: dict[Draw, Callable[[Array], Array]] = {
    class_probs: _one_hot,
    class_log_probs: lambda values: 800 * (_one_hot(values) - 1),
    labels: lambda values: values,
}


@dataclass(frozen=True)
class Case:
    """A call by keyword, and how its arguments are drawn."""

    call: Callable[..., Any]
    draws: dict[str, Draw]

    @property
    def is_loss(self) -> bool:
        return isinstance(self.call, partial)

    def is_weight(self, name: str) -> bool:
        return "weight" in name

    def draw(self, shape: Shape, dtype: npt.DTypeLike = np.float64, seed: int = 0) -> Arrays:
        rng = np.random.default_rng(seed)
        drawn = {name: np.asarray(draw(rng, shape)) for name, draw in self.draws.items()}
        return {name: a.astype(dtype) if a.dtype.kind == "f" else a for name, a in drawn.items()}

    def draw_whole(self, shape: Shape) -> Arrays:
        return {name: WHOLE.get(self.draws[name], np.rint)(a) for name, a in self.draw(shape).items()}

    def __call__(self, arrays: Arrays, **options: Any) -> tuple[Array, ...]:
        got = self.call(**arrays, **options)
        return tuple(map(np.asarray, got if isinstance(got, tuple) else (got,)))


def same(got: tuple[Array, ...], expected: tuple[Array, ...]) -> None:
    """The same numbers, to the last bit, in the same dtype and shape."""
    assert len(got) == len(expected)
    for g, e in zip(got, expected, strict=True):
        assert g.dtype == e.dtype
        assert g.shape == e.shape
        np.testing.assert_array_equal(g, e)


def _unaligned(array: Array) -> Array:
    place = np.empty(array.nbytes + 1, dtype=np.uint8)[1:].view(array.dtype).reshape(array.shape)
    place[...] = array
    return place


def _read_only(array: Array) -> Array:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _spread(array: Array) -> Array:
    wide = np.full([3 * n for n in array.shape], 111, dtype=array.dtype)
    view = wide[tuple(slice(1, None, 3) for _ in array.shape)]
    view[...] = array
    return view


class _Labelled(np.ndarray):
    """A subclass, which must come out as a plain array."""


LAYOUTS: dict[str, Storage] = {
    "Fortran order": np.asfortranarray,
    "negative strides": lambda a: np.flip(np.flip(a).copy()),
    "every third element": _spread,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "read-only": _read_only,
    "unaligned": _unaligned,
    "subclass": lambda a: a.view(_Labelled),
}
NOT_REAL = {
    "complex": lambda a: a.astype(complex),
    "text": lambda a: a.astype(str),
    "objects": lambda a: np.where(a == a, None, None),
    "dates": lambda a: np.full(a.shape, np.datetime64("2000-01-01")),
    "masked": lambda a: np.ma.array(a, mask=np.ones(a.shape)),
    "long double": lambda a: a.astype(np.longdouble),
}


@contextmanager
def refuses(error: type[Exception], *fragments: str) -> Iterator[None]:
    """Exactly this error is raised, and its message holds every fragment."""
    with pytest.raises(error) as raised:
        yield
    assert type(raised.value) is error
    for fragment in fragments:
        assert fragment in str(raised.value)
