"""The table of edge cases says what happens: every call in it is run, also those of the other libraries."""

from __future__ import annotations

import re
import warnings
from decimal import Decimal
from functools import cache, partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import logitkit as lk
from book.shared.edge_cases import LIBRARIES, PATH, Answer, Case, read
from tests import oracle
from tests.backends import backend  # noqa: F401 - runs every test on both
from tests.gathered import each, try_all

ROOT = Path(__file__).parents[1]

VERSIONS, CASES = read(PATH.read_text("utf-8"))
PAGE = (ROOT / "chapters" / "edge-cases.md").read_text("utf-8")
mp.mp.dps = int(re.findall(r"^mp\.mp\.dps = (\d+)$", PAGE, re.MULTILINE)[0])  # which a reader of the page sets, too

# The names in a library's calls, by what they are imported as, and the command whose environment has the library.
NAMES = {
    "logitkit": ({"lk": "logitkit"}, "make test"),
    "exact": ({"mp": "mpmath"}, "make test"),
    "logitkit.torch": ({"lt": "logitkit.torch", "torch": "torch"}, "make test"),
    "SciPy": ({"special": "scipy.special", "stats": "scipy.stats"}, "make test"),
    "PyTorch": ({"torch": "torch", "F": "torch.nn.functional"}, "make test"),
    "JAX": ({"jax": "jax", "jnp": "jax.numpy", "optax": "optax"}, "make frameworks"),
}


@cache
def names_of(library: str) -> dict[str, Any]:
    """What the calls of a library may use; where it is not installed, its rows are skipped and say so."""
    modules, command = NAMES[library]
    names: dict[str, Any] = {"np": np, "inf": np.inf, "nan": np.nan}
    for name, module in modules.items():
        if command != "make test":
            pytest.importorskip(module, reason=f"{library} is not installed; {command} runs these rows")
        names[name] = import_module(module)
    if "torch" in names:
        names["tensor"] = names["torch"].tensor
    return names


def plain(value: Any) -> Any:
    """The value as Python numbers, lists and tuples."""
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    if type(value).__module__.startswith("mpmath"):
        return float(value)
    return value.tolist() if hasattr(value, "tolist") else value


def run(library: str, answer: Answer) -> Any:
    with warnings.catch_warnings():
        if library != "logitkit":
            warnings.simplefilter("ignore")
        return eval(answer.call, names_of(library))


def matches(got: Any, shown: Any) -> bool:
    """Whether a value is the one shown: to the last bit and the sign of zero, or rounded to six digits or more."""
    if isinstance(shown, list | tuple):
        same_form = type(got) is type(shown) and len(got) == len(shown)
        return same_form and all(matches(g, s) for g, s in zip(got, shown, strict=True))
    if not isinstance(shown, float) or not np.isfinite([got, shown]).all():
        return repr(got) == repr(shown)
    digits, unit = Decimal(repr(shown)).as_tuple().digits, Decimal(1).scaleb(Decimal(repr(shown)).as_tuple().exponent)
    if len(digits) < 6:
        return repr(got) == repr(shown)
    return abs(Decimal(got) - Decimal(repr(shown))) <= max(unit, Decimal(float(np.spacing(shown))))


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_gives_what_the_table_says(library: str) -> None:
    names_of(library)
    answers = [case.answers[library] for case in CASES if library in case.answers]
    assert answers
    try_all((answer.call, partial(_gives_what_the_table_says, library, answer)) for answer in answers)


def _gives_what_the_table_says(library: str, answer: Answer) -> None:
    if answer.is_error:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - the table says which
            run(library, answer)
        kind, message = answer.result.split(": ", 1)
        assert type(raised.value).__name__ == kind
        first_line, *_ = str(raised.value).splitlines()
        pattern = ".+".join(map(re.escape, message.split("…")))
        assert re.fullmatch(pattern, first_line if library != "logitkit" else str(raised.value), re.DOTALL)
    else:
        got = plain(run(library, answer))
        assert matches(got, shown(answer)), got


def shown(answer: Answer) -> Any:
    """The value that the table shows."""
    return eval(answer.result, {"inf": np.inf, "nan": np.nan})


