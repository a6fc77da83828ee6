"""The registry is complete and well formed, and a name is found in the spellings that people type."""

from __future__ import annotations

import ast
import copy
import json
import math
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from logitkit import conventions
from logitkit.cli import main

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


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.framework}: {record.symbol}")
def test_code_in_a_text_stands_in_backticks_where_no_quote_and_no_dash_of_it_is_changed(record) -> None:
    for text in texts(record):
        assert text.count("`") % 2 == 0, text
        for word in re.sub(r"`[^`]+`", "", text).split():
            assert not CODE.search(word) or word.strip(".,:;()").removesuffix("'s") in NAMES, text


CALLS = [record for record in RECORDS if record.language == "Python" and record.package]
DRAWS = {"seed", "generator", "shape"}  # what a sampler is told beside its distribution: all of them are, and say so


@pytest.mark.parametrize("record", CALLS, ids=lambda record: f"{record.framework}: {record.symbol}")
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


@pytest.mark.parametrize("record", [each for each in RECORDS if each.case.check.how], ids=lambda each: each.symbol)
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


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.framework}: {record.symbol}")
def test_record_names_its_argument_in_its_signature_and_is_found(record: conventions.Record) -> None:
    # A method of a tensor does not name the tensor in its signature.
    if record.case.role not in conventions.OUTPUT and record.argument != "self":
        assert re.findall(r"\w+", record.argument)[0] in re.findall(r"\w+", record.callable.signature)
    assert record in conventions.find(record.symbol)


@pytest.mark.parametrize("each", conventions.callables(), ids=lambda each: each.id)
def test_callable_is_found_by_all_its_names(each: conventions.Callable) -> None:
    for name in (*each.paths, *each.spellings):
        assert each in [record.callable for record in conventions.find(name)], name
    for path in each.paths:
        assert conventions.resolve(path).id == each.id


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


@pytest.mark.parametrize("record", READ_ONLY, ids=lambda record: f"{record.framework}: {record.symbol}")
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


QUERIES = tomllib.loads((Path(__file__).parent / "queries.toml").read_text("utf-8"))["queries"]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query["ask"])
def test_query_has_the_answer_that_was_meant(query: Mapping[str, str]) -> None:
    found = conventions.find(query["ask"])
    if "path" not in query:
        assert found == []
        assert query.get("near") in (None, *conventions.suggest(query["ask"]))
        return
    assert query["path"] in found[0].callable.paths
    assert found[0].scale == query["scale"]


@pytest.mark.parametrize(
    ("query", "scales"),
    [
        ("model.predict(x)", {"probabilities", "none", "logits"}),
        ("y = self.model.predict(x)[0]", {"probabilities", "none", "logits"}),
        ("clf.decision_function(X)", {"log-odds", "logits", "margin"}),
        ("models[0].decision_function(X)", {"log-odds", "logits", "margin"}),
        ("decision_function", {"log-odds", "logits", "margin"}),
        ("clf.coef_", {"log-odds", "margin", "none"}),
        ("dist.logits", {"log-odds", "log-probabilities", "logits"}),
        ("model(x).softmax(1)", {"logits"}),
    ],
)
def test_method_of_an_object_of_no_known_class_has_candidates_of_every_scale(query: str, scales: set[str]) -> None:
    found = conventions.candidates(query)
    assert found == conventions.find(query)
    assert len({record.callable for record in found}) > 1
    assert {record.scale for record in found[: len(scales)]} == scales


def test_class_that_an_object_is_called_after_is_the_first_candidate() -> None:
    assert conventions.candidates("linear_svc.decision_function(X)")[0].symbol.startswith("sklearn.svm.LinearSVC.")


@pytest.mark.parametrize(
    "query",
    [
        "SVC().decision_function(X)",
        "SVC.decision_function",
        "bst.predict(d, output_margin=True)",
        "softmax",
        "F.softmax",
    ],
)
def test_query_that_says_what_it_means_has_no_candidates(query: str) -> None:
    assert conventions.candidates(query) == []
    assert conventions.find(query)


FLAGGED = [
    (each, flag, setting) for each in conventions.callables() for flag in each.flags for setting in flag.settings
]


@pytest.mark.parametrize(("each", "flag", "setting"), FLAGGED, ids=lambda part: getattr(part, "id", None))
def test_call_with_a_flag_is_found_on_the_scale_that_the_flag_sets(each, flag, setting) -> None:
    query = f"{each.paths[0]}({flag.name}={setting.value!r})"
    if not query.replace(".", "").partition("(")[0].isidentifier():
        return  # another language's name, which this isn't the way to call
    row = conventions.find(query)[0]
    resolved = conventions.resolve(each.paths[0], **{flag.name: setting.value})
    said = {one.name: one.scale for one in resolved.inputs}[row.case.input] if row.case.input else resolved.returns
    assert row.case.condition or said in (None, row.scale)


