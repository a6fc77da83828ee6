"""The twins in blocks: where a batch is cut does not show, and no block needs much memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import logitkit.torch as lt
from logitkit.torch import _blocks, linear
from tests.twins import (
    ALL,
    class_pairs,
    linear_pairs,
)


class TestBlocks:
    """Where a batch is cut does not show."""

    @pytest.fixture(params=[1, 7, 64])
    def _small(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_blocks, "CPU_BLOCK", request.param)
        monkeypatch.setattr(linear, "BLOCK", request.param)

    @pytest.mark.usefixtures("_small")
    @pytest.mark.parametrize("name", {**class_pairs(), **linear_pairs()})
    def test_in_value_and_gradients(self, name: str) -> None:
        ALL[name].assert_agree(rtol=1e-11)

    def test_memory_of_the_linear_loss_does_not_grow_with_rows_times_classes(self) -> None:
        rows, classes = 512, 20_000
        features, layer = torch.ones(rows, 4, requires_grad=True), torch.ones(classes, 4, requires_grad=True)

        def largest(loss_of: Callable[[], Tensor]) -> int:
            sizes = []
            with torch.profiler.profile(profile_memory=True) as profile:
                loss_of().backward()
            sizes = [event.cpu_memory_usage for event in profile.events()]
            return max(sizes)

        whole = rows * classes * 4
        target = torch.zeros(rows, dtype=torch.long)
        assert largest(lambda: F.cross_entropy(F.linear(features, layer), target)) >= whole
        assert largest(lambda: lt.linear_cross_entropy(features, layer, target)) < whole / 2
