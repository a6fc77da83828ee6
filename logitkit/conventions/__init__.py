"""Who calls what by the name *logits*: a record of each framework's functions, run against the framework itself.

Data and standard library only: no framework is imported here, and NumPy is not needed either.

Source: each record names its own; ``tests/frameworks`` runs them, and ``results.json`` is what came out.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

__all__ = ["SCALES", "Check", "Framework", "Record", "equivalents", "find", "load", "results", "suggest", "table"]

SCALES = ("probabilities", "log-probabilities", "log-odds", "unnormalised scores")
# Roles whose input is one number for two classes, and roles whose record says what is returned.
OUTPUT = ("classifier output", "distribution attribute")

Numbers = float | list[float]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A call and what it gives: the number for the right input, for one on a wrong scale, or for what a trap claims.

    A call is an expression in ``x`` (the scores, a list), ``y`` (the target) and ``onehot`` (the target as indicators).
    Where it is not just the function with its defaults, ``how`` says what it is.
    """

    call: str
    how: str | None = None
    gives: Numbers | dict[str, Numbers] | None = None
    raises: str | dict[str, str] | None = None
    passes: str | None = None
    says: str | None = None
    p: list[float] | None = None
    x: list[float] | None = None
    y: int | None = None
    probabilities: str | None = None
    tolerance: float = 1e-6
    why: str | None = None

    @property
    def outcome(self) -> str:
        """What came of the call, on each backend if they differ."""
        given = self.raises if self.gives is None else self.gives
        if not isinstance(given, dict):
            return str(given)
        backends: dict[str, list[str]] = {}
        for backend, each in given.items():
            backends.setdefault(str(each), []).append(backend)
        if len(backends) == 1:
            return next(iter(backends))
        return "; ".join(f"{value} on {', '.join(names)}" for value, names in backends.items())


@dataclass(frozen=True, kw_only=True)
class Record:
    """One public symbol: which scale it must be given, what it does with it, and how that was checked.

    `holds` is ``"probabilities"``, ``"log-probabilities"``, ``"log-odds"`` or ``"unnormalised scores"``.
    """

    framework: str
    language: str
    package: str | None
    not_run: str | None
    symbol: str
    aliases: list[str] = field(default_factory=list)
    argument: str
    holds: str
    role: str
    normalises: str
    fused: bool
    target: str | None = None
    signature: str
    reduction: str | None = None
    formula: str | None = None
    trap: str
    source: str
    docs: str
    versions: list[str]
    check: Check
    wrong: Check | None = None
    also: list[Check] = field(default_factory=list)

    @property
    def is_binary(self) -> bool:
        """Whether it is about a yes or a no, so that one number is enough."""
        if self.role in ("setting", *OUTPUT):
            return self.holds == "log-odds"
        return self.role in ("binary loss", "binary distribution", "link", "inverse link")


@dataclass(frozen=True, kw_only=True)
class Framework:
    """The records of one file, and what is needed to run them: a package and its prelude, or else why it is not run."""

    framework: str
    language: str
    package: str | None = None
    not_run: str | None = None
    needs: str | None = None
    prelude: str = ""
    backends: dict[str, str] = field(default_factory=dict)
    records: tuple[Record, ...]


def load(folder: Traversable) -> tuple[Framework, ...]:
    """Read a folder of TOML files, one a framework, sorted by name.

    Parameters
    ----------
    folder : pathlib.Path or similar
        The files' folder.

    Returns
    -------
    tuple of Framework

    Raises
    ------
    TypeError
        If a record lacks a field, such as its check or its source, or has one that is not known.
    """
    return tuple(
        _framework(tomllib.loads(path.read_text("utf-8")))
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.name.endswith(".toml")
    )


def _framework(data: dict[str, Any]) -> Framework:
    shared = {name: data.get(name) for name in ("framework", "language", "package", "not_run")}
    versions = data.pop("versions", None)
    records = [_record({**shared, "versions": versions, **fields}) for fields in data.pop("record")]
    return Framework(**data, records=tuple(records))


def _record(fields: dict[str, Any]) -> Record:
    call = fields["check"]["call"] if "check" in fields else ""
    for name in ("check", "wrong"):
        if name in fields:
            fields[name] = Check(**{"call": call, **fields[name]})
    fields["also"] = [Check(**each) for each in fields.get("also", [])]
    return Record(**fields)


