"""The records of the registry have the form that the schema demands, and their texts and numbers fit the code."""

from __future__ import annotations

import ast
import copy
import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from logitkit import conventions
from tests.gathered import by_framework

FOLDER = Path(conventions.__file__).parent
FILES = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in sorted((FOLDER / "records").glob("*.toml"))}
SCHEMA = json.loads((FOLDER / "schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
RECORDS = conventions.table()


@pytest.mark.parametrize("file", FILES)
def test_file_has_the_form_that_the_schema_demands(file: str) -> None:
    errors = [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(FILES[file])]
    assert not errors, "\n".join(errors)


def test_schema_is_one_itself() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("field", ["paths", "source", "form", "inputs", "trap", "docs", "case"])
def test_record_without(field: str) -> None:
    """A record without what makes it worth having cannot be added."""
    file = copy.deepcopy(FILES["pytorch"])
    del file["callable"][0][field]
    assert not VALIDATOR.is_valid(file)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("form", "macro"),
        ("role", "loss"),
        ("docs", "the manual"),
        ("trap", "No full stop"),
        ("stability", "yes"),
        ("returnz", "log-odds"),
    ],
)
def test_record_with_a_field_that_says_nothing(field: str, value: str) -> None:
    file = copy.deepcopy(FILES["pytorch"])
    file["callable"][0][field] = value
    assert not VALIDATOR.is_valid(file)


@pytest.mark.parametrize("field", ["paths", "source", "form", "trap", "docs"])
def test_loader_too_refuses_a_record_without(field: str, tmp_path: Path) -> None:
    text = (FOLDER / "records" / "pytorch.toml").read_text("utf-8")
    (tmp_path / "pytorch.toml").write_text(re.sub(rf"\n{field} = .*", "", text, count=1), "utf-8")
    with pytest.raises(TypeError, match=field):
        conventions.load(tmp_path)


# What only code looks like: an option, a keyword, a call, a path, a quoted string, words joined by _ or by a capital.
CODE = re.compile(r"--\w|\w=|\w\(|::|['\"][\w=]+['\"]|_\w|[a-z]\.[A-Za-z]|\b\w*[a-z][A-Z]\w*")
NAMES = [
    *(
        "PyTorch",
        "NumPy",
        "NumPyro",
        "SciPy",
        "TensorFlow",
        "PaddlePaddle",
        "CatBoost",
        "LightGBM",
        "BrainScript",
        "JavaScript",
        "NaN",
    ),
    *("LogExpFunctions.jl", "NNlib.jl", "Flux.jl"),
]


def texts(record: conventions.Record) -> list[str]:
    said = [record.case.trap, record.case.target, record.reduction, record.case.applies, record.not_run]
    return [each for each in (*said, record.case.check.how, *(also.says for also in record.case.also)) if each]


@by_framework(RECORDS, "symbol")
def test_code_in_a_text_stands_in_backticks_where_no_quote_and_no_dash_of_it_is_changed(record) -> None:
    for text in texts(record):
        assert text.count("`") % 2 == 0, text
        for word in re.sub(r"`[^`]+`", "", text).split():
            assert not CODE.search(word) or word.strip(".,:;()").removesuffix("'s") in NAMES, text


CALLS = [record for record in RECORDS if record.language == "Python" and record.package]
DRAWS = {"seed", "generator", "shape"}  # what a sampler is told beside its distribution: all of them are, and say so


@by_framework(CALLS, "symbol")
def test_number_of_a_call_that_is_not_the_plain_function_says_how_it_was_made(record) -> None:
    call = ast.parse(record.case.check.call, mode="eval").body
    how = record.case.check.how or ""
    if not isinstance(call, ast.Call | ast.Attribute | ast.Subscript | ast.ListComp):  # arithmetic with what returns
        assert how
    defaults = dict(re.findall(r"(\w+)=([^,()]+)", record.callable.signature))
    for keyword in (each for node in ast.walk(call) if isinstance(node, ast.Call) for each in node.keywords):
        value = ast.unparse(keyword.value)
        same = defaults.get(keyword.arg, value) == value or f"{keyword.arg}=" in record.symbol
        data = keyword.arg in {record.argument, *DRAWS} or re.search(r"\b(y|onehot)\b", value)
        assert same or data or f"`{keyword.arg}={value}`" in how


