"""A name is found in the spellings that people type, with its candidates, its neighbors and its equivalents."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from logitkit import conventions
from logitkit.cli import main
from tests.gathered import by_framework, each


@by_framework(conventions.callables(), "id")
def test_callable_is_found_by_all_its_names(one: conventions.Callable) -> None:
    for name in (*one.paths, *one.spellings):
        assert one in [record.callable for record in conventions.find(name)], name
    for path in one.paths:
        assert conventions.resolve(path).id == one.id


QUERIES = tomllib.loads((Path(__file__).parent / "queries.toml").read_text("utf-8"))["queries"]


@each(query={query["ask"]: query for query in QUERIES})
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


def test_explaining_a_row_takes_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    for record in conventions.table():
        main(["explain", record.symbol, "--framework", record.framework])
        page, _, others = capsys.readouterr().out.partition("\nAlso:\n")
        lines = [*page.splitlines(), *others.splitlines()]
        assert len(page.splitlines()) < 15, record.symbol
        assert max(map(len, lines)) <= 100, record.symbol
