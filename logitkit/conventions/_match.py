"""From a name to the rows that it may mean: by its path or the end of one, a spelling, a nickname or a keyword.

It never gives another symbol's rows. A name that says its package is that symbol or nothing; one that doesn't may be
the end of a path. Of several rows the arguments of the call choose.
"""

from __future__ import annotations

from collections.abc import Callable as Function
from dataclasses import replace
from functools import cache
from typing import Any, Final

from logitkit.conventions._load import Record, by_path, callables, rows
from logitkit.conventions._query import SOMETHING, Name, Symbol, names_in, parts_of
from logitkit.conventions._resolve import UNKNOWN, letters, resolve, values_of_flags
from logitkit.conventions._schema import Callable

# What's meant first when several frameworks have a name; the others follow in alphabetical order.
FIRST: Final = (
    *("PyTorch", "TensorFlow", "Keras 3", "scikit-learn", "JAX", "SciPy", "Transformers", "torchvision", "Optax"),
    "timm",
    *("XGBoost", "LightGBM", "CatBoost", "statsmodels", "R", "TensorFlow Probability", "OpenAI API", "vLLM"),
)


# What people call a thing that no framework calls so.
MULTICLASS: Final = (
    "torch.nn.functional.cross_entropy",
    "keras.losses.CategoricalCrossentropy",
    "optax.softmax_cross_entropy",
)


LOGITS: Final = (
    "torch.nn.functional.cross_entropy",
    "torch.nn.functional.binary_cross_entropy_with_logits",
    "tensorflow.nn.softmax_cross_entropy_with_logits",
    "tensorflow.nn.sigmoid_cross_entropy_with_logits",
    "torch.distributions.Categorical",
    "torch.distributions.Bernoulli",
)


FOCAL: Final = (
    "torchvision.ops.sigmoid_focal_loss",
    "keras.losses.BinaryFocalCrossentropy",
    "monai.losses.FocalLoss",
)


NICKNAMES: Final = {
    **dict.fromkeys(("focal", "focal loss"), FOCAL),
    "bce": ("torch.nn.BCEWithLogitsLoss", "torch.nn.BCELoss", "keras.losses.BinaryCrossentropy"),
    "log odds": ("scipy.special.logit", "torch.special.logit", "torch.nn.BCEWithLogitsLoss"),
    **dict.fromkeys(("ce", "ce loss", "crossentropy", "cross entropy"), MULTICLASS),
    "xent": (
        "torch.nn.functional.cross_entropy",
        "tensorflow.nn.softmax_cross_entropy_with_logits",
        "keras.losses.CategoricalCrossentropy",
        "optax.softmax_cross_entropy",
    ),
    "nll": ("torch.nn.functional.nll_loss", "torch.nn.NLLLoss"),
    "cross entropy with logits": LOGITS[:4],
    **dict.fromkeys(("logits", "raw scores", "unnormalized log probabilities"), LOGITS),
}
# Old and experimental doors to what has a better one: they come last.
SIDE_DOORS: Final = ("compat", "raw_ops", "contrib", "quantized", "backend")
Same = Function[[str], str]


def look_up(name: Name) -> list[Record]:
    """The rows of a name: by a nickname, the whole or the end of a path, a spelling, or a keyword."""
    meant = nicknamed(name.parts[0]) if len(name.parts) == 1 else []
    if name.keywords and name.keywords[0][0] == name.parts[0] and (argument := _with_keyword(name)):
        return argument  # sigmoid=True is the argument, not the function
    for same in (str, letters):
        if found := callables_named(name, same):
            given = dict(name.keywords).keys()  # predict(fit, type="link"): those come first that have this flag
            ranked = sorted(found, key=lambda each: (not any(flag.name in given for flag in each.flags), rank(each)))
            return list(dict.fromkeys([*meant, *(record for each in ranked for record in chosen(each, name))]))
    return meant or (_with_keyword(name) if len(name.parts) == 1 and not name.called else [])


def callables_named(name: Name, same: Same) -> list[Callable]:
    """The callables of a name, with parts that are the `same`: that name in full, or else the end of theirs."""
    if SOMETHING in name.parts:
        return []
    paths, spellings = _index()
    whole, written = (tuple(map(same, parts)) for parts in (name.full, name.parts))
    known = [(tuple(map(same, parts)), each) for parts, each in paths.get(letters(written[-1]), ())]
    exact = [each for parts, each in known if parts in (whole, written)]
    rooted = whole[0] in roots() and len(whole) > 1
    if exact and rooted:
        return list(dict.fromkeys(exact))
    ends = [each for parts, each in known if parts[-len(written) :] == written]
    joined = same(".".join(name.parts))
    spelled = [each for one, each in spellings.get(letters(joined), ()) if _is_spelled(name, one, same)]
    return list(dict.fromkeys([*exact, *([] if rooted and whole == written else ends), *spelled]))


@cache
def roots() -> frozenset[str]:
    """The packages of Python that have a record."""
    return frozenset(package for package, *rest in _paths() if rest)


@cache
def _modules() -> frozenset[str]:
    """The modules of recorded functions, but for the first: ``distributions``, ``losses``."""
    return frozenset(part for path in _paths() for part in path[1:-1] if part.islower())


def _paths() -> list[list[str]]:
    return [path.split(".") for each in callables() if each.language == "Python" for path in each.paths]


