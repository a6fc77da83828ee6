"""A promise, how its worst error is found, and the adapters that let every library take the same arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch

from tests import oracle
from tests.accuracy.draws import Arguments, Draws

Exact = Callable[..., list[Any]]
Floors = Callable[..., list[float]]


@dataclass(frozen=True)
class Promise:
    """A bound on the error of one function, in units in the last place, and who else computes the function."""

    name: str
    bound: dict[type, float]
    arguments: Draws
    ours: Callable[..., Any]
    exact: Exact
    peers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    floors: Floors | None = None  # the least units of the results, from results and arguments

    def worst(self, dtype: type, function: Callable[..., Any]) -> float:
        cases = _cases(self.arguments, self.exact, dtype)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            got = [np.ravel(function(*case.arguments)) for case in cases]
        for values, case in zip(got, cases, strict=True):
            if values.shape != case.expected.nearest.shape:
                raise ValueError(f"{values.size} results, but {case.expected.nearest.size} exact ones")
        expected, floors = _joined(self.floors, self.arguments, self.exact, dtype)
        return oracle.ulps(np.concatenate(got), expected, floors).max()


class Case(NamedTuple):
    """Arguments and the exact results."""

    arguments: Arguments
    expected: oracle.Parts


@cache  # for every library, both backends, and the twin: exact answers take far longer than the functions themselves
def _cases(arguments: Draws, exact: Exact, dtype: type) -> list[Case]:
    return [Case(a, oracle.answer(exact, *a)) for a in arguments(dtype)]


@cache
def _joined(
    floors: Floors | None, arguments: Draws, exact: Exact, dtype: type
) -> tuple[oracle.Parts, np.ndarray | None]:
    """The exact results of all cases in one, as the distances of short rows take as long as those of long ones."""
    cases = _cases(arguments, exact, dtype)
    expected = oracle.Parts(*map(np.concatenate, zip(*(case.expected for case in cases), strict=True)))
    if floors is None:
        return expected, None
    return expected, np.concatenate([floors(dtype, case.expected.nearest, *case.arguments) for case in cases])


@cache  # so that the exact answers of two promises are one
def one_by_one(formula: Callable[..., Any]) -> Exact:
    return lambda *columns: [formula(*values) for values in zip(*columns, strict=True)]


def on_tensors(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    return lambda *arrays: function(*map(torch.as_tensor, arrays)).numpy(force=True)


def grad_on_tensors(loss: Callable[..., Any]) -> Callable[..., np.ndarray]:
    def grad(target: np.ndarray, logits: np.ndarray) -> np.ndarray:
        z = torch.tensor(logits, requires_grad=True)
        loss(z, torch.as_tensor(target)).backward()
        return z.grad.numpy(force=True)

    return grad


def one_hot(label: list[Any], z: list[Any]) -> list[Any]:
    return oracle.one_hot(label[0], len(z))


def loss_of_class(z: list[Any], label: list[Any]) -> list[Any]:
    return [oracle.cross_entropy(one_hot(label, z), z)]


def grad_of_class(z: list[Any], label: list[Any]) -> list[Any]:
    return oracle.cross_entropy_grad(one_hot(label, z), z)


def loss_of_distribution(z: list[Any], target: list[Any]) -> list[Any]:
    return [oracle.cross_entropy(target, z)]


def grad_of_distribution(z: list[Any], target: list[Any]) -> list[Any]:
    return oracle.cross_entropy_grad(target, z)


def swapped(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda z, target: function(target, z)