@each(case={f"{case.section}: {case.name}": case for case in CASES})
def test_what_is_marked_as_other_than_ours_is(case: Case) -> None:
    ours = case.answers["logitkit"]
    for answer in case.answers.values():
        if not (answer.is_error or ours.is_error):
            assert answer.agrees_with(ours) == matches(shown(answer), shown(ours))


@each(case={f"{case.section}: {case.name}": case for case in CASES if "exact" in case.answers})
def test_where_libraries_disagree_ours_is_the_exact_value_rounded(case: Case) -> None:
    got, exact = (np.atleast_1d(run(library, case.answers[library])) for library in ("logitkit", "exact"))
    assert (
        oracle.ulps(got, [oracle.number(mp.nstr(each, mp.mp.dps)) for each in exact])
        <= (4 if got.dtype == np.float64 else 0.51)
    ).all()
    others = [answer for library, answer in case.answers.items() if library not in ("logitkit", "exact")]
    assert others


@pytest.mark.parametrize("library", VERSIONS)
def test_versions_are_those_that_answer(library: str) -> None:
    names_of(library)
    for package, recorded in VERSIONS[library].items():
        assert version(package).split("+")[0] == recorded
        name = {"scipy": "SciPy", "torch": "PyTorch", "jax": "JAX", "optax": "Optax"}[package]
        assert f"{name} {recorded}" in PAGE


def test_every_function_has_its_edges_listed_once() -> None:
    calls = [(library, a.call) for case in CASES for library, a in case.answers.items() if library != "exact"]
    assert len(set(calls)) == len(calls)
    assert len({(case.section, case.name) for case in CASES}) == len(CASES)
    for name in set(lk.__all__) - {"show_config"}:
        assert any(f"lk.{name}(" in call for _, call in calls), name


def test_page_shows_every_section() -> None:
    shown = re.findall(r"^```\{edge-cases\} (.+)$", PAGE, re.MULTILINE)
    assert shown == list(dict.fromkeys(case.section for case in CASES))


ROW = """versions = {}

[[sections.Links]]
case = "one half"
why = "it is"
logitkit = "lk.expit(0) → 0.5"
"""


def test_rows_are_read() -> None:
    _, (case,) = read(ROW + 'SciPy = "special.expit(0) → 0.5"')
    assert case == Case(
        "Links",
        "one half",
        "it is",
        {"logitkit": Answer("lk.expit(0)", "0.5"), "SciPy": Answer("special.expit(0)", "0.5")},
    )


@pytest.mark.parametrize(
    "damaged",
    [
        ROW.replace('why = "it is"', ""),
        ROW.replace("one half", ""),
        ROW.replace("logitkit", "Scipy"),
        ROW.replace(" → ", " -> "),
        ROW.replace("0.5", "0.5 → 0.5"),
        ROW.replace("lk.expit(0) →", "→"),
        ROW + 'logitkit = "lk.expit(1) → 0.5"',
        ROW + '[[sections.Links]]\ncase = "twice"',
    ],
)
def test_row_that_cannot_be_read_is_not_passed_over(damaged: str) -> None:
    with pytest.raises(ValueError, match=r"Cannot overwrite|not a case|not of the form"):
        read(damaged)


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("lk.expit(0)", "0.25"),
        ("lk.expit(inf)", "1"),
        ("lk.log_expit(inf)", "0.0"),
        ("lk.softplus(1)", "1.313263"),
        ("lk.softplus(1)", "1.31"),
        ("lk.expit([0, 0])", "[0.5]"),
        ("lk.expit([0, 0])", "(0.5, 0.5)"),
        ("lk.expit(nan)", "inf"),
        ("lk.expit(2j)", "ValueError: x must hold …"),
        ("lk.logit(2)", "ValueError: p must lie in [0, 1], but p is 3.0; …"),
        ("lk.logit(2)", "ValueError: p must lie in [0, 1]"),
        ("lk.logit(1)", "ValueError: p must lie …"),
        ("lk.logit(2)", "inf"),
    ],
)
def test_row_that_is_wrong_is_noticed(call: str, result: str) -> None:
    # Failed and AssertionError are what pytest raises for a wrong result and an error that does not come.
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        _gives_what_the_table_says("logitkit", Answer(call, result))


def test_every_library_can_be_asked() -> None:
    assert tuple(NAMES) == LIBRARIES
