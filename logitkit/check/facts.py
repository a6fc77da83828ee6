"""The registry, as the checker asks it: the scale that a call wants, with these flags, and the one it gives.

This is the one door to `logitkit.conventions.resolve`. A flag whose value can't be read off the program gives an
unknown scale, so nothing is said about it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable as Function
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from logitkit import conventions
from logitkit.check.structures import KERAS, PUBLIC, SCORING_LAYERS
from logitkit.check.values import MORE, Const, Value

__all__ = ["Fact", "Facts", "Input", "parameters"]

_V1 = "tensorflow.compat.v1."
_KINDS = {
    "loss": "loss",
    "divergence": "loss",
    "distribution": "distribution",
    "sampler": "sampler",
    "setting": "metric",
}
_ACTIVATIONS = {"logits": "softmax", "log-odds": "sigmoid"}


@dataclass(frozen=True)
class Input:
    """An argument that holds numbers on a scale."""

    name: str
    where: str
    scale: str
    event: str | None = None
    is_target: bool = False


@dataclass(frozen=True)
class Fact:
    """What the registry says of one symbol under certain flags."""

    path: str
    form: str
    kind: str  # loss, distribution, sampler, metric, activation or other
    inputs: tuple[Input, ...]
    returns: str | None
    activation: str  # softmax, sigmoid or none
    construct: tuple[str, ...]
    call: tuple[str, ...]
    flags: dict[str, Any] = field(default_factory=dict)
    framework: str = ""
    trap: str = ""

    @property
    def name(self) -> str:
        """The last part of the path, as it's spoken of."""
        return self.path.rpartition(".")[2]

    def bind(self, where: str, args: list[Value], kwargs: dict[str, Value]) -> dict[str, Value]:
        """Arguments by their names."""
        names = self.construct if where == "construct" else self.call
        return {**dict(zip(names, args, strict=False)), **{key: value for key, value in kwargs.items() if key != MORE}}


@cache
def parameters(signature: str | None) -> tuple[str, ...]:
    """The names in a signature, in order."""
    if not signature:
        return ()
    try:
        function = ast.parse(f"def f({signature}): pass").body[0]
    except SyntaxError:
        return ()
    arguments = function.args  # type: ignore[attr-defined]
    return tuple(argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs))


# Array libraries: a program that names none of them has nothing to check.
_LIBRARIES = re.compile(
    r"\b(?:torch|tensorflow|keras|tf_keras|jax|flax|optax|haiku|equinox|pytorch_lightning|lightning|transformers|nnx|paddle|mindspore)\b"
)
_LOSS = r"\b(?:criterion|loss|loss_fn|loss_func)\("
# A helper that only cuts at 0.5 matters where it's given logits, and one that calls a loss where it's given both.
_USES = re.compile(r"[<>]=?\s*0?\.5\b|\b(?:ge|gt|le|lt|greater|round)\(|" + _LOSS)
_WORD = re.compile(r"\w{4,}")
# A softmax of one unit, or one activation on another, is wrong by itself.
_SOFTMAX = re.compile(r"softmax|sigmoid\b.*sigmoid\b", re.DOTALL | re.IGNORECASE)


@cache
def _words(*roles: str) -> frozenset[str]:
    """The last parts of the registry's names for functions of these roles."""
    found = {
        path.rpartition(".")[2]
        for each in conventions.callables()
        if each.language == "Python"
        and _LIBRARIES.match(each.paths[0])
        and any(word in each.cases[0].role for word in roles)
        for path in each.paths
    }
    names = {name for name in found if len(name) > 4 and name != "choice"}
    return frozenset(names | SCORING_LAYERS if "normali" in roles else names)


def _names(words: frozenset[str], text: str) -> bool:
    """Whether one of some words is in a text: a look-up per word of the text is faster than one large pattern."""
    return any(found[0] in words for found in _WORD.finditer(text))


