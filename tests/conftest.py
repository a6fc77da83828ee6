"""Settings of all tests."""

import pytest
from hypothesis import settings

collect_ignore = ["mutants.py"]  # needs what `make mutants` installs
pytest.register_assert_rewrite("tests.contracts")
# The same examples on every run and machine, and no database of old failures: what passes here passes elsewhere.
settings.register_profile("same-everywhere", derandomize=True, deadline=None, database=None, max_examples=150)
settings.load_profile("same-everywhere")
