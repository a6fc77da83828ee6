"""`find`, for people: half a name, another language's call, a framework's short name, or a pasted line of code.

It never answers with another symbol's scale. A name that says its package is that symbol or nothing; one that doesn't
may be the end of a path. What isn't recorded has no answer, only suggestions.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable as Function
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from typing import Any, Final

from logitkit.conventions._load import Record, callables, rows
from logitkit.conventions._resolve import UNKNOWN, framework_named, letters, resolve, table, values_of_flags
from logitkit.conventions._schema import Callable

# What people write for a module after `import ... as ...`.
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
    "pm": "pymc",
    "sm": "statsmodels.api",
    "xgb": "xgboost",
    "lgb": "lightgbm",
    "smp": "segmentation_models_pytorch",
    "T": "theano.tensor",
    "K": "tensorflow.keras.backend",
}
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
SAME_WORD: Final = {"divergence": "div", "xent": "crossentropy", "ce": "crossentropy", "bce": "binarycrossentropy"}
# Words of a question that say nothing of what is asked for.
FILLERS: Final = (
    *("a", "an", "the", "what", "which", "how", "does", "do", "is", "are", "of", "for", "in"),
    *("to", "it", "take", "takes", "expect", "expects", "want"),
)
# Old and experimental doors to what has a better one: they come last.
SIDE_DOORS: Final = ("compat", "raw_ops", "contrib", "quantized", "backend")


# The object of which only a method is named: ``model(x).softmax(1)``.
SOMETHING: Final = "_"
TRUTH: Final = {"true": True, "false": False}  # as R, Julia and JavaScript write them
Same = Function[[str], str]


def find(query: str) -> list[Record]:
    """The rows that somebody may mean by a name, the most likely first.

    The name may lack its first modules (``F.cross_entropy``), its case or underscores (``crossentropyloss``). It may
    come with its framework (``vllm logprobs``), be a keyword (``from_logits``), or be a line of code that calls it.
    Arguments that change a scale choose between the rows of one name; others don't matter. In several calls, the loss
    is meant. A framework's name alone has all its rows. A method of an object has the rows of all classes that it may
    be of: `candidates` tells whether that's the case.

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
    >>> conventions.find("numpy.linalg.norm")
    []
    """
    words = " ".join(re.split(r"[-\s]+", query.strip().lower()))
    if " " in words and words in NICKNAMES:
        return list(dict.fromkeys([*_nicknamed(words), *_with_words(words)]))
    if several := candidates(query):
        return several
    names = _names_in(query)
    answers = []
    for name in names:
        of_class = _of_a_class(name) if name is names[0] else []
        if found := _fitting(_look_up(name) or _of_a_module(name) or of_class, name):
            answers.append(found)
    if answers:  # of several calls in a line the loss is meant, or the outermost
        found = min(answers, key=lambda each: not each[0].case.role.endswith("loss"))
        first = found[0].callable
        written_out = [row for row in found if row.callable is first and row.symbol == query]
        return list(dict.fromkeys([*written_out, *found]))
    framework, rest = _split_framework(query)
    if framework and not rest:
        return [record for record in table() if record.framework in framework]
    if framework:
        within = [record for record in find(rest) if record.framework in framework]
        return within or [record for record in _with_words(rest) if record.framework in framework]
    return _of_words(query) if any(map(_is_words, names)) and not any(name.called for name in names) else []


def candidates(query: str) -> list[Record]:
    """The rows of a method or attribute by its name alone, where the query doesn't say the class of the object.

    None of them is the answer, because another class's ``predict`` may return a different scale.

    Parameters
    ----------
    query : str
        What was typed.

    Returns
    -------
    list of Record
        One row of each scale first, then one of each framework; empty if the query says what is meant.

    Examples
    --------
    >>> from logitkit import conventions
    >>> {record.scale for record in conventions.candidates("clf.decision_function(X)")} >= {"log-odds", "margin"}
    True
    >>> conventions.candidates("SVC().decision_function(X)")
    []
    """
    for name in _names_in(query) if "::" not in query else ():
        if _is_words(name):  # which may begin with a framework's name
            continue
        if methods := _methods(name):
            found = [record for each in sorted(methods, key=_rank) for record in _chosen(each, name)]
            found.sort(key=lambda record: _owner(record.callable) not in map(letters, name.parts))  # svc.predict(x)
            scales = {record.scale: record for record in reversed(found)}.values()
            frameworks = {record.framework: record for record in reversed(found)}.values()
            return sorted(found, key=lambda record: (record not in scales, record not in frameworks))
        if _look_up(name) or _of_a_module(name):
            break
    return []


def suggest(query: str, count: int = 5) -> list[str]:
    """Recorded names that resemble one that isn't recorded; `find` finds each of them.

    A method of the same name in an unrelated class doesn't count, because its scale may be different.

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
    near: dict[str, float] = {}
    framework, _ = _split_framework(query)
    if framework and any(map(_is_words, _names_in(query))):  # what else is recorded of it
        return [each.symbol for each in callables() if each.framework in framework][:count]
    for name in _names_in(query):
        module = ".".join(_expanded(name.parts))
        within = [each.symbol for each in sorted(callables(), key=_rank) if each.paths[0].startswith(f"{module}.")]
        near |= dict.fromkeys(within, 1.0) if "." in module else {}
        *before, last = map(letters, _expanded(name.parts))
        spelled_out = re.sub("^bce", "binarycrossentropy", last)
        for each in sorted(callables(), key=_rank):
            *others, own = map(letters, _parts(each.symbol))
            likeness = max(_ratio(last, own), _ratio(spelled_out, own))
            place = _ratio(before[-1], others[-1]) if before and others else 0.5
            same_package = last == own and before and others and before[0] == others[0]
            if same_package or (likeness > 0.8 and place > (0.75 if last == own else 0.4)):
                near.setdefault(each.symbol, likeness + place / 4)
    return sorted(near, key=lambda symbol: -near[symbol])[:count]


