"""What the numbers of each explorable must be, from the positions of its controls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.testing import assert_allclose

import logitkit as lk

from .explorables import Box

DECIBANS = 10 / np.log(10)
FORMATS = {"float16": np.float16, "float32": np.float32, "float64": np.float64}


def numbers_of_scales(log_odds, step):
    size = {"decibans": np.log(10), "nat": 1.0, "double": np.log(2)}[step]
    return {
        "log_odds": log_odds,
        "probability": lk.expit(log_odds),
        "odds": np.exp(log_odds),
        "decibans": log_odds * DECIBANS,
        "next_odds": np.exp(log_odds + size),
        "next_probability": lk.expit(log_odds + size),
    }


def numbers_of_softmax(logits, constant, temperature):
    raw = np.array(logits) / temperature + constant
    columns = {"raw": raw, "log_odds": lk.class_log_odds(raw), "prob": lk.softmax(raw)}
    positions = {"constant": constant, "temperature": temperature} | {f"logit_{i}": z for i, z in enumerate(logits)}
    return positions | {f"{name}_{i}": column[i] for name, column in columns.items() for i in range(3)}


def numbers_of_doubled_softmax(margin, count):
    logits = np.zeros(count)
    logits[0] = margin
    probs = lk.softmax(logits)
    loss, grad = lk.cross_entropy_value_and_grad(0, logits=logits)
    loss_twice, grad_twice = lk.cross_entropy_value_and_grad(0, logits=probs)
    # Along the first logit the probabilities change by p_0 (1 - p_0) and -p_0 p_j; their loss, by the chain rule.
    along = -probs[0] * probs
    along[0] = probs[0] * lk.expit(-lk.class_log_odds(logits)[0])
    return {
        "classes": count,
        "margin": margin,
        "loss": loss,
        "loss_twice": loss_twice,
        "slope": grad[0],
        "slope_twice": along @ grad_twice,
        "floor": lk.cross_entropy(0, logits=np.eye(count)[0]),
        "probability": probs[0],
    }


def rounded(function, value, dtype):
    """A function as exact as the format allows: in float64, then rounded. NumPy's own may be a unit off."""
    return dtype(function(np.float64(value)))


def numbers_of_programs(margin):
    """The three programs, each step in NumPy's arithmetic of the format."""
    found = {"margin": margin, "exact": lk.softplus(-margin)}
    for name, dtype in FORMATS.items():
        with np.errstate(divide="ignore", under="ignore", over="ignore"):
            z = np.array([margin, 0], dtype=dtype)
            assert z[0] == margin  # the format holds it
            shifted = z - z.max()
            exps = np.array([rounded(np.exp, each, dtype) for each in shifted])
            total = exps[0] + exps[1]
            tail = rounded(np.log1p, rounded(np.exp, -np.abs(z[0]), dtype), dtype)
            losses = {
                "two_calls": dtype(0) - rounded(np.log, exps[0] / total, dtype),
                "fused": rounded(np.log, total, dtype) - shifted[0],
                "log_odds": np.maximum(-z[0], dtype(0)) + tail,
            }
        for program, loss in losses.items():
            assert loss.dtype == dtype
            found[f"{program}_{name}"] = float(loss)
    return found


def numbers_of_base_rate(threshold, prior):
    """A model whose probability p has the density 2p among the yes and 2(1 - p) among the no."""
    p, base_rate = lk.expit(threshold), lk.expit(prior)
    below = lk.expit(-threshold)
    recall, false_alarm_rate = (1 + p) * below, below**2
    hits, false_alarms = base_rate * recall, lk.expit(-prior) * false_alarm_rate
    return {
        "threshold": threshold,
        "base_rate": base_rate,
        "recall": recall,
        "false_alarm_rate": false_alarm_rate,
        "precision": hits / (hits + false_alarms),
        "mistakes": 1000 * (base_rate * p**2 + false_alarms),
        "true_threshold": threshold + prior,
        "true_probability": lk.expit(threshold + prior),
    }


COUNTS = [2, 3, 4, 5, 10, 20, 50, 100, 1000]
# By explorable: the numbers that its controls must give, as they stand.
EXPECTED: dict[str, Callable[[Box], dict[str, float]]] = {
    "log-odds-scales": lambda box: numbers_of_scales(box.numbers()["log_odds"], box.control("step").input_value()),
    "free-constant": lambda box: numbers_of_softmax(
        [box.value(f"logit_{i}") for i in range(3)], box.numbers()["constant"], box.value("temperature")
    ),
    "softmax-twice": lambda box: numbers_of_doubled_softmax(box.value("margin"), COUNTS[int(box.value("classes"))]),
    "stable-loss": lambda box: numbers_of_programs(box.value("margin")),
    "base-rate": lambda box: numbers_of_base_rate(box.value("threshold"), box.value("prior")),
}


def agree(shown, expected):
    assert shown.keys() == expected.keys()
    for name, value in expected.items():
        # Where a sum of logits nearly cancels, as in log-odds near 0, what counts is the size of its terms.
        assert_allclose(shown[name], value, rtol=1e-12, atol=4e-15, err_msg=name)


def check(box):
    agree(box.numbers(), EXPECTED[box.name](box))
