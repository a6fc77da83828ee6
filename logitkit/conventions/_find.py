"""Looking things up: `resolve` for tools, exact, and `find` for people, who type half a name or paste a line of code.

`find` never answers with another symbol's scale. A name that says its package is that symbol or nothing; a name that
doesn't may be the end of a path. What isn't recorded has no answer, only suggestions.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from logitkit.conventions._load import Record, by_path, callables, rows
from logitkit.conventions._schema import SCALES, WORDS, Callable, Case, Flag, Scale, Value

#: A flag's value that a tool can't know. The scales that depend on it are then None.
UNKNOWN: Final = object()

# What people write for a module after `import ... as ...`, and modules that have moved.
IMPORTED_AS: Final = {
    "F": "torch.nn.functional",
    "nn": "torch.nn",
    "td": "torch.distributions",
    "tf": "tensorflow",
    "tfp": "tensorflow_probability",
    "tfd": "tensorflow_probability.distributions",
    "jnp": "jax.numpy",
    "jsp": "jax.scipy",
    "np": "numpy",
    "sp": "scipy",
    "sm": "statsmodels.api",
    "xgb": "xgboost",
    "lgb": "lightgbm",
    "smp": "segmentation_models_pytorch",
    "T": "theano.tensor",
}
MOVED: Final = {
    "tensorflow.keras": "keras",
    "tf_keras": "keras",
    "keras.src.losses.losses": "keras.losses",
    "keras.src": "keras",
    "torch.nn.modules.loss": "torch.nn",
    "torch.nn.modules.activation": "torch.nn",
    "sklearn.linear_model._logistic": "sklearn.linear_model",
}
# How people name a framework, beside its own name and that of its package.
FRAMEWORKS: Final = {
    "torch": "PyTorch",
    "tf": "TensorFlow",
    "keras": "Keras 3",
    "sklearn": "scikit-learn",
    "scikit": "scikit-learn",
    "hf": "Transformers",
    "huggingface": "Transformers",
    "hugging face": "Transformers",
    "tfp": "TensorFlow Probability",
    "smp": "Segmentation Models PyTorch",
    "xgb": "XGBoost",
    "lgb": "LightGBM",
    "lgbm": "LightGBM",
    "vw": "Vowpal Wabbit",
    "tfjs": "TensorFlow.js",
    "paddle": "PaddlePaddle",
}
# What's meant first when several frameworks have a name.
FIRST: Final = ("PyTorch", "TensorFlow", "Keras 3", "scikit-learn", "JAX")
# What people call a thing that no framework calls so.
NICKNAMES: Final = {
    "bce": ("torch.nn.BCEWithLogitsLoss", "torch.nn.BCELoss", "keras.losses.BinaryCrossentropy"),
    "bceloss with logits": ("torch.nn.BCEWithLogitsLoss",),
    "xent": (
        "torch.nn.functional.cross_entropy",
        "tensorflow.nn.softmax_cross_entropy_with_logits",
        "keras.losses.CategoricalCrossentropy",
        "optax.softmax_cross_entropy",
    ),
    "logits": (
        "torch.nn.functional.cross_entropy",
        "torch.nn.functional.binary_cross_entropy_with_logits",
        "tensorflow.nn.softmax_cross_entropy_with_logits",
        "tensorflow.nn.sigmoid_cross_entropy_with_logits",
        "torch.distributions.Categorical",
        "torch.distributions.Bernoulli",
    ),
}

# What stands between the parts of a name in other languages.
_DOTS: Final = re.compile(r"::|[$/]")


def resolve(path: str, /, **flags: Any) -> Callable | None:
    """The callable of an exact path, with the scales that its flags set; None if it isn't recorded.

    This is the interface for tools. It's exact: a path is a full dotted path as one would import it, and no other
    symbol is ever given for it. Keywords that change no scale are ignored, so a tool can pass all it sees.

    Parameters
    ----------
    path : str
        The path, such as ``"torch.nn.functional.cross_entropy"``.
    **flags
        The values of keywords. One that can't be known is `UNKNOWN`: what depends on it has then the scale None.

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
    values = {flag.name: flags.get(flag.name, flag.default) for flag in found.flags}
    for flag in found.flags:
        found = _set(found, flag, values[flag.name])
    cases = tuple(case for case in found.cases if _when(found, case) == values)
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


