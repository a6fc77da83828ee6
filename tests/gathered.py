"""One test for many alike cases: as tests of their own they'd take pytest and its workers longer than what they try.

All cases are tried. The first that fails is traced, and a note lists all that fail with their errors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from itertools import product
from textwrap import shorten
from typing import Any

import pytest

Test = Callable[..., None]
Trials = list[tuple[str, Callable[[], object]]]
# What no try is worth: a case that skips would skip the rest, and says so by itself.
FAILURES = (Exception, pytest.fail.Exception)


def all_of(test: Test, trials: Trials) -> Trials:
    """Return the cases of a test that are tried; tests/mutants.py tries fewer."""
    return trials


def try_all(trials: Iterable[tuple[str, Callable[[], object]]]) -> None:
    """Make all calls, which are named, and fail with the names of those that fail."""
    __tracebackhide__ = True
    trials, failed = list(trials), []
    assert trials, "there's no case to try"
    for name, call in trials:
        try:
            call()
        except FAILURES as error:
            failed.append((name, error))
    if failed:
        lines = [f"{name}: {type(error).__name__}: {shorten(str(error), 160)}" for name, error in failed]
        first = failed[0][1]
        first.add_note("\n  ".join([f"{len(failed)} of {len(trials)} cases fail, and this is the first:", *lines]))
        raise first


def each(**values: Mapping[str, Any] | Iterable[Any] | str) -> Callable[[Test], Test]:
    """Try a test with all combinations of values, which are named by the keys of a mapping or by what they are.

    A string is the attribute of the test's class that holds the values.
    """

    def decorate(test: Test) -> Test:
        parameters = inspect.signature(test).parameters
        others = inspect.Signature([parameter for name, parameter in parameters.items() if name not in values])

        @wraps(test)
        def test_all(*args: Any, **fixtures: Any) -> None:
            __tracebackhide__ = True
            given = others.bind(*args, **fixtures).arguments
            choices = [_named(getattr(given["self"], v) if isinstance(v, str) else v) for v in values.values()]
            trials = [
                (
                    ", ".join(f"{argument}={name}" for argument, (name, _) in zip(values, chosen, strict=True)),
                    partial(test, **given, **dict(zip(values, (v for _, v in chosen), strict=True))),
                )
                for chosen in product(*choices)
            ]
            try_all(all_of(test, trials))

        test_all.__signature__ = others  # type: ignore[attr-defined]
        return test_all

    return decorate


def _named(values: Mapping[str, Any] | Iterable[Any]) -> list[tuple[str, Any]]:
    if isinstance(values, Mapping):
        return list(values.items())
    return [(getattr(value, "__name__", None) or " ".join(repr(value).split()), value) for value in values]


def by_framework(records: Iterable[Any], name: str) -> Callable[[Callable[[Any], None]], Callable[[str], None]]:
    """Try the test with each record, or callable, of a framework, which is named by its attribute `name`."""
    groups: dict[str, list[Any]] = {}
    for record in records:
        groups.setdefault(record.framework, []).append(record)

    def decorate(test: Callable[[Any], None]) -> Callable[[str], None]:
        @pytest.mark.parametrize("framework", groups)
        def test_all(framework: str) -> None:
            __tracebackhide__ = True
            try_all((getattr(record, name), partial(test, record)) for record in groups[framework])

        test_all.__doc__ = test.__doc__
        return test_all

    return decorate
