"""Both backends: what's promised is tried with the kernels, however small the input, and with the formulas.

And which kernels have computed something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import pytest
from hypothesis.errors import UnsatisfiedAssumption

from logitkit import kernels

BACKENDS = ("kernels", "formulas")


@contextmanager
def using(backend: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if backend == "formulas":
            patch.setattr(kernels, "why_off", lambda: "a test asks for the formulas")
        elif kernels.why_off() is not None:
            pytest.skip(f"the kernels are off: {kernels.why_off()}")
        patch.setattr(kernels, "WORTH_A_KERNEL", 0)
        yield


@pytest.fixture(autouse=True, scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[None]:
    with using(request.param):
        yield


def on_both(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test on both, or on the formulas alone where the kernels are off.

    With Hypothesis, which takes longer to draw an example than most tests to try it, both then get the one drawn.
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


def names_of_kernels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each kernel adds its name when it's called."""
    computed: list[str] = []
    run_kernel, mean_of_few = kernels.run, kernels.mean_cross_entropy

    def note(name: str, *args: Any, **options: Any) -> None:
        computed.append(name)
        run_kernel(name, *args, **options)

    def note_mean(*args: Any) -> Any:
        computed.append("mean_cross_entropy")
        return mean_of_few(*args)

    monkeypatch.setattr(kernels, "run", note)
    monkeypatch.setattr(kernels, "mean_cross_entropy", note_mean)
    return computed
