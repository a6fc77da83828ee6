"""The Keras programs on the pages of the checker's codes run as they stand."""

import pytest

from logitkit.check.explain import TITLES, example


@pytest.mark.parametrize("heading", ["Wrong", "Right"])
@pytest.mark.parametrize("code", [code for code in TITLES if "keras" in example(code, "Wrong")])
def test_example_runs(code, heading):
    exec(example(code, heading), {})