@pytest.mark.parametrize("each", conventions.callables(), ids=lambda each: each.id)
def test_parameter_is_at_the_place_that_the_signature_gives_it(each: conventions.Callable) -> None:
    for where, text in (("construct", each.construct), ("call", each.call)):
        tree = ast.parse(f"def f({text or ''}): ...").body[0].args
        positional = [one.arg for one in (*tree.posonlyargs, *tree.args)]
        for part in (*each.inputs, *each.flags) if text is not None else ():
            if part.where == where:
                assert part.index == (positional.index(part.name) if part.name in positional else None), part.name
                assert part.name in (*positional, *(one.arg for one in tree.kwonlyargs)) or tree.kwarg, part.name


def defaults_of(parameters: str | None) -> dict[str, object]:
    """The parameters of a signature with the defaults that are literals; `...` stands for any other."""
    tree = ast.parse(f"def f({parameters or ''}): ...").body[0].args
    names = [*tree.posonlyargs, *tree.args]
    pairs = [*zip(names[len(names) - len(tree.defaults) :], tree.defaults, strict=True)]
    pairs += [*zip(tree.kwonlyargs, tree.kw_defaults, strict=True)]
    found: dict[str, object] = dict.fromkeys((one.arg for one in names), ...)
    for one, default in pairs:
        found[one.arg] = default.value if isinstance(default, ast.Constant) else ...
    return found


@pytest.mark.parametrize(
    "each", [one for one in conventions.callables() if one.language == "Python"], ids=lambda each: each.id
)
def test_defaults_are_those_of_the_signature(each: conventions.Callable) -> None:
    given = defaults_of(each.construct) | defaults_of(each.call)
    for flag in each.flags:
        assert given.get(flag.name, ...) in (..., flag.default), flag.name
    if "reduction" in given:
        assert each.reduction is not None
        assert each.reduction.param == "reduction"
        usual = {"sum_over_batch_size": "mean"}.get(given["reduction"], given["reduction"])
        assert usual in (..., each.reduction.default) or each.reduction.how


@pytest.mark.parametrize("each", conventions.callables(), ids=lambda each: each.id)
def test_flag_sets_a_scale_that_fits_the_event(each: conventions.Callable) -> None:
    for flag in each.flags:
        for setting in flag.settings:
            for name, scale in setting.scales:
                (event,) = {setting.event or one.event or each.event for one in each.inputs if one.name == name}
                assert not (event == "binary" and scale == "logits"), (flag.name, setting)
                assert not (event == "categorical" and scale == "log-odds"), (flag.name, setting)


def test_path_belongs_to_one_callable() -> None:
    paths = [path for each in conventions.callables() for path in each.paths]
    assert len(paths) == len(set(paths))


def test_callables_can_be_hashed_and_not_changed() -> None:
    assert len(set(conventions.callables())) == len(conventions.callables())
    with pytest.raises(AttributeError):
        conventions.callables()[0].trap = "none"  # type: ignore[misc]


@pytest.mark.parametrize("each", conventions.callables(), ids=lambda each: each.id)
def test_signature_is_one_that_python_reads_or_says_that_it_is_not(each: conventions.Callable) -> None:
    for parameters in (each.construct, each.call):
        if parameters is not None:
            ast.parse(f"def f({parameters}): ...")
    assert each.written or each.construct is not None or each.call is not None


def test_keyword_chooses_between_the_records_of_a_name() -> None:
    with_logits, without = (
        conventions.find(f"keras.losses.BinaryCrossentropy{inside}") for inside in ("(from_logits=True)", "")
    )
    assert [record.scale for record in with_logits] == ["log-odds"]
    assert [record.scale for record in without] == ["probabilities", "log-odds"]


def test_value_of_a_keyword_is_anything_where_the_record_leaves_it_open() -> None:
    found = conventions.find("Categorical(logits=z)")
    assert {"PyTorch", "Pyro", "NumPyro", "TensorFlow Probability"} <= {record.framework for record in found}
    assert not [record.symbol for record in found if "probs" in record.symbol]


@pytest.mark.parametrize("value", ["[1]", "{}", "f(x)"])
def test_value_that_no_flag_is_set_to_chooses_nothing(value: str) -> None:
    found = conventions.find(f"torch.nn.KLDivLoss(log_target={value})")
    assert set(found) == set(conventions.find("torch.nn.KLDivLoss"))