def _fitting(found: list[Record], name: _Name) -> list[Record]:
    """Without what a string in code can't mean: it's an option, or a function of Keras in code of no other package."""
    if name.within is None:
        return found
    others = name.within - {"keras", "tensorflow"}
    return [
        record
        for record in found
        if record.callable.form in ("string", "option") or (record.framework == "Keras 3" and not others)
    ]


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


@dataclass(frozen=True)
class _Name:
    """A name that was asked for, with the arguments of its call."""

    parts: tuple[str, ...]
    arguments: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()
    called: bool = False
    within: frozenset[str] | None = None  # of a string in code: the packages that the code names


def _is_words(name: _Name) -> bool:
    return any(" " in part for part in name.parts)


def _names_in(query: str) -> list[_Name]:
    """The names in a query: the calls of a line of code, the outermost first, then its strings; or the whole of it."""
    return [each for each in _read(query) if each.parts]


def _read(query: str) -> Iterator[_Name]:
    text = query.strip().rstrip(":;,")
    code = re.sub(r"=\s*(?=[,)])", "=...", _dots(text))
    try:
        tree = ast.parse(code)
    except SyntaxError:
        tree = None
    if tree is None or any(map(_is_no_code, tree.body)):
        yield from _names_elsewhere(text)
        return
    yield from (replace(each, parts=_imported(each.parts, tree)) for each in _names_of(tree))


def _is_no_code(statement: ast.stmt) -> bool:
    """Whether Python would read another notation as a statement: ``binary:logistic``, ``Layer["Index"]``."""
    value = getattr(statement, "value", None)
    if isinstance(value, ast.Subscript):
        return not isinstance(value.value, ast.Call)  # predict_proba(X)[:, 1] is code
    return isinstance(statement, ast.AnnAssign)


def _names_of(tree: ast.Module) -> Iterator[_Name]:
    nodes = list(ast.walk(tree))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    read = {id(call.func) for call in calls}
    for node in nodes:  # Bernoulli(p).logits: an attribute of what a call makes
        if isinstance(node, ast.Attribute) and id(node) not in read and isinstance(node.value, ast.Call):
            yield _Name(_dotted(node)) if len(_dotted(node)) > 1 else _Name(())
    for call in calls:
        if parts := _dotted(call.func):
            keywords = tuple((each.arg, _value(each.value)) for each in call.keywords if each.arg)
            yield _Name(parts, tuple(map(_value, call.args)), keywords, called=True)
    strings = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    (statement, *_) = tree.body or [ast.Pass()]
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        name = statement.targets[0].id
        value = statement.value
        if isinstance(value, ast.Constant | ast.Name | ast.Dict):  # from_logits=True, logit_bias={50256: -100}
            yield _Name((name,), keywords=((name, _value(value)),))
        yield _Name(_dotted(value)) if isinstance(value, ast.Attribute) else _Name(())
    if isinstance(statement, ast.Expr):
        yield _Name(_dotted(statement.value))
    roots = {_expanded(parts)[0] for parts in (_dotted(call.func) for call in calls) if parts}
    yield from (_Name((each,), within=_roots() & roots) for each in strings)
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (_Name(path) for path in _imports(node).values())