@cache
def _records() -> tuple[Record, ...]:
    frameworks = load(files(__name__) / "records")
    return tuple(record for framework in frameworks for record in framework.records)


def table(framework: str | None = None, holds: str | None = None) -> list[Record]:
    """All records, or those of one framework, or those whose argument holds one scale.

    Parameters
    ----------
    framework : str, optional
        The framework's name or the beginning of it, in any case: ``"keras"`` is Keras 3.
    holds : str, optional
        ``"probabilities"``, ``"log-probabilities"``, ``"log-odds"`` or ``"unnormalised scores"``.

    Returns
    -------
    list of Record
        Sorted by framework, in the order of their files; empty if there is none.

    Raises
    ------
    ValueError
        If `holds` is none of the four scales.

    Examples
    --------
    >>> from logitkit import conventions
    >>> [record.symbol for record in conventions.table("pytorch", holds="log-probabilities")][:1]
    ['torch.nn.functional.nll_loss']
    """
    if holds not in (None, *SCALES):
        raise ValueError(f"holds must be one of {', '.join(SCALES)}, not {holds!r}")
    wanted = _letters(framework or "")
    return [
        record
        for record in _records()
        if (_letters(record.framework).startswith(wanted) or _letters(record.package or "") == wanted)
        and holds in (None, record.holds)
    ]


def find(name: str) -> list[Record]:
    """The records of a name, as a user would type it.

    The modules in front do not matter, and if no name is spelled alike, case and underscores neither:
    ``F.cross_entropy``, ``crossentropyloss`` and ``tf.keras.losses.…`` are found, and a name that several frameworks
    have gives a record of each. Keywords in parentheses choose between the records of one name. A name that is no
    function's is looked for among the arguments: ``from_logits``.

    Parameters
    ----------
    name : str
        The name, with or without modules and parentheses.

    Returns
    -------
    list of Record
        Empty if nothing has this name; `suggest` then has others.

    Examples
    --------
    >>> from logitkit import conventions
    >>> [record.holds for record in conventions.find("F.cross_entropy") if record.framework == "PyTorch"]
    ['unnormalised scores']
    >>> conventions.find("cross_entropie")
    []
    """
    query = _Spelling.of(name)
    if not query.path:
        return []
    # The first of these that leaves something: what is spelled alike, but for case, or has moved to another module.
    for alike in (_Spelling.ends_as_written, _Spelling.ends, _Spelling.same_root):
        found = [(record, names) for record, names in _spelled() if any(alike(query, each) for each in names)]
        if found:
            # Those with these keywords alone, or else those with more: CatBoost's predict(prediction_type=) has both.
            agreeing = [(record, [each for each in names if query.agrees(each)]) for record, names in found]
            more = [record for record, names in agreeing if names]
            same = [
                record for record, names in agreeing if any(len(each.keywords) == len(query.keywords) for each in names)
            ]
            return (same if query.keywords else []) or more or [record for record, _ in found]
    return _with_argument(name)


def suggest(name: str, count: int = 5) -> list[str]:
    """Names near to one that was not found; `find` finds each of them.

    Parameters
    ----------
    name : str
        The name.
    count : int
        How many at most.

    Returns
    -------
    list of str
        The nearest first: with modules if the name has them.

    Examples
    --------
    >>> from logitkit import conventions
    >>> conventions.suggest("cross_entropie")[0]
    'cross_entropy'
    """
    query = _Spelling.of(name)
    if not query.path:
        return []

    def nearness(written: str) -> float:
        return difflib.SequenceMatcher(None, ".".join(query.written), written).ratio()

    whole: dict[str, set[str]] = {}
    last: dict[str, set[str]] = {}
    for _, names in _spelled():
        for each in names:
            whole.setdefault(".".join(each.path), set()).add(".".join(each.written))
            last.setdefault(each.path[-1], set()).add(each.written[-1])
    for key, known in ((".".join(query.path), whole), (query.path[-1], last)):
        near = (
            difflib.get_close_matches(key, known, n=count, cutoff=0.7) if len(query.path) > 1 or known is last else []
        )
        if near:
            return [each for match in near for each in sorted(known[match], key=nearness, reverse=True)][:count]
    return []