def _when(each: Callable, case: Case) -> dict[str, Any]:
    """The values of all flags in a case."""
    return {flag.name: flag.default for flag in each.flags} | dict(case.when)


def table(framework: str | None = None, scale: Scale | None = None) -> list[Record]:
    """All rows of the registry, or those of one framework, or those on one scale.

    Parameters
    ----------
    framework : str, optional
        The framework's name in any usual form: ``"sklearn"``, ``"tf"``, ``"hf"``.
    scale : str, optional
        One of `SCALES`.

    Returns
    -------
    list of Record
        Sorted by framework, in the order of their files; empty if there is none.

    Raises
    ------
    ValueError
        If `scale` is none of the scales.

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
    """The frameworks of a name as people write it: its own, its package's, a short form, or the beginning of one."""
    wanted = _letters(name)
    known = {each.framework: each.package or "" for each in callables()}
    if short := FRAMEWORKS.get(name.strip().lower()):
        return (short,) if short in known else ()
    exact = tuple(own for own, package in known.items() if wanted in (_letters(own), _letters(package)))
    return exact or tuple(own for own in known if wanted and _letters(own).startswith(wanted))


def find(query: str) -> list[Record]:
    """The rows that a person means by a name, the most likely first.

    The name may lack its first modules (``F.cross_entropy``), its case or underscores (``crossentropyloss``), may name
    its framework (``vllm logprobs``), may be a keyword (``from_logits``), or a line of code that calls it. Keywords
    that change a scale choose between the rows of one name; others are ignored.

    Parameters
    ----------
    query : str
        What was typed.

    Returns
    -------
    list of Record
        Empty if it isn't recorded; `suggest` then has near names.

    Examples
    --------
    >>> from logitkit import conventions
    >>> [record.scale for record in conventions.find("loss = F.cross_entropy(model(x), y)")]
    ['logits']
    >>> conventions.find("torch.bernoulli_")
    []
    """
    query = query.strip().rstrip(":;,")
    for asked in _asked(query):
        if found := _look_up(asked):
            return sorted(found, key=_rank)
    framework, rest = _split_framework(query)
    if framework and rest:
        found = [record for record in find(rest) if record.framework in framework]
        return found or [record for record in _by_words(rest) if record.framework in framework]
    return []


def suggest(query: str, count: int = 5) -> list[str]:
    """Recorded names near to one that isn't; `find` finds each of them.

    Parameters
    ----------
    query : str
        The name.
    count : int
        How many at most.

    Returns
    -------
    list of str
        The nearest first.

    Examples
    --------
    >>> from logitkit import conventions
    >>> conventions.suggest("cross_entropie")[0]
    'torch.nn.functional.cross_entropy'
    """
    asked = next(iter(_asked(query.strip())), None)
    if asked is None:
        return []
    dotted = len(asked.path) > 1
    names = {}
    for each in sorted(callables(), key=lambda each: _rank(rows(each)[0])):
        key = _letters(".".join(each.symbol.split(".")[-2:]) if dotted else each.symbol.split(".")[-1])
        names.setdefault(key, each.symbol)
    wanted = _letters(".".join(asked.path[-2:]))
    near = difflib.get_close_matches(wanted, names, n=count, cutoff=0.6)
    return [names[each] for each in near]