@by_framework([each for each in RECORDS if each.case.check.how], "symbol")
def test_code_in_how_a_number_was_made_is_that_of_the_call(record) -> None:
    words = re.findall(r"[\w.]+", record.case.check.call) + re.findall(r"\w+", record.callable.signature)
    for code in re.findall("`([^`]+)`", record.case.check.how):
        assert set(re.findall(r"[\w.]+", code)) <= {*words, *(f".{word}" for word in words)}


def test_reason_that_several_frameworks_share_has_no_subject_of_one() -> None:
    frameworks: dict[str, set[str]] = {}
    for record in RECORDS:
        if record.not_run:
            frameworks.setdefault(record.not_run.partition(";")[0], set()).add(record.framework)
    assert [why for why, many in frameworks.items() if len(many) > 1 and why.startswith(("it ", "its "))] == []


def test_no_symbol_has_two_records() -> None:
    names = [(record.framework, record.symbol) for record in RECORDS]
    assert len(names) == len(set(names))


def test_every_framework_is_in_one_file() -> None:
    assert len({file["framework"] for file in FILES.values()}) == len(FILES)


@by_framework(RECORDS, "symbol")
def test_record_names_its_argument_in_its_signature_and_is_found(record: conventions.Record) -> None:
    # A method of a tensor does not name the tensor in its signature.
    if record.case.role not in conventions.OUTPUT and record.argument != "self":
        assert re.findall(r"\w+", record.argument)[0] in re.findall(r"\w+", record.callable.signature)
    assert record in conventions.find(record.symbol)


@by_framework(RECORDS, "symbol")
def test_code_in_a_text_is_whole(record: conventions.Record) -> None:
    for text in [*texts(record), *([record.fix] if record.fix else [])]:
        for code in re.findall("`([^`]+)`", text):
            assert all(code.count(one) == code.count(other) for one, other in ("()", "[]")), text


# The agreed distribution, its scores [2, 0, -1] and log-odds 2, and the formulas of roles that need no other word.
P = softmax([2.0, 0.0, -1.0])
AGREED = {
    "multiclass loss": -math.log(P[0]),
    "binary loss": math.log1p(math.exp(-2)),
    "categorical distribution": math.log(P[0]),
    "binary distribution": -math.log1p(math.exp(-2)),
    "normalizer": list(P),
    "log normalizer": list(log_softmax([2.0, 0.0, -1.0])),
    "link": 2.0,
    "inverse link": 1 / (1 + math.exp(-2)),
}
READ_ONLY = [
    record
    for record in RECORDS
    if record.not_run
    and record.case.role in AGREED
    and not (record.case.formula or record.case.check.p or record.case.check.x)
]


@by_framework(READ_ONLY, "symbol")
def test_number_of_a_record_that_is_not_run_is_the_formulas(record: conventions.Record) -> None:
    assert record.case.check.gives == pytest.approx(AGREED[record.case.role], rel=1e-5, abs=1e-6)


def test_results_are_there_for_every_framework_that_is_run() -> None:
    run = {record.framework for record in RECORDS if record.package}
    assert {result["framework"] for result in conventions.results()["runs"]} == run


def test_results_hold_the_numbers_that_the_records_claim() -> None:
    claims = {(record.framework, record.symbol): record for record in RECORDS}
    for run in conventions.results()["runs"]:
        assert set(run["records"]) == {symbol for framework, symbol in claims if framework == run["framework"]}
        for symbol, stored in run["records"].items():
            record = claims[run["framework"], symbol]
            claim = record.case.check.gives
            claim = claim[run["backend"]] if isinstance(claim, Mapping) else claim
            slack = max(record.case.check.tolerance, 1e-5)
            np.testing.assert_allclose(np.array(stored["check"], float), claim, rtol=slack, atol=slack, err_msg=symbol)
