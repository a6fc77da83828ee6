"""One test a framework for what each of its records must be: as thousands of tests they'd take pytest half a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def by_framework(records: Iterable[Any], name: str) -> Callable[[Callable[[Any], None]], Callable[[str], None]]:
    """Call the test with each record, or callable, of a framework; a failure notes which by the attribute `name`."""
    groups: dict[str, list[Any]] = {}
    for record in records:
        groups.setdefault(record.framework, []).append(record)

    def decorate(test: Callable[[Any], None]) -> Callable[[str], None]:
        @pytest.mark.parametrize("framework", groups)
        def test_all(framework: str) -> None:
            for record in groups[framework]:
                try:
                    test(record)
                except Exception as error:
                    error.add_note(f"of {getattr(record, name)}")
                    raise

        test_all.__doc__ = test.__doc__
        return test_all

    return decorate
