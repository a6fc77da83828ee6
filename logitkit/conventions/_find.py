"""`find`, for people: half a name, another language's call, a framework's short name, or a pasted line of code.

`_query` reads what was typed and `_match` knows the rows of a name; here it's decided which of several names is meant,
and what is said where none is recorded: candidates, or suggestions.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from typing import Final

from logitkit.conventions._load import Record, callables
from logitkit.conventions._match import (
    NICKNAMES,
    by_rank,
    callables_named,
    chosen,
    look_up,
    nicknamed,
    of_a_class,
    of_a_module,
    rank,
    roots,
)
from logitkit.conventions._query import IMPORTED_AS, Name, names_in, parts_of
from logitkit.conventions._resolve import framework_named, letters, table
from logitkit.conventions._schema import Callable

SAME_WORD: Final = {"divergence": "div", "xent": "crossentropy", "ce": "crossentropy", "bce": "binarycrossentropy"}
# Words of a question that say nothing of what is asked for.
FILLERS: Final = (
    *("a", "an", "the", "what", "which", "how", "does", "do", "is", "are", "of", "for", "in"),
    *("to", "it", "take", "takes", "expect", "expects", "want"),
)


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
        return list(dict.fromkeys([*nicknamed(words), *_with_words(words)]))
    if several := candidates(query):
        return several
    names = names_in(query)
    answers = []
    for name in names:
        of_class = of_a_class(name) if name is names[0] else []
        if found := _fitting(look_up(name) or of_a_module(name) or of_class, name):
            answers.append(found)
    if answers:  # of several calls in a line the loss is meant, or the outermost
        found = min(answers, key=lambda each: not each[0].case.role.endswith("loss"))
        first = found[0].callable
        written_out = [row for row in found if row.callable is first and row.symbol == query]
        return list(dict.fromkeys([*written_out, *found]))
    framework, rest = _split_framework(query)
    if framework:
        within = [record for record in (find(rest) if rest else table()) if record.framework in framework]
        return within or [record for record in _with_words(rest) if record.framework in framework]
    return _of_words(query) if any(name.is_words for name in names) and not any(name.called for name in names) else []


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
    for name in names_in(query) if "::" not in query else ():
        if name.is_words:  # which may begin with a framework's name
            continue
        if methods := _methods(name):
            found = [record for each in sorted(methods, key=rank) for record in chosen(each, name)]
            found.sort(key=lambda record: _owner(record.callable) not in map(letters, name.parts))  # svc.predict(x)
            scales = {record.scale: record for record in reversed(found)}.values()
            frameworks = {record.framework: record for record in reversed(found)}.values()
            return sorted(found, key=lambda record: (record not in scales, record not in frameworks))
        if look_up(name) or of_a_module(name):
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
    if framework and any(name.is_words for name in names_in(query)):  # what else is recorded of it
        return [each.symbol for each in callables() if each.framework in framework][:count]
    for name in names_in(query):
        module = ".".join(name.full)
        within = [each.symbol for each in by_rank() if each.paths[0].startswith(f"{module}.")]
        near |= dict.fromkeys(within, 1.0) if "." in module else {}
        *before, last = map(letters, name.full)
        spelled_out = re.sub("^bce", "binarycrossentropy", last)
        for each in by_rank():
            *others, own = map(letters, parts_of(each.symbol))
            likeness = max(_ratio(last, own), _ratio(spelled_out, own))
            place = _ratio(before[-1], others[-1]) if before and others else 0.5
            same_package = last == own and before and others and before[0] == others[0]
            if same_package or (likeness > 0.8 and place > (0.75 if last == own else 0.4)):
                near.setdefault(each.symbol, likeness + place / 4)
    return sorted(near, key=lambda symbol: -near[symbol])[:count]


def _fitting(found: list[Record], name: Name) -> list[Record]:
    """Without what a string in code can't mean: it's an option, or a function of Keras in code of no other package."""
    if name.within is None:
        return found
    others = name.within & roots() - {"keras", "tensorflow"}
    return [
        record
        for record in found
        if record.callable.form in ("string", "option") or (record.framework == "Keras 3" and not others)
    ]


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def _methods(name: Name) -> list[Callable]:
    """The methods and attributes of this name, of any class: none if the name says what it's of, or its flags do."""
    *receiver, last = name.parts
    if not receiver and nicknamed(last):
        return []
    if receiver and (receiver[0] in IMPORTED_AS or receiver[0] in roots()):
        return []
    if any(part[:1].isupper() for part in receiver) or (receiver and callables_named(name, str)):
        return []
    named = callables_named(replace(name, parts=(last,)), str)
    methods = [each for each in named if each.form in ("method", "attribute")]
    given = dict(name.keywords).keys()
    if any(flag.name in given for each in named for flag in each.flags):
        return []
    if receiver:
        return [each for each in methods if each.language == "Python"]
    plain = any(each.form not in ("method", "attribute") and each.language == "Python" for each in named)
    return named if len(methods) > 1 and not plain else []  # softmax alone is the function


def _owner(each: Callable) -> str:
    """The class of a method, by its letters."""
    return letters(parts_of(each.paths[0])[-2]) if len(parts_of(each.paths[0])) > 1 else ""


def _of_words(question: str) -> list[Record]:
    """The rows that have all words of a question; or those of the names in it: ``BCEWithLogitsLoss vs BCELoss``."""
    names = [word for word in re.sub("[?!,]", "", question).split() if re.search(r"[._]|[a-z][A-Z]|[A-Z]{2}", word)]
    return _with_words(question) or list(dict.fromkeys(record for name in names for record in find(name)))


def _with_words(text: str) -> list[Record]:
    """The rows whose symbol, spellings, inputs or flags have all of these words, whole words first."""
    asked = [word for word in re.sub(r"'s\b|[?!,]", "", text).split() if letters(word) not in FILLERS]
    words = [SAME_WORD.get(letters(word), letters(word)) for word in asked]
    found: list[tuple[tuple[int, int], Record]] = []
    for each in by_rank() if words and all(words) else ():
        parameters = [*(one.name for one in each.inputs), *(flag.name for flag in each.flags)]
        for record in chosen(each, Name(tuple(asked))):
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
