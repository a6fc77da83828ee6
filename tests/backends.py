"""Both backends: what's promised is tried with the kernels, however small the input, and with the formulas."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from logitkit import kernels


@pytest.fixture(autouse=True, scope="module", params=["kernels", "formulas"])
def backend(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "formulas":
            patch.setattr(kernels, "why_off", lambda: "a test asks for the formulas")
        elif kernels.why_off() is not None:
            pytest.skip(f"the kernels are off: {kernels.why_off()}")
        patch.setattr(kernels, "WORTH_A_KERNEL", 0)
        yield
