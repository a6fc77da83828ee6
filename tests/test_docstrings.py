"""Every public function says what comes in and out, what it refuses, where its formula is from, and shows a call."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from numpydoc.docscrape import get_doc_object

import logitkit as lk
import logitkit.torch as lt

PUBLIC = {f"{room.__name__}.{name}": getattr(room, name) for room in (lk, lt) for name in room.__all__}
FUNCTIONS = {name: f for name, f in PUBLIC.items() if inspect.isfunction(f) and inspect.signature(f).parameters}
MODULES = {name: m for name, m in PUBLIC.items() if hasattr(m, "forward")}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_all_sections(name: str) -> None:
    doc: Any = get_doc_object(FUNCTIONS[name])
    for section in ("Summary", "Parameters", "Returns", "Raises", "References", "Examples"):
        assert doc[section], section
    described = {one.strip("*") for parameter in doc["Parameters"] for one in parameter.name.split(", ")}
    hidden = {parameter for parameter in inspect.signature(FUNCTIONS[name]).parameters if parameter.startswith("_")}
    assert described | hidden == set(inspect.signature(FUNCTIONS[name]).parameters)


@pytest.mark.parametrize("name", MODULES)
def test_module_shows_a_call(name: str) -> None:
    assert ">>> " in "".join(get_doc_object(MODULES[name])["Examples"])
