"""The twins agree with PyTorch where it is right."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradgradcheck

import logitkit.torch as lt
from tests.backends import backend  # noqa: F401 - runs every test on both
from tests.twins import (
    ALL,
    CLASSES,
    ELEMENTWISE,
    INF,
    ROWS,
    WEIGHT,
    Pair,
    by_probabilities,
    class_pairs,
    distributions,
    doubles,
    labels,
    linear_pairs,
    logits,
    proportions,
)


class TestAgreesWithPyTorch:
    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    @pytest.mark.parametrize("name", class_pairs())
    def test_value_and_gradient(self, name: str, reduction: str) -> None:
        class_pairs(reduction)[name].assert_agree()

    @pytest.mark.parametrize("weight", [None, WEIGHT])
    def test_target_may_be_spread_evenly_over_all_classes(self, weight: Tensor | None) -> None:
        arguments = (logits(ROWS, CLASSES), labels(ROWS))
        Pair(lt.cross_entropy, F.cross_entropy, *arguments, weight=weight, label_smoothing=1.0).assert_agree()

    def test_ignored_rows_of_the_only_class_have_no_weight(self) -> None:
        weight = torch.tensor([2.0], dtype=torch.float64)
        Pair(lt.cross_entropy, F.cross_entropy, logits(3, 1), torch.tensor([0, -100, 0]), weight=weight).assert_agree()

    def test_log_softmax_converts_before_it_computes(self) -> None:
        z = logits(ROWS, CLASSES).detach().float()
        got, expected = (f(z, dim=1, dtype=torch.float64) for f in (lt.log_softmax, F.log_softmax))
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)

    @pytest.mark.parametrize("dim", [0, 1, 2, -2])
    def test_classes_may_be_in_any_dimension(self, dim: int) -> None:
        for ours, theirs in ((lt.log_softmax, F.log_softmax), (lt.class_log_odds, by_probabilities)):
            pair = Pair(ours, theirs, logits(2, 3, 4), dim=dim)
            pair.assert_agree(rtol=1e-11)
            gradgradcheck(pair.twin, pair.tensors)

    @pytest.mark.parametrize(("shape", "dim"), [((), 0), ((3,), 0), ((2, 3), 1), ((2, 3, 4), 0), ((2, 3, 4, 5), 1)])
    def test_classes_are_by_default_where_pytorch_has_them(self, shape: tuple[int, ...], dim: int) -> None:
        z = doubles(*shape)
        for got in (lt.log_softmax(z), lt.log_softmax(z, dim)):
            torch.testing.assert_close(got, F.log_softmax(z, dim), rtol=1e-12, atol=0)

    def test_only_class_has_infinite_log_odds(self) -> None:
        assert lt.class_log_odds(doubles(2, 1)).tolist() == [[INF], [INF]]

    def test_clamped_logit_has_its_ends_where_eps_puts_them(self) -> None:
        p = torch.tensor([0.0, 0.0625, 0.25, 0.75, 0.9375, 1.0], dtype=torch.float64)
        torch.testing.assert_close(lt.logit(p, 0.125), torch.logit(p, 0.125), rtol=1e-15, atol=0)

    @pytest.mark.parametrize("name", [*linear_pairs(), *ELEMENTWISE])
    def test_value_and_gradient_of_the_others(self, name: str) -> None:
        ALL[name].assert_agree(rtol=1e-11)

    @pytest.mark.parametrize("shape", [(CLASSES,), (ROWS, CLASSES), (2, CLASSES, 5), (2, CLASSES, 4, 5)])
    def test_class_dimension_is_where_pytorch_has_it(self, shape: tuple[int, ...]) -> None:
        axis = 1 if len(shape) > 1 else 0
        rows = (*shape[:axis], *shape[axis + 1 :])
        whole = torch.softmax(doubles(*shape, seed=2), dim=axis)
        for target, smoothing in ((labels(*rows), 0.0), (labels(*rows), 0.2), (whole, 0.0)):
            for reduction in ("none", "mean"):
                options = {"label_smoothing": smoothing, "reduction": reduction}
                Pair(lt.cross_entropy, F.cross_entropy, logits(*shape), target, **options).assert_agree()

    @pytest.mark.parametrize("flags", [(None, False), (False, None), (True, True), (False, True)])
    def test_deprecated_arguments_mean_what_they_meant(self, flags: tuple[bool | None, bool | None]) -> None:
        options = dict(zip(("size_average", "reduce"), flags, strict=True))
        ours = lt.cross_entropy(logits(ROWS, CLASSES), labels(ROWS), **options)
        with pytest.warns(UserWarning, match="size_average"):
            theirs = F.cross_entropy(logits(ROWS, CLASSES), labels(ROWS), **options)
        torch.testing.assert_close(ours, theirs)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_result_and_gradient_have_the_dtype_of_the_input(self, dtype: torch.dtype) -> None:
        for name, pair in {**class_pairs(), **linear_pairs()}.items():
            tensors = [t.detach().to(dtype) if t.is_floating_point() else t for t in pair.tensors]
            tensors[0].requires_grad_()
            options = {k: v.to(dtype) if isinstance(v, Tensor) else v for k, v in pair.options.items()}
            loss = pair.ours(*tensors, **options)
            loss.backward()
            # Layer and loss in one add up what a narrow loss could not hold.
            assert loss.dtype == (torch.float32 if name.startswith("linear") else dtype), name
            assert tensors[0].grad.dtype == dtype, name
            torch.testing.assert_close(loss.double(), pair.ours(*pair.tensors, **pair.options), rtol=0.05, atol=0.02)

    def test_an_empty_or_ignored_batch_sums_to_zero_and_averages_to_nan(self) -> None:
        for target in (torch.full((2,), -100), torch.empty(0, dtype=torch.long)):
            z = logits(len(target), CLASSES)
            for reduction in ("sum", "mean", "none"):
                Pair(lt.cross_entropy, F.cross_entropy, z, target, reduction=reduction).assert_agree()
        z, target = logits(0, CLASSES), distributions(0, CLASSES)
        for reduction in ("sum", "mean", "none"):
            Pair(lt.cross_entropy, F.cross_entropy, z, target, reduction=reduction).assert_agree()
            pair = lt.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits
            Pair(*pair, z, target, reduction=reduction).assert_agree()

    def test_modules_are_those_of_pytorch_with_another_forward(self) -> None:
        options = {"weight": WEIGHT, "ignore_index": 1, "label_smoothing": 0.2, "reduction": "sum"}
        ours, theirs = lt.CrossEntropyLoss(**options), torch.nn.CrossEntropyLoss(**options)
        assert isinstance(ours, torch.nn.CrossEntropyLoss)
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        Pair(ours, theirs, logits(ROWS, CLASSES), labels(ROWS)).assert_agree()
        options = {"weight": proportions(ROWS, 1), "pos_weight": WEIGHT, "reduction": "sum"}
        ours, theirs = lt.BCEWithLogitsLoss(**options), torch.nn.BCEWithLogitsLoss(**options)
        Pair(ours, theirs, logits(ROWS, CLASSES), proportions(ROWS, CLASSES)).assert_agree()

    def test_linear_takes_features_of_any_leading_shape(self) -> None:
        layer = logits(CLASSES, 2, seed=5)
        for rows in ((), (3,), (2, 3)):
            features, target = logits(*rows, 2), labels(*rows)
            losses = lt.linear_cross_entropy(features, layer, target, reduction="none")
            expected = F.cross_entropy(F.linear(features, layer).reshape(-1, CLASSES), target.ravel(), reduction="none")
            torch.testing.assert_close(losses, expected.reshape(rows))

    @given(st.data())
    def test_on_random_calls(self, data: st.DataObject) -> None:
        """Shapes, layouts, weights, masks and ignored rows as they come."""
        classes = data.draw(st.integers(1, 40), label="classes")
        rows = data.draw(st.integers(1, 6), label="rows")
        seed = data.draw(st.integers(0, 10**6), label="seed")
        rng = np.random.default_rng(seed)
        dtype = data.draw(st.sampled_from([torch.float32, torch.float64]), label="dtype")
        spread = data.draw(st.sampled_from([0.1, 3.0, 30.0, 100.0]), label="spread")
        z = torch.tensor(rng.normal(0, spread, (classes, rows)), dtype=dtype).T
        if data.draw(st.booleans(), label="offset"):
            z = z + 1000
        y = torch.tensor(rng.integers(0, classes, rows))
        if data.draw(st.booleans(), label="masked"):
            z[rng.random(z.shape) < 0.3] = -INF
            z[torch.arange(rows), y] = 0.0
        if data.draw(st.booleans(), label="ignored"):
            y[rng.random(rows) < 0.4] = -100
        weight = torch.tensor(rng.uniform(0, 2, classes), dtype=dtype) if data.draw(st.booleans()) else None
        exact = [
            F.cross_entropy(z.double(), y, weight=None if weight is None else weight.double(), reduction=r)
            for r in ("none", "sum")
        ]
        for reduction, expected in zip(("none", "sum"), exact, strict=True):
            got = lt.cross_entropy(z, y, weight=weight, reduction=reduction)
            assert got.isfinite().all() == expected.isfinite().all()
            tolerance = {"rtol": 2e-6, "atol": 2e-6} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-12}
            torch.testing.assert_close(got.double(), expected, **tolerance)


class TestNoPositions:
    """Images without pixels, in batches that are not empty."""

    @pytest.mark.parametrize("shape", [(2, CLASSES, 0), (2, CLASSES, 4, 0), (0, CLASSES, 0)])
    @pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
    def test_have_the_losses_that_pytorch_gives_them(self, shape: tuple[int, ...], reduction: str) -> None:
        rows, whole = (shape[0], *shape[2:]), torch.softmax(doubles(*shape), dim=1)
        for target, smoothing in ((labels(*rows), 0.0), (labels(*rows), 0.1), (whole, 0.0), (whole, 0.1)):
            options = {"label_smoothing": smoothing, "reduction": reduction, "weight": WEIGHT}
            Pair(lt.cross_entropy, F.cross_entropy, logits(*shape), target, **options).assert_agree()
        pair = lt.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits
        Pair(*pair, logits(*shape), whole, reduction=reduction).assert_agree()


class TestIgnoredBatch:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_has_no_gradient_though_its_mean_is_nan(self, smoothing: float) -> None:
        options = {"label_smoothing": smoothing, "weight": WEIGHT}
        Pair(lt.cross_entropy, F.cross_entropy, logits(2, CLASSES), torch.full((2,), -100), **options).assert_agree()


class TestFactorsOfTheBinaryLoss:
    @pytest.mark.parametrize("name", ["weight", "pos_weight"])
    @pytest.mark.parametrize("shape", [(3,), (4, 1), (2, 1, 2), (2, 2), (0,)])
    def test_do_not_make_more_losses_than_there_are_targets(self, name: str, shape: tuple[int, ...]) -> None:
        message = rf"^{name} must broadcast to the shape of input, \(2,\), but has the shape {re.escape(str(shape))}"
        with pytest.raises(ValueError, match=message):
            lt.binary_cross_entropy_with_logits(torch.zeros(2), torch.zeros(2), **{name: torch.ones(shape)})
        with pytest.raises(ValueError, match=r"input, \(\)"):
            lt.binary_cross_entropy_with_logits(torch.tensor(0.0), torch.tensor(0.0), **{name: torch.ones(1)})

    @pytest.mark.parametrize("name", ["weight", "pos_weight"])
    @pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (2, 1), (2, 3)])
    def test_broadcast_as_in_pytorch(self, name: str, shape: tuple[int, ...]) -> None:
        factor = proportions(*shape)
        pair = lt.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits
        Pair(*pair, logits(2, 3), proportions(2, 3), **{name: factor}).assert_agree()
        number = proportions()
        Pair(*pair, logits(), number, **{name: number}).assert_agree()
