"""Reading the registry: TOML files, one per framework, into the read-only types of ``_schema``."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from logitkit.conventions._schema import (
    ByBackend,
    Callable,
    Case,
    Check,
    Flag,
    Input,
    Reduction,
    Scale,
    Setting,
    Value,
    frozen,
)

# What a case takes from its callable where it doesn't say otherwise.
SHARED = ("role", "event", "applies", "ops", "stability", "target", "trap", "source", "docs")


@dataclass(frozen=True, kw_only=True, slots=True)
class Framework:
    """The callables of one file, and what is needed to run them, or else why they aren't run."""

    framework: str
    language: str
    package: str | None = None
    not_run: str | None = None
    needs: str | None = None
    prelude: str = ""
    backends: ByBackend[str] | None = None
    versions: tuple[str, ...] = ()
    callables: tuple[Callable, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """One row per case."""
        return tuple(record for each in self.callables for record in rows(each))


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One row of the table for people: a callable with one setting of its flags, and what came out."""

    callable: Callable
    case: Case

    @property
    def framework(self) -> str:
        """The framework's name."""
        return self.callable.framework

    @property
    def language(self) -> str:
        """The language in which it's called."""
        return self.callable.language

    @property
    def package(self) -> str | None:
        """The distribution that was run, if it was."""
        return self.callable.package

    @property
    def not_run(self) -> str | None:
        """Why it was read and not run, if so."""
        return self.callable.not_run

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that were run or read."""
        return self.callable.versions

    @property
    def symbol(self) -> str:
        """The name, with the flags that aren't at their default: ``Booster.predict(output_margin=True)``."""
        flags = [f"{name}={_written(value, self.language)}" for name, value in self.case.when]
        if len(self.callable.scores) > 1 and self.case.input and not flags:
            flags = [f"{self.case.input}="]
        written = self.callable.symbol + (f"({', '.join(flags)})" if flags else "")
        return f"{written} ({self.case.condition})" if self.case.condition else written

    @property
    def argument(self) -> str:
        """The input that holds the score, or that it's returned."""
        return self.case.input or "(returned value)"

    @property
    def scale(self) -> Scale:
        """The scale of that input, or of what's returned."""
        return self.case.scale

    @property
    def returned(self) -> bool:
        """Whether the scale is that of what comes out."""
        return self.case.input is None

    @property
    def depends(self) -> str | None:
        """What decides the scale, where the arguments don't: the objective, the method that's called."""
        if self.returned:
            return self.callable.depends
        return next((each.depends for each in self.callable.inputs if each.name == self.case.input), None)

    @property
    def reduction(self) -> str | None:
        """How the values become one: the default, or the sentence that says more."""
        reduction = self.callable.reduction
        return (reduction.how or reduction.default) if reduction else None

    @property
    def fix(self) -> str | None:
        """What to change in front of the call: the record's own advice, or what follows from the scale."""
        if self.callable.fix or self.returned or "loss" not in self.case.role:
            return self.callable.fix
        squash = "softmax" if self.case.event == "categorical" else "sigmoid"
        others = [
            f"{flag.name}={_written(setting.value, self.language)}"
            for flag in self.callable.flags
            for setting in flag.settings
            if dict(setting.scales).get(self.argument, self.scale) in {"logits", "log-odds"} - {self.scale}
        ]
        if self.scale == "log-probabilities":
            return f"Pass `log_{squash}` of the model's scores."
        if self.scale == "probabilities":
            return f"Pass the {squash} of the scores" + (f", or the scores with `{others[0]}`." if others else ".")
        return f"Leave out the {squash} in front of it." if self.scale in ("logits", "log-odds") else None

    @property
    def names(self) -> tuple[str, ...]:
        """Its paths and what else people type for it."""
        return (*self.callable.paths, *self.callable.spellings)

    @property
    def fused(self) -> bool:
        """Whether no probability is rounded on the way."""
        return self.case.stability == "fused"

    @property
    def is_binary(self) -> bool:
        """Whether it's about two classes, so that one number is enough."""
        return self.case.event == "binary"

    def on(self, scale: Scale) -> Record:
        """The same row, said to be on another scale: what the tests try to refute."""
        return replace(self, case=replace(self.case, scale=scale))


def _written(value: Value, language: str) -> str:
    if isinstance(value, bool) and language != "Python":
        return str(value).upper() if language == "R" else str(value).lower()
    return json.dumps(value) if isinstance(value, str) else str(value)


def rows(each: Callable) -> tuple[Record, ...]:
    """The rows of one callable, in the order of its cases."""
    return tuple(Record(callable=each, case=case) for case in each.cases)


def load(folder: Traversable) -> tuple[Framework, ...]:
    """Read a folder of TOML files, one per framework, sorted by name.

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
        If a callable lacks a field, such as its source, or has one that isn't known.
    """
    paths = sorted(folder.iterdir(), key=lambda path: path.name)
    return tuple(
        _framework(path.name.removesuffix(".toml"), tomllib.loads(path.read_text("utf-8")))
        for path in paths
        if path.name.endswith(".toml")
    )


@cache
def frameworks() -> tuple[Framework, ...]:
    """The registry that is installed with the package."""
    return load(files("logitkit.conventions") / "records")


@cache
def callables() -> tuple[Callable, ...]:
    """All callables, sorted by framework, in the order of their files."""
    return tuple(each for framework in frameworks() for each in framework.callables)


@cache
def by_path() -> dict[str, Callable]:
    """Each exact path and its callable."""
    return {path: each for each in callables() for path in each.paths}


def results() -> dict[str, Any]:
    """What the frameworks returned when the registry was last run: versions, dates and numbers.

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
    return json.loads((files("logitkit.conventions") / "results.json").read_text("utf-8"))


def _framework(stem: str, data: dict[str, Any]) -> Framework:
    shared = {name: data.get(name) for name in ("framework", "language", "package", "not_run", "versions")}
    data["callables"] = tuple(_callable(stem, {**shared, **fields}) for fields in data.pop("callable"))
    return Framework(**{name: frozen(value) if name != "callables" else value for name, value in data.items()})


def _callable(stem: str, fields: dict[str, Any]) -> Callable:
    cases = tuple(_case(fields, case) for case in fields.pop("case"))
    return Callable(
        id=f"{stem}:{fields['symbol']}",
        evidence=fields.pop("evidence", "read" if fields["not_run"] else "run"),
        inputs=tuple(Input(**_frozen(each)) for each in fields.pop("inputs", [])),
        flags=tuple(_flag(each) for each in fields.pop("flags", [])),
        reduction=Reduction(**fields.pop("reduction")) if "reduction" in fields else None,
        cases=cases,
        **_frozen(fields),
    )


def _flag(fields: dict[str, Any]) -> Flag:
    return Flag(settings=tuple(_setting(each) for each in fields.pop("settings")), **_frozen(fields))


def _setting(fields: dict[str, Any]) -> Setting:
    scales = tuple(fields.pop("scales", {}).items())
    return Setting(value=fields.pop("is"), scales=scales, **_frozen(fields))


def _case(shared: dict[str, Any], fields: dict[str, Any]) -> Case:
    scores = [each["name"] for each in shared.get("inputs", []) if "target" not in each]
    own: dict[str, Any] = {name: shared.get(name) for name in SHARED} | {"ops": shared.get("ops", [])}
    own["input"] = scores[0] if len(scores) == 1 and not _is_output(fields.get("role", shared["role"])) else None
    own |= fields
    call = own.get("check", {}).get("call", "")
    for name in ("check", "wrong"):
        if name in own:
            own[name] = Check(**_frozen({"call": call, **own[name]}))
    also = tuple(Check(**_frozen(each)) for each in own.pop("also", []))
    return Case(when=tuple(own.pop("when", {}).items()), also=also, **_frozen(own))


def _is_output(role: str) -> bool:
    return role in OUTPUT


def _frozen(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: frozen(value) for name, value in fields.items()}


# Roles whose scale is that of what's returned.
OUTPUT = ("classifier output", "distribution attribute", "score", "prediction")
