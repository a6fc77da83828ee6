"""What holds for all losses: scales are named, reductions are known, a mean is over something."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import logitkit as lk
from tests.cases import refuses
from tests.loss_contracts import SCALES, value

LOSSES = [
    lk.cross_entropy,
    lk.binary_cross_entropy,
    lk.focal_loss,
    lk.kl_divergence,
    lk.cross_entropy_value_and_grad,
    lk.binary_cross_entropy_value_and_grad,
]


class TestEveryLoss:
    @pytest.mark.parametrize("loss", LOSSES)
    def test_scales_are_given_by_name_or_not_at_all(self, loss: Callable[..., Any]) -> None:
        parameters = inspect.signature(loss).parameters
        positional = [n for n, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
        assert positional == [n for n in ("target",) if n in parameters]
        with pytest.raises(TypeError, match="positional argument"):
            loss(0, [1.0, 2.0])

    @pytest.mark.parametrize("loss", [lk.cross_entropy, lk.binary_cross_entropy])
    @pytest.mark.parametrize("given", [(), *combinations(SCALES, 2), SCALES])
    def test_no_scale_is_guessed_and_none_outweighs_another(self, loss: Callable[..., Any], given: tuple[str]) -> None:
        arguments = {name: [0.0, -800.0] if name == "log_probs" else [1.0, 0.0] for name in given}
        got = " and ".join(given) or "none"
        with refuses(ValueError, f"give exactly one of logits, probs, log_probs; got {got}"):
            loss(0, **arguments)

    @pytest.mark.parametrize(
        "loss", [lk.cross_entropy_value_and_grad, lk.binary_cross_entropy_value_and_grad, lk.focal_loss]
    )
    def test_losses_of_logits_alone_need_them(self, loss: Callable[..., Any]) -> None:
        with refuses(ValueError, "give exactly one of logits; got none"):
            loss(0, logits=None)
        with refuses(TypeError, "probs"):
            loss(0, probs=[1.0])

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("reduction", ["avg", "Mean", None, True, ["mean"]])
    def test_unknown_reduction_is_shown(self, loss: Callable[..., Any], reduction: Any) -> None:
        target = "target_logits" if loss is lk.kl_divergence else "target"
        arguments = {target: [1.0, 0.0], "logits": [0.0, 1.0], "reduction": reduction}
        message = f"reduction must be 'none', 'sum' or 'mean', not {reduction!r}"
        with refuses(ValueError, message):
            loss(**arguments)

    @pytest.mark.parametrize("loss", LOSSES)
    def test_mean_of_nothing_is_refused_but_its_sum_is_zero(self, loss: Callable[..., Any]) -> None:
        nothing = np.zeros((0, 3), dtype=np.float32)
        arguments = {"logits": nothing, "target_logits" if loss is lk.kl_divergence else "target": nothing}
        with refuses(ValueError, "reduction 'mean' has nothing to average", "'sum' gives 0"):
            loss(**arguments)
        total = value(loss(**arguments, reduction="sum"))
        assert total == 0
        assert total.dtype == np.float32