@cache
def _index() -> tuple[dict[str, list[tuple[tuple[str, ...], Callable]]], dict[str, list[tuple[Name, Callable]]]]:
    """Paths by the letters of their last part, and spellings by their letters."""
    paths: dict[str, list[tuple[tuple[str, ...], Callable]]] = {}
    spellings: dict[str, list[tuple[Name, Callable]]] = {}
    for each in callables():
        for path in dict.fromkeys((each.symbol, *each.paths)):
            paths.setdefault(letters(parts_of(path)[-1]), []).append((parts_of(path), each))
        for text in each.spellings:
            for spelling in (next(iter(names_in(text)), Name((text,))), Name((text,))):
                spellings.setdefault(letters(".".join(spelling.parts)), []).append((spelling, each))
    return paths, spellings


def _is_spelled(name: Name, spelling: Name, same: Same) -> bool:
    """Whether the name has the keywords of this spelling: ``XGBClassifier.predict(output_margin=True)``."""
    given = dict(name.keywords)
    alike = same(".".join(name.parts)) == same(".".join(spelling.parts))
    return alike and all(
        key in given and (value is ... or given[key] in (value, ..., UNKNOWN)) for key, value in spelling.keywords
    )


def chosen(each: Callable, name: Name) -> list[Record]:
    """The rows that the arguments of a call choose: by the flags that they set, or by the input that they fill."""
    given = _arguments(each, name)
    flags = {flag.name: given[flag.name] for flag in each.flags if flag.name in given}
    every = sorted(rows(each), key=lambda record: _distance(record, name))
    filled = [one.name for one in each.scores if one.name in given]
    every = [record for record in every if record.case.input in filled] or every
    if not name.called and not flags:
        return every
    values = values_of_flags(each) | flags
    fitting = [
        record
        for record in every
        if all(values[key] in (UNKNOWN, ..., value) for key, value in values_of_flags(each, record.case).items())
    ]
    known = {key: value for key, value in flags.items() if value is not UNKNOWN and value is not ...}
    return fitting or (_derived(each, known) if known else []) or every


def _distance(record: Record, name: Name) -> tuple[bool, ...]:
    """How far a row is from what the name itself says: ``raw_score`` means the rows where that flag is on."""
    values, when = values_of_flags(record.callable, record.case), dict(record.case.when)
    asked = values.keys() & set(name.parts)
    return (
        name.parts[-1] not in when.values(),  # processed_logprobs
        any(values[flag] in (None, False) for flag in asked),
        not asked <= when.keys(),
        not asked and bool(when),
    )


def _arguments(each: Callable, name: Name) -> dict[str, Any]:
    """The arguments of a call by name."""
    where = "construct" if each.construct is not None else "call"
    given = dict(name.keywords)
    places = [(one.name, one.where, one.index) for one in each.inputs]
    places += [(flag.name, flag.where, flag.index) for flag in each.flags]
    for parameter, place, index in places:
        if place == where and index is not None and index < len(name.arguments):
            given[parameter] = name.arguments[index]
    return given


def _derived(each: Callable, flags: dict[str, Any]) -> list[Record]:
    """A row that nobody ran, where the scale follows from the flags."""
    flags = {name: str(value) if isinstance(value, Symbol) else value for name, value in flags.items()}
    found = resolve(each.paths[0], **flags) or each
    filled = each.cases[0].input
    scale = {one.name: one.scale for one in found.inputs}[filled] if filled else found.returns
    if scale is None:
        return []
    case = replace(each.cases[0], when=tuple(flags.items()), scale=scale, check=None, wrong=None, also=())
    return [Record(callable=each, case=case)]


def of_a_module(name: Name) -> list[Record]:
    """A class in a module whose name is cut short, ``dist.Bernoulli``; a method that a flag tells from others."""
    receiver, *rest = name.parts
    if not rest or not name.called or not receiver.islower():
        return []
    found = look_up(replace(name, parts=tuple(rest)))
    if rest[-1][:1].isupper():
        return found if any(part.startswith(receiver) for part in _modules()) else []
    given = dict(name.keywords)
    methods = [record for record in found if record.callable.form == "method" and record.language == "Python"]
    return [record for record in methods if any(flag.name in given for flag in record.callable.flags)]


def of_a_class(name: Name) -> list[Record]:
    """The rows of all methods of a class that is named alone, or made: ``SVC(kernel="rbf")``."""
    if not name.parts[-1][:1].isupper():
        return []
    methods = [each for each in by_rank() if each.form in ("method", "attribute") and each.language == "Python"]
    owned = [
        each
        for each in methods
        for path in map(parts_of, each.paths)
        if path[:-1] == name.full or path[-1 - len(name.parts) : -1] == name.parts
    ]
    return [record for each in dict.fromkeys(owned) for record in chosen(each, name)]


def nicknamed(words: str) -> list[Record]:
    """The rows of what people call so, if it's a nickname."""
    return [rows(by_path()[path])[0] for path in NICKNAMES.get(words.lower(), ())]


def _with_keyword(name: Name) -> list[Record]:
    """The rows of callables that have a parameter of this name, where it matters for the scale."""
    (wanted,) = name.parts
    found = []
    for each in by_rank():
        if any(flag.name == wanted for flag in each.flags):
            found += chosen(each, name)
        elif any(one.name == wanted for one in each.scores):
            found += [record for record in rows(each) if record.case.input == wanted]
    return found


@cache
def by_rank() -> tuple[Callable, ...]:
    """All callables, what's meant first in front."""
    return tuple(sorted(callables(), key=rank))


@cache
def rank(each: Callable) -> tuple[bool, int, str]:
    """What to sort by, where several frameworks have a name."""
    order = FIRST.index(each.framework) if each.framework in FIRST else len(FIRST)
    return any(part in SIDE_DOORS for part in parts_of(each.symbol)), order, each.framework
