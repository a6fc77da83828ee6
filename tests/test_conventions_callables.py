"""The callables of the registry: their signatures, their flags, and the scale that a call with flags is on."""

from __future__ import annotations

import ast

import pytest

from logitkit import conventions
from tests.gathered import by_framework


@by_framework(conventions.callables(), "id")
def test_call_with_a_flag_is_found_on_the_scale_that_the_flag_sets(each: conventions.Callable) -> None:
    path = each.paths[0]
    if not path.replace(".", "").isidentifier():
        return  # another language's name, which this isn't the way to call
    for name, value in ((flag.name, setting.value) for flag in each.flags for setting in flag.settings):
        row = conventions.find(f"{path}({name}={value!r})")[0]
        found = conventions.resolve(path, **{name: value})
        said = {one.name: one.scale for one in found.inputs}[row.case.input] if row.case.input else found.returns
        assert row.case.condition or said in (None, row.scale), (name, value)


@by_framework(conventions.callables(), "id")
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


@by_framework([one for one in conventions.callables() if one.language == "Python"], "id")
def test_defaults_are_those_of_the_signature(each: conventions.Callable) -> None:
    given = defaults_of(each.construct) | defaults_of(each.call)
    for flag in each.flags:
        assert given.get(flag.name, ...) in (..., flag.default), flag.name
    if "reduction" in given:
        assert each.reduction is not None
        assert each.reduction.param == "reduction"
        usual = {"sum_over_batch_size": "mean"}.get(given["reduction"], given["reduction"])
        assert usual in (..., each.reduction.default) or each.reduction.how


@by_framework(conventions.callables(), "id")
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


@by_framework(conventions.callables(), "id")
def test_signature_is_one_that_python_reads_or_says_that_it_is_not(each: conventions.Callable) -> None:
    for parameters in (each.construct, each.call):
        if parameters is not None:
            ast.parse(f"def f({parameters}): ...")
    assert each.written or each.construct is not None or each.call is not None


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


@by_framework(conventions.callables(), "id")
def test_case_says_what_resolve_says(each: conventions.Callable) -> None:
    """A row's scale follows from the flags, except where a condition that no flag says decides."""
    for case in each.cases:
        found = conventions.resolve(each.paths[0], **dict(case.when))
        said = {one.name: one.scale for one in found.inputs}[case.input] if case.input else found.returns
        assert case.condition or said == case.scale or (each.form == "class" and said is None), case