def test_spelling_chooses_between_a_class_and_a_function_that_differ_in_case() -> None:
    found = {
        spelling: conventions.find(f"keras.losses.{spelling}")
        for spelling in ("BinaryCrossentropy", "binary_crossentropy")
    }
    assert not {record.symbol for record in found["BinaryCrossentropy"]} & {
        record.symbol for record in found["binary_crossentropy"]
    }
    assert len(conventions.find("keras.losses.binarycrossentropy")) == sum(map(len, found.values()))


def test_full_name_finds_no_other_framework() -> None:
    assert {record.framework for record in conventions.find("torch.nn.CrossEntropyLoss")} == {"PyTorch"}


@pytest.mark.parametrize("nothing", ["", "()", ".", "  ", "frobnicate", "optim.Adam", "what is the", "f({[1]: 2})"])
def test_name_that_is_none_finds_nothing(nothing: str) -> None:
    assert conventions.find(nothing) == []


@pytest.mark.parametrize("query", [query for query in QUERIES if "near" in query], ids=lambda query: query["ask"])
def test_suggestions_are_found(query: Mapping[str, str]) -> None:
    assert all(conventions.find(each) for each in conventions.suggest(query["ask"]))


def test_far_miss_suggests_nothing() -> None:
    assert conventions.suggest("frobnicate") == []
    assert conventions.suggest("") == []


def test_table_is_narrowed_by_framework_and_scale() -> None:
    keras = conventions.table("keras")
    assert {record.framework for record in keras} == {"Keras 3"}
    assert conventions.table(scale="log-odds", framework="keras") == [
        each for each in keras if each.scale == "log-odds"
    ]
    assert conventions.table("no such framework") == []


def test_table_refuses_a_scale_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"scale must be one of .*, not 'logit'"):
        conventions.table(scale="logit")


def test_equivalents_do_the_same_on_the_same_scale_elsewhere() -> None:
    (loss,) = conventions.find("torch.nn.BCEWithLogitsLoss")
    same = conventions.equivalents(loss)
    assert {"tf.nn.sigmoid_cross_entropy_with_logits", "optax.sigmoid_binary_cross_entropy"} <= {
        each.symbol for each in same
    }
    assert {(each.case.role, each.scale) for each in same} == {("binary loss", "log-odds")}
    assert "PyTorch" not in {each.framework for each in same}
    assert not any("focal" in each.symbol.lower() for each in same)


def test_looking_up_needs_no_framework_and_no_schema() -> None:
    code = "import sys; from logitkit import conventions; conventions.find('softmax'); print(*sys.modules, sep='\\n')"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "tomllib" in modules
    assert not {"torch", "jsonschema", "numpy", "scipy", "tensorflow", "jax"} & set(modules)


def test_flag_sets_the_scale_and_one_that_is_not_known_leaves_it_open() -> None:
    path = "keras.losses.BinaryCrossentropy"
    for flags, scale in [({}, "probabilities"), ({"from_logits": True, "label_smoothing": 0.1}, "log-odds")]:
        (score,) = conventions.resolve(path, **flags).scores
        assert score.scale == scale
    (score,) = conventions.resolve(path, from_logits=conventions.UNKNOWN).scores
    assert score.scale is None


@pytest.mark.parametrize("path", ["torch.nn.CrossEntropy", "CrossEntropyLoss", "torch.nn.crossentropyloss", ""])
def test_resolve_is_exact(path: str) -> None:
    assert conventions.resolve(path) is None


@pytest.mark.parametrize("each", conventions.callables(), ids=lambda each: each.id)
def test_case_says_what_resolve_says(each: conventions.Callable) -> None:
    """A row's scale follows from the flags, except where a condition that no flag says decides."""
    for case in each.cases:
        found = conventions.resolve(each.paths[0], **dict(case.when))
        said = {one.name: one.scale for one in found.inputs}[case.input] if case.input else found.returns
        assert case.condition or said == case.scale or (each.form == "class" and said is None), case


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.framework}: {record.symbol}")
def test_code_in_a_text_is_whole(record: conventions.Record) -> None:
    for text in [*texts(record), *([record.fix] if record.fix else [])]:
        for code in re.findall("`([^`]+)`", text):
            assert all(code.count(one) == code.count(other) for one, other in ("()", "[]")), text


def test_explaining_a_row_takes_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    for record in RECORDS:
        main(["explain", record.symbol, "--framework", record.framework])
        page, _, others = capsys.readouterr().out.partition("\nAlso:\n")
        lines = [*page.splitlines(), *others.splitlines()]
        assert len(page.splitlines()) < 15, record.symbol
        assert max(map(len, lines)) <= 100, record.symbol
