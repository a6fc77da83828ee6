"""`resolve`, for tools: exact look-up of a path; the registry as a table, and what does the same work elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Any, Final

from logitkit.conventions._load import Record, by_path, callables, rows
from logitkit.conventions._schema import SCALES, WORDS, Callable, Case, Flag, Scale

#: A flag's value that a tool can't know. The scales that depend on it are then None.
UNKNOWN: Final = object()

# How people name a framework, in letters, beside its own name and that of its package.
FRAMEWORKS: Final = {
    "torch": "PyTorch",
    "tf": "TensorFlow",
    "keras": "Keras 3",
    "sklearn": "scikit-learn",
    "scikit": "scikit-learn",
    "hf": "Transformers",
    "huggingface": "Transformers",
    "tfp": "TensorFlow Probability",
    "smp": "Segmentation Models PyTorch",
    "xgb": "XGBoost",
    "lgb": "LightGBM",
    "lgbm": "LightGBM",
    "vw": "Vowpal Wabbit",
    "tfjs": "TensorFlow.js",
    "paddle": "PaddlePaddle",
    "trtllm": "TensorRT-LLM",
    "dl4j": "Deeplearning4j",
    "djl": "Deep Java Library",
    "coreml": "Apple Core ML",
    "distributionsjl": "JuliaStats",
    "glmjl": "JuliaStats",
    "gluon": "MXNet Gluon",
    "mmdet": "MMDetection",
    "yolo": "Ultralytics",
    "tflite": "LiteRT (TensorFlow Lite)",
}


def resolve(path: str, /, **flags: Any) -> Callable | None:
    """The callable of an exact path, with the scales that its flags set; None if it isn't recorded.

    This is the interface for tools. It's exact: a path is a full dotted path as one would import it, and no other
    symbol is ever given for it. Keywords that change no scale are ignored, so a tool can pass all it sees.

    Parameters
    ----------
    path : str
        The path, such as ``"torch.nn.functional.cross_entropy"``.
    **flags
        The values of keywords. Pass ``UNKNOWN`` for one that you can't know; what depends on it has the scale None.

    Returns
    -------
    Callable or None
        Its inputs, what it returns, its operations and its cases are those in force under these flags.

    Examples
    --------
    >>> from logitkit import conventions
    >>> loss = conventions.resolve("keras.losses.BinaryCrossentropy", from_logits=True)
    >>> [(each.name, each.scale) for each in loss.scores]
    [('y_pred', 'log-odds')]
    >>> conventions.resolve("torch.nn.CrossEntropy") is None
    True
    """
    found = by_path().get(path)
    if found is None:
        return None
    values = values_of_flags(found) | {flag.name: flags[flag.name] for flag in found.flags if flag.name in flags}
    for flag in found.flags:
        found = _set(found, flag, values[flag.name])
    cases = tuple(case for case in found.cases if values_of_flags(found, case) == values)
    if len(cases) == 1:
        (case,) = cases
        found = replace(found, applies=case.applies, ops=case.ops, stability=case.stability, trap=case.trap)
    return replace(found, cases=cases or found.cases)


def _set(each: Callable, flag: Flag, value: Any) -> Callable:
    """A callable with one flag at a value; what the flag could change is unknown if the value is."""
    for setting in flag.settings:
        if setting.value == value and type(setting.value) is type(value):
            scales = dict(setting.scales)
            inputs = tuple(
                replace(one, scale=scales[one.name], event=setting.event or one.event) if one.name in scales else one
                for one in each.inputs
            )
            return replace(each, inputs=inputs, returns=setting.returns or each.returns)
    if value is not UNKNOWN and value == flag.default:
        return each
    changed = {name for setting in flag.settings for name, _ in setting.scales}
    inputs = tuple(replace(one, scale=None) if one.name in changed else one for one in each.inputs)
    unknown = any(setting.returns for setting in flag.settings)
    return replace(each, inputs=inputs, returns=None if unknown else each.returns, ops=(), stability=None)


def values_of_flags(each: Callable, case: Case | None = None) -> dict[str, Any]:
    """The values of all flags: the defaults, or those in a case."""
    return {flag.name: flag.default for flag in each.flags} | dict(case.when if case else ())


def table(framework: str | None = None, scale: Scale | None = None) -> list[Record]:
    """All rows of the registry, or those of one framework or on one scale.

    Parameters
    ----------
    framework : str, optional
        The framework's name in any usual form: ``"sklearn"``, ``"tf"``, ``"hf"``.
    scale : str, optional
        One of ``SCALES``.

    Returns
    -------
    list of Record
        Sorted by framework, in the order of their files; empty if there is none.

    Raises
    ------
    ValueError
        If ``scale`` is none of the scales.

    Examples
    --------
    >>> from logitkit import conventions
    >>> [record.symbol for record in conventions.table("pytorch", scale="log-probabilities")][:1]
    ['torch.nn.functional.nll_loss']
    """
    if scale not in (None, *SCALES):
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, not {scale!r}")
    named = framework_named(framework) if framework else ()
    return [
        record
        for each in callables()
        if framework is None or each.framework in named
        for record in rows(each)
        if scale in (None, record.scale)
    ]


def framework_named(name: str) -> tuple[str, ...]:
    """The frameworks that a name may mean: the framework's own, its package's, a short form, or the beginning of one.

    Parameters
    ----------
    name : str
        What was typed.

    Returns
    -------
    tuple of str
        Empty if no framework has that name.

    Examples
    --------
    >>> from logitkit import conventions
    >>> conventions.framework_named("sklearn")
    ('scikit-learn',)
    """
    wanted = letters(name)
    known = {each.framework: each.package or "" for each in callables()}
    if short := FRAMEWORKS.get(wanted):
        return (short,) if short in known else ()
    exact = tuple(own for own, package in known.items() if wanted and wanted in (letters(own), letters(package)))
    is_beginning = len(wanted) > 2 and " " not in name
    return exact or tuple(own for own in known if is_beginning and letters(own).startswith(wanted))


def equivalents(record: Record) -> list[Record]:
    """What does the same work in other frameworks: the same role, event, formula and target, on the same scale.

    Parameters
    ----------
    record : Record
        The row.

    Returns
    -------
    list of Record
        Sorted by framework; empty if there is none.

    Examples
    --------
    >>> from logitkit import conventions
    >>> loss = conventions.find("torch.nn.functional.cross_entropy")[0]
    >>> "optax.softmax_cross_entropy" in [each.symbol for each in conventions.equivalents(loss)]
    True
    """
    return [each for each in _by_work().get(_work(record), ()) if each.framework != record.framework]


@cache
def _by_work() -> dict[tuple[Any, ...], list[Record]]:
    alike: dict[tuple[Any, ...], list[Record]] = {}
    for record in table():
        alike.setdefault(_work(record), []).append(record)
    return alike


def _work(record: Record) -> tuple[Any, ...]:
    case = record.case
    signed = any("sign" in one.target for one in record.callable.inputs)
    return _family(case.role), case.scale, case.event, record.callable.returns, case.formula, signed


def _family(role: str) -> str:
    # log_sigmoid is an inverse link in one file and a log normalizer in another: what returns tells them apart
    return "transform" if role in ("inverse link", "normalizer", "log normalizer", "link") else role


def words_for(scale: Scale) -> str:
    """A scale in plain words.

    Parameters
    ----------
    scale : str
        One of ``SCALES``.

    Returns
    -------
    str

    Raises
    ------
    KeyError
        If ``scale`` is none of the scales.

    Examples
    --------
    >>> from logitkit import conventions
    >>> conventions.words_for("logits")
    'logits (of a softmax)'
    """
    return WORDS[scale]


def letters(name: str) -> str:
    """A name without case, dots and underscores."""
    return re.sub(r"[^a-z0-9+=<>\u0080-\uffff]", "", name.lower())