def equivalents(record: Record) -> list[Record]:
    """What does the same work in other frameworks: the records of equal role and formula that hold the same scale.

    Parameters
    ----------
    record : Record
        The record.

    Returns
    -------
    list of Record

    Examples
    --------
    >>> from logitkit import conventions
    >>> (loss,) = conventions.find("torch.nn.functional.cross_entropy")
    >>> "optax.softmax_cross_entropy" in [record.symbol for record in conventions.equivalents(loss)]
    True
    """

    def work(each: Record) -> tuple[str, str, str | None]:
        return each.role, each.holds, each.formula

    return [each for each in _records() if work(each) == work(record) and each.framework != record.framework]


def results() -> dict[str, Any]:
    """What the frameworks returned when the records were last run: versions, dates and numbers.

    Returns
    -------
    dict
        ``runs``, one for each framework and backend, each with its date, its versions and the numbers of its records.

    Examples
    --------
    >>> from logitkit import conventions
    >>> torch = next(run for run in conventions.results()["runs"] if run["framework"] == "PyTorch")
    >>> torch["records"]["torch.nn.functional.cross_entropy"]["check"]
    0.169846
    """
    return json.loads((files(__name__) / "results.json").read_text("utf-8"))


# What people write for a module after `import … as …`; F is the functional module of PyTorch and of Paddle.
IMPORTED_AS = {
    "f": "functional",
    "tf.keras": "keras",
    "tensorflow.keras": "keras",
    "tensorflow": "tf",
    "tensorflow_probability": "tfp",
    "tfd": "tfp.distributions",
    "dist": "distributions",
    "td": "torch.distributions",
    "jsp": "jax.scipy",
    "sp": "scipy",
    "sm": "statsmodels.api",
    "xgb": "xgboost",
    "lgb": "lightgbm",
}


@dataclass(frozen=True)
class _Spelling:
    """A name as it is compared: its path, as written and in bare small letters, and the keywords in parentheses."""

    written: tuple[str, ...]
    path: tuple[str, ...]
    keywords: dict[str, str]

    @classmethod
    def of(cls, name: str) -> _Spelling:
        dotted, _, inside = name.strip().partition("(")
        dotted = re.sub(r"::|[$/]", ".", dotted).strip(" .\"'`")
        for short, long in IMPORTED_AS.items():
            if dotted.lower().startswith(f"{short}."):
                dotted = long + dotted[len(short) :]
        written = tuple(part for part in dotted.split(".") if _letters(part))
        path = tuple(map(_letters, written))
        values = dict(re.findall(r"(\w+)\s*=\s*[\"']?([\w.+-]*)", inside.lower()))
        return cls(written, path, {_letters(key): value.strip(".") for key, value in values.items()})

    def agrees(self, name: _Spelling) -> bool:
        """Whether the name has these keywords, with these values where it says one: logits= stands for any logits."""
        return all(
            key in name.keywords and ("" in (value, name.keywords[key]) or value == name.keywords[key])
            for key, value in self.keywords.items()
        )

    def ends_as_written(self, name: _Spelling) -> bool:
        return name.written[-len(self.written) :] == self.written

    def ends(self, name: _Spelling) -> bool:
        return name.path[-len(self.path) :] == self.path

    def same_root(self, name: _Spelling) -> bool:
        """The same package and the same last name: a module may move, as torch.nn.modules.loss does in torch.nn."""
        return len(self.path) > 1 and (self.path[0], self.path[-1]) == (name.path[0], name.path[-1])


@cache
def _spelled() -> list[tuple[Record, list[_Spelling]]]:
    return [(record, [_Spelling.of(each) for each in (record.symbol, *record.aliases)]) for record in _records()]


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9+=<>\u0080-\uffff]", "", name.lower())


def _with_argument(name: str) -> list[Record]:
    wanted = name.partition("=")[0].strip().lower()
    return [
        record for record in _records() if wanted in _words(f"{record.argument} {record.signature} {record.symbol}")
    ]


def _words(text: str) -> Iterable[str]:
    return re.findall(r"\w+", text.lower())