def _imports(node: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, ...]]:
    """What a statement imports, by the names that it has then."""
    module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    return {each.asname or each.name: tuple(f"{module}{each.name}".split(".")) for each in node.names}


def _imported(parts: tuple[str, ...], tree: ast.Module) -> tuple[str, ...]:
    """A path with its first name as the code itself imports it."""
    for node in tree.body:
        if parts and isinstance(node, ast.Import | ast.ImportFrom) and (path := _imports(node).get(parts[0])):
            return (*path, *parts[1:])
    return parts


def _names_elsewhere(text: str) -> Iterator[_Name]:
    """A name that isn't Python's: ``stats::qlogis(p, log.p = TRUE)``, ``binary:logistic``, two words."""
    name, bracket, inside = text.partition("(")
    keywords = re.findall(r"([\w.]+)\s*=\s*[\"']?([\w.:+-]*)", inside)
    values = tuple((key, TRUTH.get(value.lower(), value)) for key, value in keywords)
    yield _Name(_parts(text))
    yield _Name(_parts(name), keywords=values, called=bool(bracket))
    if assigned := re.fullmatch(r"([\w.]+)\s*=\s*[\"']?([\w.:+-]+)[\"']?", text):
        key, value = assigned.groups()
        yield _Name((key,), keywords=((key, TRUTH.get(value.lower(), value)),))
        yield _Name((value,))


def _dots(name: str) -> str:
    return re.sub(r"::|\$", ".", name)


@cache
def _parts(name: str) -> tuple[str, ...]:
    name = _dots(name).strip(" \"'`@")
    return tuple(part for part in re.split(r"[./]", name) if letters(part)) or ((name,) if letters(name) else ())


def _dotted(node: ast.expr) -> tuple[str, ...]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        return (node.id, *reversed(parts))
    # nn.CrossEntropyLoss()(x, y): that call is asked for itself; SVC().fit(x, y).predict(x): a method of the class;
    # model(x).softmax(1): a method of something
    return (*(_class_in(node) or (SOMETHING,)), *reversed(parts)) if parts else ()


def _class_in(node: ast.expr) -> tuple[str, ...]:
    """The class whose object a chain of calls starts from, if it starts from one."""
    while isinstance(node, ast.Call | ast.Attribute):
        if isinstance(node, ast.Call) and (parts := _dotted(node.func)) and parts[-1][0].isupper():
            return parts
        node = node.func if isinstance(node, ast.Call) else node.value
    return ()


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id.lower() in TRUTH:
        return TRUTH[node.id.lower()]
    made = node.func if isinstance(node, ast.Call) and not (node.args or node.keywords) else node
    if isinstance(made, ast.Attribute | ast.Name):  # criterion=nn.CrossEntropyLoss, activation_fn=nn.Identity()
        return _Symbol(_dotted(made)[-1])
    try:
        return ast.literal_eval(node)
    except ValueError:
        return UNKNOWN


class _Symbol(str):
    """The last part of a name that was passed: a class, where it's compared with the name of one, or a variable."""

    __slots__ = ()


def _look_up(name: _Name) -> list[Record]:
    """The rows of a name: by a nickname, the whole or the end of a path, a spelling, or a keyword."""
    nicknamed = _nicknamed(name.parts[0]) if len(name.parts) == 1 else []
    if name.keywords and name.keywords[0][0] == name.parts[0] and (argument := _with_keyword(name)):
        return argument  # sigmoid=True is the argument, not the function
    for same in (str, letters):
        if found := _called(name, same):
            given = dict(name.keywords).keys()  # predict(fit, type="link"): those come first that have this flag
            ranked = sorted(found, key=lambda each: (not any(flag.name in given for flag in each.flags), _rank(each)))
            return list(dict.fromkeys([*nicknamed, *(record for each in ranked for record in _chosen(each, name))]))
    return nicknamed or (_with_keyword(name) if len(name.parts) == 1 and not name.called else [])


def _called(name: _Name, same: Same) -> list[Callable]:
    """The callables of a name, with parts that are the `same`: that name in full, or else the end of theirs."""
    if SOMETHING in name.parts:
        return []
    paths, spellings = _index()
    whole, written = (tuple(map(same, parts)) for parts in (_expanded(name.parts), name.parts))
    known = [(tuple(map(same, parts)), each) for parts, each in paths.get(letters(written[-1]), ())]
    exact = [each for parts, each in known if parts in (whole, written)]
    rooted = whole[0] in _roots() and len(whole) > 1
    if exact and rooted:
        return list(dict.fromkeys(exact))
    ends = [each for parts, each in known if parts[-len(written) :] == written]
    joined = same(".".join(name.parts))
    spelled = [each for one, each in spellings.get(letters(joined), ()) if _is_spelled(name, one, same)]
    return list(dict.fromkeys([*exact, *([] if rooted and whole == written else ends), *spelled]))


