"""Settings of all tests, and the built book, which some of them read."""

import gc
from pathlib import Path

import pytest
from hypothesis import settings

collect_ignore = ["mutants.py"]  # needs what `make mutants` installs
# What asserts on behalf of tests says what it compared, as they do.
for name in (
    "cases",
    "contracts",
    "loss_contracts",
    "class_loss_contracts",
    "class_loss_refusals",
    "simplex_contracts",
):
    pytest.register_assert_rewrite(f"tests.{name}")
# The same examples on every run and machine, and no database of old failures: what passes here passes elsewhere.
settings.register_profile("same-everywhere", derandomize=True, deadline=None, database=None, max_examples=150)
settings.load_profile("same-everywhere")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what's imported and collected: it stays, and it's much to look through each time."""
    gc.freeze()


@pytest.fixture(scope="session")
def built() -> Path:
    """Return the folder of the book's pages: `make test` builds them once, before all tests."""
    folder = Path(__file__).parents[1] / "_build" / "html"
    if not (folder / "index.html").is_file():
        pytest.fail("the book isn't built yet: run make book", pytrace=False)
    return folder
