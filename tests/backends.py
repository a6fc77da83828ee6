"""Both backends: what's promised is tried with the kernels, however small the input, and with the formulas.

And which kernels have computed something.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

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