def _expanded(parts: tuple[str, ...]) -> tuple[str, ...]:
    """A path with its first module in full: ``F.cross_entropy`` is ``torch.nn.functional.cross_entropy``."""
    module = IMPORTED_AS.get(parts[0]) if len(parts) > 1 else None
    return (*module.split("."), *parts[1:]) if module else parts


@cache
def _roots() -> frozenset[str]:
    paths = (each.paths for each in callables() if each.language == "Python")
    return frozenset(path.partition(".")[0] for path in chain.from_iterable(paths) if "." in path)


@cache
def _modules() -> frozenset[str]:
    """The modules of recorded functions, but for the first: ``distributions``, ``losses``."""
    paths = (path.split(".") for each in callables() if each.language == "Python" for path in each.paths)
    return frozenset(part for path in paths for part in path[1:-1] if part.islower())


@cache
def _index() -> tuple[dict[str, list[tuple[tuple[str, ...], Callable]]], dict[str, list[tuple[_Name, Callable]]]]:
    """Paths by the letters of their last part, and spellings by their letters."""
    paths: dict[str, list[tuple[tuple[str, ...], Callable]]] = {}
    spellings: dict[str, list[tuple[_Name, Callable]]] = {}
    for each in callables():
        for path in dict.fromkeys((each.symbol, *each.paths)):
            paths.setdefault(letters(_parts(path)[-1]), []).append((_parts(path), each))
        for text in each.spellings:
            for spelling in (next(iter(_names_in(text)), _Name((text,))), _Name((text,))):
                spellings.setdefault(letters(".".join(spelling.parts)), []).append((spelling, each))
    return paths, spellings


def _is_spelled(name: _Name, spelling: _Name, same: Same) -> bool:
    """Whether the name has the keywords of this spelling: ``XGBClassifier.predict(output_margin=True)``."""
    given = dict(name.keywords)
    alike = same(".".join(name.parts)) == same(".".join(spelling.parts))
    return alike and all(
        key in given and (value is ... or given[key] in (value, ..., UNKNOWN)) for key, value in spelling.keywords
    )


def _chosen(each: Callable, name: _Name) -> list[Record]:
    """The rows that the arguments of a call choose: by the flags that they set, or by the input that they fill."""
    given = _arguments(each, name)
    flags = {flag.name: given[flag.name] for flag in each.flags if flag.name in given}
    asked = {flag.name for flag in each.flags} & set(name.parts)  # raw_score: the rows where it's on first
    every = sorted(rows(each), key=lambda record: not asked and bool(record.case.when))
    every.sort(key=lambda record: not asked <= dict(record.case.when).keys())
    every.sort(key=lambda record: any(values_of_flags(each, record.case)[flag] in (None, False) for flag in asked))
    every.sort(key=lambda record: name.parts[-1] not in dict(record.case.when).values())  # processed_logprobs
    filled = [one.name for one in each.scores if one.name in given]
    every = [record for record in every if record.case.input in filled] or every
    known = {key: value for key, value in flags.items() if value is not UNKNOWN and value is not ...}
    if not name.called and not flags:
        return every
    values = values_of_flags(each) | flags
    fitting = [
        record
        for record in every
        if all(values[key] in (UNKNOWN, ..., value) for key, value in values_of_flags(each, record.case).items())
    ]
    return fitting or (_derived(each, known) if known else []) or every


def _arguments(each: Callable, name: _Name) -> dict[str, Any]:
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
    flags = {name: str(value) if isinstance(value, _Symbol) else value for name, value in flags.items()}
    found = resolve(each.paths[0], **flags) or each
    filled = each.cases[0].input
    scale = {one.name: one.scale for one in found.inputs}[filled] if filled else found.returns
    if scale is None:
        return []
    case = replace(each.cases[0], when=tuple(flags.items()), scale=scale, check=None, wrong=None, also=())
    return [Record(callable=each, case=case)]


def _methods(name: _Name) -> list[Callable]:
    """The methods and attributes of this name, of any class: none if the name says what it's of, or its flags do."""
    *receiver, last = name.parts
    if _nicknamed(name.parts[0]) and not receiver:
        return []
    if receiver and (any(part[:1].isupper() for part in receiver) or _called(name, str) or _is_module(receiver[0])):
        return []
    named = _called(replace(name, parts=(last,)), str)
    methods = [each for each in named if each.form in ("method", "attribute")]
    given = dict(name.keywords).keys()
    if any(flag.name in given for each in named for flag in each.flags):
        return []
    if receiver:
        return [each for each in methods if each.language == "Python"]
    plain = any(each.form not in ("method", "attribute") and each.language == "Python" for each in named)
    return named if len(methods) > 1 and not plain else []  # softmax alone is the function