@dataclass
class Facts:
    """The registry's answers, kept. `resolve` is the registry's own, or a test's."""

    resolve: Function[..., Any] = conventions.resolve
    _kept: dict[Any, Fact | None] = field(default_factory=dict)
    _spoken: dict[str, bool] = field(default_factory=dict)

    def of(self, path: str, args: list[Value], kwargs: dict[str, Value]) -> Fact | None:
        """What's known about a symbol that's called, or constructed, with these arguments."""
        plain = self._ask(path, ())
        if plain is None or not plain.flags:
            return plain
        # The flags are those of the first call: the constructor's for a class.
        given = plain.bind("construct" if plain.form == "class" else "call", args, kwargs)
        flags = tuple((name, _constant(given[name])) for name in plain.flags if name in given)
        if MORE in kwargs:
            flags = (*flags, *((name, ...) for name in plain.flags if name not in given))
        return self._ask(path, flags) if flags else plain

    def speaks_of(self, text: str) -> bool:
        """Whether a program for one of the libraries says anything about scales, as `names_any` has it."""
        if text not in self._spoken:
            self._spoken[text] = bool(_LIBRARIES.search(text)) and self.names_any(text)
        return self._spoken[text]

    def names_any(self, text: str) -> bool:
        """Whether a text names anything of the registry or a layer that gives scores, calls a loss or cuts at 0.5."""
        return _names(_words(*_KINDS, "normali", "link"), text) or bool(_USES.search(text))

    def calls_loss(self, text: str) -> bool:
        """Whether a text calls something that it names like a loss: a training loop needn't name any library."""
        return re.search(_LOSS, text) is not None

    def may_judge(self, text: str) -> bool:
        """Whether a program names anything that a mistake could be made with, so that it's worth reading.

        That's a loss, a distribution, a sampler or a metric, or a softmax. Layers alone can't be wrong.
        """
        return bool(_LIBRARIES.search(text) and (_SOFTMAX.search(text) or _names(_words(*_KINDS), text)))

    def _ask(self, path: str, flags: tuple[tuple[str, Any], ...]) -> Fact | None:
        key = (path, flags)
        if key not in self._kept:
            self._kept[key] = self._fact(path, dict(flags))
        return self._kept[key]

    def _fact(self, path: str, flags: dict[str, Any]) -> Fact | None:
        known = {key: conventions.UNKNOWN if value is ... else value for key, value in flags.items()}
        found = next((found for door in _doors(path) if (found := self.resolve(door, **known)) is not None), None)
        if found is None:
            return None
        inputs = tuple(
            Input(one.name, one.where, one.scale, one.event, bool(one.target))
            for one in found.inputs
            if one.scale not in (None, "none", "margin")
        )
        role = found.cases[0].role if found.cases else ""
        kind = next((kind for word, kind in _KINDS.items() if word in role), "other")
        taken = next((one.scale for one in inputs if not one.is_target), None)
        makes = found.returns in ("probabilities", "log-probabilities") and taken in _ACTIVATIONS and kind == "other"
        settings = {flag.name: flags.get(flag.name, flag.default) for flag in found.flags}
        return Fact(
            path,
            found.form,
            "activation" if makes else kind,
            inputs,
            found.returns,
            _ACTIVATIONS[taken] if makes and taken else "",
            parameters(found.construct),
            parameters(found.call),
            settings,
            found.framework,
            found.fix,
        )


def _doors(path: str) -> Iterator[str]:
    """The paths of a function: Keras under another roof is Keras, and TensorFlow 1's functions are in `compat.v1`."""
    roof = next((roof for roof in KERAS[1:] if path.startswith(roof)), "")
    path = f"keras.{path.removeprefix(roof)}" if roof else path
    yield path
    yield from (pattern.sub(public, path) for pattern, public in PUBLIC if pattern.match(path))
    if path.startswith(_V1):
        yield f"tensorflow.{path.removeprefix(_V1)}"
    elif path.startswith("tensorflow."):
        yield f"{_V1}{path.removeprefix('tensorflow.')}"


def _constant(value: Value) -> Any:
    if isinstance(value, Const) and isinstance(value.value, str | int | float | bool | None):
        return value.value
    return ...