def equivalents(record: Record) -> list[Record]:
    """What does the same work in other frameworks: the same role, event, formula and target, on the same scale.

    Parameters
    ----------
    record : Record
        The row.

    Returns
    -------
    list of Record

    Examples
    --------
    >>> from logitkit import conventions
    >>> loss = conventions.find("torch.nn.functional.cross_entropy")[0]
    >>> "optax.softmax_cross_entropy" in [each.symbol for each in conventions.equivalents(loss)]
    True
    """

    def work(each: Record) -> tuple[Any, ...]:
        case = each.case
        signed = any("sign" in one.target for one in each.callable.inputs)
        return _family(case.role), case.scale, case.event, each.callable.returns, case.formula, signed

    every = (row for each in callables() for row in rows(each))
    return [each for each in every if work(each) == work(record) and each.framework != record.framework]


def _family(role: str) -> str:
    # log_sigmoid is an inverse link in one file and a log normaliser in another: what returns tells them apart
    return "transform" if role in ("inverse link", "normaliser", "log normaliser", "link") else role


@dataclass(frozen=True)
class _Asked:
    """A name that was asked for: its parts, the keywords of its call, and how many arguments stand before them."""

    path: tuple[str, ...]
    keywords: tuple[tuple[str, Value], ...] = ()
    positional: int = 0


def _asked(query: str) -> Iterator[_Asked]:
    """What a query may ask for: the calls of a line of code, the outermost first, or the name that it is."""
    try:
        tree = ast.parse(re.sub(r"=(?=[,)])", "=...", query))
    except SyntaxError:
        tree = ast.Module(body=[], type_ignores=[])
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
    for call in calls:
        target = call.func
        if isinstance(target, ast.Call):  # nn.CrossEntropyLoss()(x, y)
            continue
        if path := _dotted(target):
            keywords = tuple((each.arg, _value(each.value)) for each in call.keywords if each.arg)
            yield _Asked(path, keywords, len(call.args))
    bare = _DOTS.sub(".", query.partition("(")[0] if calls else query).strip(" .\"'`")
    assigned = re.fullmatch(r"(\w+)\s*=\s*([\"']?)([\w.:]+)\2", bare)
    if assigned and not calls:
        yield _Asked((assigned[1],), ((assigned[1], _literal(assigned[3])),))
        yield _Asked((assigned[3],))
    elif not calls or not any(_dotted(each.func) for each in calls):
        yield _Asked(tuple(part for part in bare.split(".") if part))


def _dotted(node: ast.expr) -> tuple[str, ...]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (*([node.id] if isinstance(node, ast.Name) else []), *reversed(parts))


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return UNKNOWN


def _literal(text: str) -> Value:
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _look_up(asked: _Asked) -> list[Record]:
    """The rows of a name: by its exact path, by the end of one, by a spelling, by a keyword, or by a nickname."""
    if nickname := NICKNAMES.get(".".join(asked.path).lower()):
        return [record for path in nickname if path in by_path() for record in rows(by_path()[path])[:1]]
    path = _expanded(asked.path)
    if exact := by_path().get(".".join(path)):
        return _agreeing(exact, asked)
    if path and path[0] in _roots() and len(path) > 1:  # it says its package: it's that symbol or nothing
        path = ()
    for same in (str, _letters):
        ends = [
            each for each in callables() if path and any(_ends(name, path, same) for name in (each.symbol, *each.paths))
        ]
        if ends:
            return [record for each in ends for record in _agreeing(each, asked)]
        spelled = [each for each in callables() if _spelled(each, asked, same)]
        if spelled:
            return [record for each in spelled for record in _agreeing(each, asked)]
    return _with_keyword(asked) if len(asked.path) == 1 else []


def _expanded(path: tuple[str, ...]) -> tuple[str, ...]:
    if not path:
        return ()
    first = IMPORTED_AS.get(path[0])
    dotted = ".".join((first, *path[1:]) if first and len(path) > 1 else path)
    for old, new in MOVED.items():
        if dotted.startswith(f"{old}."):
            dotted = new + dotted[len(old) :]
            break
    return tuple(dotted.split("."))