def _of_a_module(name: _Name) -> list[Record]:
    """A class in a module whose name is cut short, ``dist.Bernoulli``; a method that a flag tells from others."""
    receiver, *rest = name.parts
    if not rest or not name.called or not receiver.islower():
        return []
    found = _look_up(replace(name, parts=tuple(rest)))
    if rest[-1][:1].isupper():
        return found if any(part.startswith(receiver) for part in _modules()) else []
    given = dict(name.keywords)
    methods = [record for record in found if record.callable.form == "method" and record.language == "Python"]
    return [record for record in methods if any(flag.name in given for flag in record.callable.flags)]


def _owner(each: Callable) -> str:
    """The class of a method, by its letters."""
    return letters(_parts(each.paths[0])[-2]) if len(_parts(each.paths[0])) > 1 else ""


def _of_a_class(name: _Name) -> list[Record]:
    """The rows of all methods of a class that is named alone, or made: ``SVC(kernel="rbf")``."""
    if not name.parts[-1][:1].isupper():
        return []
    whole = _expanded(name.parts)
    methods = [each for each in callables() if each.form in ("method", "attribute") and each.language == "Python"]
    owned = [
        each
        for each in sorted(methods, key=_rank)
        for path in map(_parts, each.paths)
        if path[:-1] == whole or path[-1 - len(name.parts) : -1] == name.parts
    ]
    return [record for each in dict.fromkeys(owned) for record in _chosen(each, name)]


def _is_module(name: str) -> bool:
    return name in IMPORTED_AS or name in _roots()


def _nicknamed(word: str) -> list[Record]:
    wanted = NICKNAMES.get(word.lower(), ())
    return [record for path in wanted for each in callables() if path in each.paths for record in rows(each)[:1]]


def _with_keyword(name: _Name) -> list[Record]:
    """The rows of callables that have a parameter of this name, where it matters for the scale."""
    (wanted,) = name.parts
    found = []
    for each in sorted(callables(), key=_rank):
        if any(flag.name == wanted for flag in each.flags):
            found += _chosen(each, name)
        elif any(one.name == wanted for one in each.scores):
            found += [record for record in rows(each) if record.case.input == wanted]
    return found


def _of_words(question: str) -> list[Record]:
    """The rows that have all words of a question; or those of the names in it: ``BCEWithLogitsLoss vs BCELoss``."""
    names = [word for word in re.sub("[?!,]", "", question).split() if re.search(r"[._]|[a-z][A-Z]|[A-Z]{2}", word)]
    return _with_words(question) or list(dict.fromkeys(record for name in names for record in find(name)))


def _with_words(text: str) -> list[Record]:
    """The rows whose symbol, spellings, inputs or flags have all of these words, whole words first."""
    asked = [word for word in re.sub(r"'s\b|[?!,]", "", text).split() if letters(word) not in FILLERS]
    words = [SAME_WORD.get(letters(word), letters(word)) for word in asked]
    found: list[tuple[tuple[int, int], Record]] = []
    for each in sorted(callables(), key=_rank) if all(words) else ():
        parameters = [*(one.name for one in each.inputs), *(flag.name for flag in each.flags)]
        for record in _chosen(each, _Name(tuple(asked))):
            said = " ".join([record.symbol, *each.paths, *each.spellings, *parameters])
            if all(word in letters(said) for word in words):
                whole = {letters(part) for part in re.split(r"[\s.:/()]", said)}
                own = [word for word in words if word in letters(record.symbol)]
                found.append(((-len(whole.intersection(words)), -len(own)), record))
    return [record for _, record in sorted(found, key=lambda each: each[0])]


def _split_framework(query: str) -> tuple[tuple[str, ...], str]:
    """The framework that a query begins or ends with, and the rest of it."""
    words = [word.removesuffix("'s") for word in query.split()]
    if found := framework_named(query):
        return found, ""
    for count in (2, 1):
        for named, rest in ((words[:count], words[count:]), (words[-count:], words[:-count])):
            if rest and (found := framework_named(" ".join(named))):
                return found, " ".join(rest)
    return (), query


@cache
def _rank(each: Callable) -> tuple[bool, int, str]:
    order = FIRST.index(each.framework) if each.framework in FIRST else len(FIRST)
    return any(part in SIDE_DOORS for part in _parts(each.symbol)), order, each.framework
