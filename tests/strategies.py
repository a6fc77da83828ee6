"""What laws are tried on, rows with a class or a distribution and both backends, and the bounds on their errors.

Bounds follow from the promises of tests/accuracy: a result that is wrong by n units in the last place is wrong by
at most n * EPS of itself, and an error of the argument is carried on by the derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption

from logitkit import kernels
from tests.backends import BACKENDS, using
from tests.cases import Array

EPS = 2.0**-52
number = st.floats(-700, 700)
# Sums and differences of these are exact, so that a shift changes nothing but the shift.
dyadic = st.integers(-(2**20), 2**20).map(lambda k: k / 1024)
any_number = st.one_of(st.floats(allow_nan=False, allow_infinity=False), number, st.floats(-3, 3), dyadic)


def rows(elements: st.SearchStrategy[float] = number, smallest: int = 1, largest: int = 40) -> st.SearchStrategy[Array]:
    return st.lists(elements, min_size=smallest, max_size=largest).map(np.array)


@st.composite
def row_and_class(draw: st.DrawFn, elements: st.SearchStrategy[float] = number, smallest: int = 1) -> tuple[Array, int]:
    z = draw(rows(elements, smallest))
    return z, draw(st.integers(0, len(z) - 1))


@st.composite
def row_and_order(draw: st.DrawFn) -> tuple[Array, Array]:
    z = draw(rows())
    return z, np.array(draw(st.permutations(range(len(z)))))


@st.composite
def row_and_distribution(draw: st.DrawFn, elements: st.SearchStrategy[float] = number) -> tuple[Array, Array]:
    z = draw(rows(elements))
    shares = np.array(draw(st.lists(st.integers(0, 9), min_size=len(z), max_size=len(z))), dtype=np.float64)
    assume(shares.any())
    return z, shares / shares.sum()


def close(got: Any, expected: Any, relative: Any, absolute: Any = 0.0) -> None:
    got, expected = np.asarray(got), np.asarray(expected)
    # The slack of 2^-1074 is that of subnormal numbers.
    allowed = relative * np.abs(expected) + absolute + 4 * np.finfo(np.float64).smallest_subnormal
    assert (np.abs(got - expected) <= allowed).all(), (got, expected)


def on_both(test: Callable[..., None]) -> Callable[..., None]:
    """Try each example on both backends, or on the formulas alone where the kernels are off.

    To draw one takes longer than most tests take to try it.
    """

    @wraps(test)
    def test_both(*args: Any, **given: Any) -> None:
        unsatisfied = None
        for backend in BACKENDS if kernels.why_off() is None else ("formulas",):
            try:
                with using(backend):
                    test(*args, **given)
            except UnsatisfiedAssumption as assumption:  # which may follow what the other has yet to show
                unsatisfied = assumption
            except Exception as error:
                error.add_note(f"by the {backend}")
                raise
        if unsatisfied is not None:
            raise unsatisfied

    return test_both