@cache
def _roots() -> frozenset[str]:
    return frozenset(path.partition(".")[0] for path in by_path() if "." in path)


def _ends(name: str, path: tuple[str, ...], same: Any) -> bool:
    parts = _DOTS.sub(".", name).split(".")
    return tuple(map(same, parts[-len(path) :])) == tuple(map(same, path))


def _spelled(each: Callable, asked: _Asked, same: Any) -> bool:
    name, given = same(".".join(asked.path)), {keyword for keyword, _ in asked.keywords}
    for one in each.spellings:
        bare, _, inside = one.partition("(")
        needed = set(re.findall(r"(\w+)\s*=", inside))
        if same(bare.strip("\"' ")) == name and needed <= given:
            return True
    return False


def _agreeing(each: Callable, asked: _Asked) -> list[Record]:
    """The rows that the keywords of a call choose: by the flags they set, or by the input they fill."""
    keywords = dict(asked.keywords)
    inputs = {one.name: one for one in each.inputs if one.scale}
    chosen = [name for name in keywords if name in inputs]
    if not chosen and len(inputs) > 1 and asked.positional:
        first = [one.name for one in inputs.values() if one.index is not None and one.index < asked.positional]
        chosen = first[:1]
    flags = {flag.name: keywords[flag.name] for flag in each.flags if flag.name in keywords}
    found = list(rows(each))
    if chosen:
        found = [record for record in found if record.case.input in chosen] or found
    if flags:
        known = {name: value for name, value in flags.items() if value is not UNKNOWN and value is not ...}
        found = [record for record in found if known.items() <= _when(each, record.case).items()] or found
    elif asked.keywords or asked.positional:
        found = [record for record in found if not record.case.when] or found
    return found


def _with_keyword(asked: _Asked) -> list[Record]:
    """The rows of callables that have a parameter of this name, where it matters for the scale."""
    (name,) = asked.path
    values = dict(asked.keywords)

    def matters(each: Callable) -> bool:
        return any(flag.name == name for flag in each.flags) or any(
            one.name == name and one.scale for one in each.inputs
        )

    found = [record for each in callables() if matters(each) for record in rows(each)]
    if name in values:
        found = [record for record in found if dict(record.case.when).get(name) == values[name]] or found
    return found


def _by_words(words: str) -> list[Record]:
    """The rows whose name, spellings or inputs contain all of these words."""
    wanted = [_letters(word) for word in words.split()]

    def text(record: Record) -> str:
        each = record.callable
        return _letters(" ".join([record.symbol, record.argument, *each.paths, *each.spellings]))

    return [record for each in callables() for record in rows(each) if all(word in text(record) for word in wanted)]


def _split_framework(query: str) -> tuple[tuple[str, ...], str]:
    """A framework that a query begins or ends with, and the rest of it."""
    words = query.split()
    for count in (2, 1):
        for named, rest in ((words[:count], words[count:]), (words[-count:], words[:-count])):
            if rest and (found := _exactly_named(" ".join(named))):
                return found, " ".join(rest)
    return (), query


def _exactly_named(name: str) -> tuple[str, ...]:
    wanted = _letters(name)
    found = framework_named(name)
    short = name.lower() in FRAMEWORKS
    return tuple(each for each in found if short or wanted in (_letters(each), *_letters_of_packages(each)))


def _letters_of_packages(framework: str) -> tuple[str, ...]:
    return tuple({_letters(each.package or "") for each in callables() if each.framework == framework})


def _rank(record: Record) -> tuple[int, int]:
    order = FIRST.index(record.framework) if record.framework in FIRST else len(FIRST)
    return order, "loss" not in record.case.role


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9+=<>\u0080-\uffff]", "", name.lower())


def words_for(scale: Scale) -> str:
    """A scale in the words of people: ``logits (of a softmax)``."""
    return WORDS[scale]
