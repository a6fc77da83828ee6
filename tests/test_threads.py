"""Calls from several threads at once do not see each other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import numpy as np
import pytest

import logitkit as lk
from logitkit._arrays import BLOCK

THREADS = 8
ROUNDS = 6


def _flat(value_and_grads: tuple[Any, tuple[Any, ...]]) -> tuple[Any, ...]:
    return value_and_grads[0], *value_and_grads[1]


def _call(seed: int) -> dict[str, Callable[[], Any]]:
    """Every function on numbers of this seed, several blocks long, of a dtype that must be converted."""
    rng = np.random.default_rng(seed)
    dtype = (np.float32, np.float64)[seed % 2]
    z = rng.normal(0, 3, (BLOCK // 4 + seed, 10)).astype(dtype)
    x = rng.normal(0, 3, 3 * BLOCK + seed).astype(dtype)
    p = rng.uniform(0, 1, x.size).astype(dtype)
    layer = [rng.normal(0, 1, (n, 20)).astype(dtype) for n in (300 + seed, 500)]
    classes, in_blocks = rng.integers(0, 500, 300 + seed), {"block_bytes": 1 << 19}
    labels, target = rng.integers(0, 10, len(z)), lk.softmax(rng.normal(0, 1, z.shape)).astype(dtype)
    return {
        "odds": partial(lk.odds, p),
        "logit": partial(lk.logit, p),
        "expit": partial(lk.expit, x),
        "log_expit": partial(lk.log_expit, x),
        "softplus": partial(lk.softplus, x),
        "log1mexp": partial(lk.log1mexp, -np.abs(x)),
        "logsumexp": partial(lk.logsumexp, z),
        "softmax": partial(lk.softmax, z),
        "log_softmax": partial(lk.log_softmax, z),
        "class_log_odds": partial(lk.class_log_odds, z),
        "center": partial(lk.center, z),
        "logits_from_probs": partial(lk.logits_from_probs, target),
        "cross_entropy": partial(lk.cross_entropy, target, logits=z, label_smoothing=0.1),
        "cross_entropy_value_and_grad": partial(lk.cross_entropy_value_and_grad, labels, logits=z),
        "binary_cross_entropy": partial(lk.binary_cross_entropy, p, logits=x),
        "binary_cross_entropy_value_and_grad": partial(lk.binary_cross_entropy_value_and_grad, p, logits=x),
        "focal_loss": partial(lk.focal_loss, np.rint(p), logits=x),
        "kl_divergence": partial(lk.kl_divergence, target_probs=target, logits=z),
        "linear_cross_entropy": partial(lk.linear_cross_entropy, *layer, classes, **in_blocks),
        "linear_cross_entropy_value_and_grad": partial(
            lambda *a, **k: _flat(lk.linear_cross_entropy_value_and_grad(*a, **k)),
            *layer,
            classes,
            bias=np.zeros(500),
            **in_blocks,
        ),
    }


CALLS = [_call(seed) for seed in range(THREADS)]


@pytest.fixture(autouse=True)
def _frequent_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def _together(jobs: list[Callable[[], Any]]) -> list[Any]:
    start = Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        start.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def _assert_same(got: Any, expected: Any) -> None:
    for g, e in zip(*(r if isinstance(r, tuple) else (r,) for r in (got, expected)), strict=True):
        np.testing.assert_array_equal(g, e)


def test_every_function_is_tried() -> None:
    assert set(CALLS[0]) == set(lk.__all__) - {"show_config"}


@pytest.mark.parametrize("name", CALLS[0])
def test_concurrent_calls_of_one_function_do_not_mix(name: str) -> None:
    expected = [calls[name]() for calls in CALLS]
    for _ in range(ROUNDS):
        for got, alone in zip(_together([calls[name] for calls in CALLS]), expected, strict=True):
            _assert_same(got, alone)


def test_concurrent_calls_of_all_functions_on_one_input_do_not_mix() -> None:
    calls = CALLS[0]
    expected = [call() for call in calls.values()]
    for got, alone in zip(_together(list(calls.values())), expected, strict=True):
        _assert_same(got, alone)


def test_error_handling_of_numpy_stays_that_of_the_caller() -> None:
    def job(setting: str) -> None:
        with np.errstate(all=setting):
            for _ in range(50):
                lk.log_softmax(np.full((3, 3), -1e300))
                lk.logit([0.0, 1.0])
                assert set(np.geterr().values()) == {setting}

    _together([partial(job, ("raise", "ignore", "warn", "print")[i % 4]) for i in range(THREADS)])
