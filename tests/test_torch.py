"""The twins agree with PyTorch where it is right, go on where it stops, and can be used wherever it can."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import grad, gradcheck, gradgradcheck

import logitkit as lk
import logitkit.torch as lt
from logitkit.torch import _blocks, linear
from tests import accuracy, oracle

# What torch.compile does with any autograd.Function.
pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")

INF, NAN = torch.inf, torch.nan
CLASSES = 3


def doubles(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def logits(*shape: int, seed: int = 0) -> Tensor:
    return (3 * doubles(*shape, seed=seed)).requires_grad_()


def labels(*shape: int, classes: int = CLASSES) -> Tensor:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(1))


def distributions(*shape: int) -> Tensor:
    return torch.softmax(doubles(*shape, seed=2), dim=1)


def proportions(*shape: int) -> Tensor:
    return torch.sigmoid(doubles(*shape, seed=3))


WEIGHT = torch.tensor([0.5, 2.0, 1.25], dtype=torch.float64)
ROWS = 4
CLASS_CALLS: dict[str, tuple[Tensor, dict[str, Any]]] = {
    "indices": (labels(ROWS), {}),
    "indices, weighted": (labels(ROWS), {"weight": WEIGHT}),
    "indices, some ignored": (torch.tensor([0, 2, -100, 1]), {"weight": WEIGHT}),
    "indices, another ignored": (torch.tensor([0, 2, 2, 1]), {"ignore_index": 2}),
    "indices, smoothed": (labels(ROWS), {"label_smoothing": 0.1}),
    "indices, smoothed, weighted, ignored": (
        torch.tensor([0, 2, -100, 1]),
        {"label_smoothing": 0.3, "weight": WEIGHT},
    ),
    "distributions": (distributions(ROWS, CLASSES), {}),
    "distributions, weighted": (distributions(ROWS, CLASSES), {"weight": WEIGHT}),
    "distributions, smoothed, weighted": (
        distributions(ROWS, CLASSES),
        {"label_smoothing": 0.3, "weight": WEIGHT},
    ),
    "one-hot": (F.one_hot(labels(ROWS), CLASSES).double(), {}),
}
BINARY_CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "pos_weight": {"pos_weight": WEIGHT},
    "weight": {"weight": proportions(ROWS, 1)},
    "both": {"weight": WEIGHT, "pos_weight": torch.tensor(3.0, dtype=torch.float64)},
}


class Pair:
    """A twin with its original, called alike."""

    def __init__(self, ours: Callable[..., Tensor], theirs: Callable[..., Tensor], *tensors: Tensor, **options: Any):
        self.ours, self.theirs, self.tensors, self.options = ours, theirs, tensors, options

    def twin(self, *tensors: Tensor) -> Tensor:
        return self.ours(*tensors, **self.options)

    def assert_agree(self, rtol: float = 1e-12, atol: float = 1e-14) -> None:
        results = [f(*self.tensors, **self.options) for f in (self.ours, self.theirs)]
        torch.testing.assert_close(*results, rtol=rtol, atol=atol, equal_nan=True)
        leaves = [t for t in self.tensors if t.requires_grad]
        slopes = doubles(*results[0].shape, seed=9).to(results[0])
        for mine, yours in zip(*(grad(r, leaves, slopes) for r in results), strict=True):
            torch.testing.assert_close(mine, yours, rtol=rtol, atol=atol, equal_nan=True)


def class_pairs(reduction: str = "mean") -> dict[str, Pair]:
    pairs = {}
    for name, (target, options) in CLASS_CALLS.items():
        if target.is_floating_point() and name != "one-hot":  # a finite difference would leave [0, 1]
            target = target.clone().requires_grad_()
        options = {**options, "reduction": reduction}
        pairs[name] = Pair(lt.cross_entropy, F.cross_entropy, logits(ROWS, CLASSES), target, **options)
    for name, options in BINARY_CALLS.items():
        pairs[f"binary, {name}"] = Pair(
            lt.binary_cross_entropy_with_logits,
            F.binary_cross_entropy_with_logits,
            logits(ROWS, CLASSES),
            proportions(ROWS, CLASSES).requires_grad_(),
            **options,
            reduction=reduction,
        )
    return pairs


def linear_pairs() -> dict[str, Pair]:
    pairs = {}
    features, layer, bias = logits(ROWS, 2), logits(CLASSES, 2, seed=5), logits(CLASSES, seed=6)
    for name, (target, options) in CLASS_CALLS.items():

        def ours(h: Tensor, w: Tensor, b: Tensor, t: Tensor, **options: Any) -> Tensor:
            return lt.linear_cross_entropy(h, w, t, linear_bias=b, **options)

        def theirs(h: Tensor, w: Tensor, b: Tensor, t: Tensor, **options: Any) -> Tensor:
            return F.cross_entropy(F.linear(h, w, b), t, **options)

        pairs[f"linear, {name}"] = Pair(ours, theirs, features, layer, bias, target, **options)
    return pairs


def by_probabilities(z: Tensor, dim: int = -1) -> Tensor:
    return torch.logit(torch.softmax(z, dim))


ELEMENTWISE = {
    "logit": Pair(lt.logit, torch.logit, proportions(7).requires_grad_()),
    "logit, clamped": Pair(lt.logit, torch.logit, proportions(7).requires_grad_(), eps=0.3),
    "softplus": Pair(lt.softplus, F.softplus, logits(7)),
    "softplus, steeper": Pair(lt.softplus, F.softplus, logits(7), beta=2.5),
    "log1mexp": Pair(lt.log1mexp, lambda x: torch.log(1 - torch.exp(x)), (-3 * proportions(7)).requires_grad_()),
    "log_softmax": Pair(lt.log_softmax, F.log_softmax, logits(ROWS, CLASSES), dim=1),
    "log_softmax, first axis": Pair(lt.log_softmax, F.log_softmax, logits(ROWS, CLASSES), dim=0),
    "class_log_odds": Pair(lt.class_log_odds, by_probabilities, logits(ROWS, CLASSES)),
}
ALL = {**class_pairs(), **linear_pairs(), **ELEMENTWISE}


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
            assert loss.dtype == tensors[0].grad.dtype == dtype, name
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


class TestKeepsItsDigits:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_loss_and_gradient_go_on_where_pytorch_is_zero(self, dtype: torch.dtype) -> None:
        last = {torch.float32: 85.0, torch.float64: 700.0}[dtype]
        for margin in (1.0, 17.0, 40.0, last):
            z = torch.tensor([[margin, 0.0]], dtype=dtype, requires_grad=True)
            loss = lt.cross_entropy(z, torch.tensor([0]))
            loss.backward()
            exact = oracle.softplus(oracle.exact(-margin)[0])
            assert oracle.ulps(loss.detach().numpy(), [exact])[0] < 3
            share = oracle.expit(oracle.exact(-margin)[0])
            assert oracle.ulps(z.grad.numpy(), [-share, share]).max() < 3
        theirs = torch.tensor([[last, 0.0]], dtype=dtype, requires_grad=True)
        F.cross_entropy(theirs, torch.tensor([0])).backward()
        assert theirs.grad[0, 0] == 0

    @pytest.mark.parametrize(("dtype", "far"), [(torch.float32, 85.3), (torch.float64, 640.3)])
    def test_difference_of_logits_that_float_rounds_is_not_taken_for_exact(
        self, dtype: torch.dtype, far: float
    ) -> None:
        for row in ([0.1, -far, -far - 1.7], [-far, 0.1, 0.7], [far, 0.1, far - 1.2]):
            for label in range(3):
                z = torch.tensor([row], dtype=dtype, requires_grad=True)
                loss = lt.cross_entropy(z, torch.tensor([label]))
                target, exact = oracle.one_hot(label, 3), oracle.exact(z.detach().numpy())
                assert oracle.ulps(loss.detach().numpy()[None], [oracle.cross_entropy(target, exact)])[0] < 4
                assert oracle.ulps(grad(loss, z)[0].numpy()[0], oracle.cross_entropy_grad(target, exact)).max() < 6

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_log_softmax_and_its_gradient_keep_them(self, dtype: torch.dtype) -> None:
        for row in ([0.1, -40.3, -41.7], [-40.3, 0.1, 0.7], [0.25, 0.25, -30.1]):
            z = torch.tensor([row], dtype=dtype, requires_grad=True)
            log_probs, exact = lt.log_softmax(z, -1), oracle.exact(z.detach().numpy())
            assert oracle.ulps(log_probs.detach().numpy()[0], oracle.log_softmax(exact)).max() < 1.3
            for label in range(3):
                slope = grad(log_probs[0, label], z, retain_graph=True)[0].numpy()[0]
                assert oracle.ulps(-slope, oracle.cross_entropy_grad(oracle.one_hot(label, 3), exact)).max() < 6

    def test_compiled_code_keeps_them_too(self) -> None:
        compiled = torch.compile(lt.cross_entropy, fullgraph=True, backend="aot_eager")
        z = torch.tensor([[50.125, 0.3, -60.0]], requires_grad=True)
        compiled(z, torch.tensor([0])).backward()
        exact = oracle.cross_entropy_grad(oracle.one_hot(0, 3), oracle.exact(z.detach().numpy()))
        assert oracle.ulps(z.grad.numpy(), exact).max() < 4

    def test_one_hot_targets_are_as_accurate_as_indices(self) -> None:
        z = torch.tensor([[40.0, 1.0, -3.0]], requires_grad=True)
        by_index = grad(lt.cross_entropy(z, torch.tensor([0])), z)[0]
        by_distribution = grad(lt.cross_entropy(z, torch.tensor([[1.0, 0.0, 0.0]])), z)[0]
        torch.testing.assert_close(by_distribution, by_index, rtol=1e-6, atol=0)
        assert by_index[0, 0] < 0

    def test_bfloat16_is_rounded_once(self) -> None:
        z = torch.tensor([[9.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)
        loss = lt.cross_entropy(z, torch.tensor([0]))
        assert loss == torch.tensor(lk.softplus(-9.0)).bfloat16()
        assert grad(loss, z)[0][0, 0] == torch.tensor(-lk.expit(-9.0)).bfloat16()

    def test_autocast_computes_in_float32(self) -> None:
        z = torch.tensor([[9.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)
        layer = torch.tensor([[9.0], [0.0]], requires_grad=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = [
                lt.cross_entropy(z, torch.tensor([0])),
                lt.binary_cross_entropy_with_logits(z[:, 0], torch.tensor([1.0])),
                lt.linear_cross_entropy(torch.ones(1, 1), layer, torch.tensor([0])),
            ]
        for loss in losses:
            assert loss.dtype == torch.float32
            torch.testing.assert_close(loss, torch.tensor(lk.softplus(-9.0), dtype=torch.float32), rtol=1e-6, atol=0)
        sum(losses).backward()
        assert (z.grad.dtype, layer.grad.dtype) == (torch.bfloat16, torch.float32)

    def test_sum_of_many_classes_is_not_lost_in_float32(self) -> None:
        z = torch.zeros(1, 100_000)
        z[0, 0] = 30.0
        exact = oracle.softplus(oracle.exact(np.log(99_999.0) - 30)[0])
        assert abs(lt.cross_entropy(z, torch.tensor([0])).item() / float(exact) - 1) < 3e-7

    def test_training_goes_on_at_a_margin_where_pytorch_stands_still(self) -> None:
        def trained(loss_of: Callable[..., Tensor]) -> Tensor:
            scale = torch.tensor(20.0, requires_grad=True)  # one weight, at a margin of 20
            for _ in range(100):
                # A learning rate that grows with the inverse of the gradient is what a normalising optimiser has.
                (slope,) = grad(loss_of(torch.stack([scale, torch.tensor(0.0)])[None], torch.tensor([0])), scale)
                scale = (scale - 0.1 * slope / (slope.abs() + 1e-30)).detach().requires_grad_()
            return scale

        assert trained(F.cross_entropy) == 20
        assert trained(lt.cross_entropy) > 29

    def test_a_network_learns_a_margin_at_which_the_loss_of_pytorch_is_zero(self) -> None:
        flowers, species = load_iris(return_X_y=True)
        x = torch.tensor((flowers - flowers.mean(0)) / flowers.std(0), dtype=torch.float32)
        y = torch.tensor(species > 0).long()  # a class apart from the others
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        for _ in range(120):
            slopes = grad(lt.cross_entropy(net(x), y), list(net.parameters()))
            size = sum(slope.abs().sum() for slope in slopes)
            with torch.no_grad():  # steps of one length, however faint the loss
                for weights, slope in zip(net.parameters(), slopes, strict=True):
                    weights -= slope / size
        z = net(x)
        loss = lt.cross_entropy(z, y).item()
        assert F.cross_entropy(z, y) == 0
        assert 0 < loss < 1e-20
        exact = lk.cross_entropy(y.numpy(), logits=z.detach().double().numpy())
        assert abs(loss / exact - 1) < 1e-5


class TestDerivatives:
    @pytest.mark.parametrize("name", ALL)
    def test_first_and_second_are_those_of_the_function(self, name: str) -> None:
        pair = ALL[name]
        gradcheck(pair.twin, pair.tensors)
        gradgradcheck(pair.twin, pair.tensors)

    @pytest.mark.parametrize("factor", [torch.tensor(3.0), torch.tensor([0.5, 2.0, 1.25]), proportions(ROWS, CLASSES)])
    @pytest.mark.parametrize("name", ["weight", "pos_weight"])
    def test_weights_of_a_binary_loss_have_one_too(self, name: str, factor: Tensor) -> None:
        # PyTorch's own loss has none with respect to them.
        def by_terms(x: Tensor, y: Tensor, weight: Any = 1, pos_weight: Any = 1) -> Tensor:
            return (weight * (-pos_weight * y * F.logsigmoid(x) - (1 - y) * F.logsigmoid(-x))).mean()

        slopes = []
        for loss in (lt.binary_cross_entropy_with_logits, by_terms):
            leaves = [logits(ROWS, CLASSES), proportions(ROWS, CLASSES).requires_grad_(), factor.double()]
            leaves[2].requires_grad_()
            slopes.append(grad(loss(*leaves[:2], **{name: leaves[2]}), leaves))
        torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-14)

    def test_third_derivative(self) -> None:
        for name in ("indices", "distributions", "binary, plain"):
            pair = ALL[name]
            thirds = []
            for function in (pair.ours, pair.theirs):
                value = function(*pair.tensors, **pair.options)
                for _ in range(3):
                    (value,) = grad(
                        (value * torch.arange(1, value.numel() + 1).reshape(value.shape)).sum(),
                        pair.tensors[0],
                        create_graph=True,
                    )
                thirds.append(value.detach())
            torch.testing.assert_close(*thirds)


@pytest.mark.parametrize("name", {**class_pairs(), **linear_pairs(), **ELEMENTWISE})
class TestTransforms:
    def test_compile_takes_the_whole_graph(self, name: str) -> None:
        pair = ALL[name]
        torch._dynamo.reset()
        compiled = torch.compile(pair.twin, fullgraph=True, backend="aot_eager")
        leaves = [t for t in pair.tensors if t.requires_grad]
        results = [f(*pair.tensors).sum() for f in (compiled, pair.twin)]
        torch.testing.assert_close(*results, rtol=1e-12, atol=1e-14)
        for mine, yours in zip(*(grad(r, leaves) for r in results), strict=True):
            torch.testing.assert_close(mine, yours, rtol=1e-11, atol=1e-14)

    def test_func_grad_and_vmap(self, name: str) -> None:
        """Maps the function over copies that differ in their first tensor only, then all tensors together."""
        pair = ALL[name]
        first, *others = (t.detach() for t in pair.tensors)
        batch = torch.stack([first, 0.5 * first, 0.9 * first])

        def total(first: Tensor, *others: Tensor) -> Tensor:
            return pair.twin(first, *others).sum()

        one_by_one = torch.stack([torch.func.grad(total)(b, *others) for b in batch])
        mapped = torch.vmap(torch.func.grad(total), in_dims=(0, *[None] * len(others)))(batch, *others)
        torch.testing.assert_close(mapped, one_by_one, rtol=1e-11, atol=1e-14)
        together = [torch.stack([t, t, t], dim=-1) for t in others]
        mapped = torch.vmap(total, in_dims=(0, *[-1] * len(others)))(batch, *together)
        torch.testing.assert_close(mapped, torch.stack([total(b, *others) for b in batch]), rtol=1e-11, atol=1e-14)

    def test_second_derivative_by_transforms(self, name: str) -> None:
        pair = ALL[name]
        first, *others = (t.detach() for t in pair.tensors)
        hessian = torch.func.jacrev(torch.func.jacrev(lambda z: pair.twin(z, *others).sum()))(first)
        leaf = first.clone().requires_grad_()
        (slope,) = grad(pair.twin(leaf, *others).sum(), leaf, create_graph=True)
        direction = doubles(*first.shape, seed=8)
        (expected,) = grad((slope * direction).sum(), leaf)
        got = (hessian.reshape(first.numel(), -1) @ direction.ravel()).reshape(first.shape)
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-11)


def test_mapped_rows_far_apart_have_the_gradient_of_each() -> None:
    target, batch = labels(ROWS), 400 * doubles(3, ROWS, CLASSES)
    slope = torch.func.grad(lambda z: lt.cross_entropy(z, target))
    torch.testing.assert_close(torch.vmap(slope)(batch), torch.stack([slope(z) for z in batch]), rtol=1e-12, atol=0)


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


class TestInputWithoutMeaning:
    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: lt.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 3])),
             r"target must be a class from 0 to 2, but target\[1\] is 3; do the labels count from 1"),
            (lambda: lt.cross_entropy(torch.zeros(2, 3), torch.tensor([-1, 0])), r"target\[0\] is -1"),
            (lambda: lt.cross_entropy(torch.zeros(2, 3), torch.zeros(2)), "must hold integers, not torch.float32"),
            (lambda: lt.cross_entropy(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.long)),
             "must hold floating-point numbers where it holds distributions, not torch.int64"),
            (lambda: lt.cross_entropy(torch.zeros(2, 3), torch.zeros(3, dtype=torch.long)),
             r"must have the shape \(2,\) \(class indices\) or \(2, 3\) \(distributions\), but has \(3,\)"),
            (lambda: lt.cross_entropy(torch.zeros(1, 2), torch.tensor([[1.5, -0.5]])),
             r"target must lie in \[0, 1\], but target\[0, 0\] is 1.5"),
            (lambda: lt.cross_entropy(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]]), ignore_index=0), "ignore_index"),
            (lambda: lt.cross_entropy(torch.zeros(1, 2), torch.tensor([0]), weight=torch.ones(3)), "2 classes"),
            (lambda: lt.cross_entropy(torch.zeros(1, 2).long(), torch.tensor([0])), "floating-point numbers, not"),
            (lambda: lt.cross_entropy(torch.zeros(1, 2), torch.tensor([0]), reduction="avg"), "'avg'"),
            (lambda: lt.cross_entropy(torch.zeros(1, 2), torch.tensor([0]), label_smoothing=1.5), "but is 1.5"),
            (lambda: lt.binary_cross_entropy_with_logits(torch.zeros(2), torch.tensor([0.0, 2.0])),
             r"target must lie in \[0, 1\], but target\[1\] is 2.0"),
            (lambda: lt.binary_cross_entropy_with_logits(torch.zeros(2), torch.zeros(2, 1)), "shape of input"),
            (lambda: lt.linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 2), torch.tensor([0, 1])), "agree in D"),
            (lambda: lt.linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 3), torch.tensor([0, 4])),
             r"target\[1\] is 4"),
            (lambda: lt.linear_cross_entropy(
                torch.zeros(2, 3), torch.zeros(4, 3), torch.tensor([0, 1]), linear_bias=torch.zeros(3)
            ), "linear_bias"),
        ],
    )  # fmt: skip
    def test_is_an_error_with_the_argument_value_and_index(self, call: Callable[[], Tensor], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            call()

    def test_is_nan_where_a_value_cannot_be_looked_at(self) -> None:
        compiled = torch.compile(lt.binary_cross_entropy_with_logits, fullgraph=True, backend="aot_eager")
        assert compiled(torch.zeros(2), torch.tensor([0.0, 2.0])).isnan()


class TestLimits:
    """The rules of masks, certainty and NaN are those of logitkit."""

    LOSSES = (
        ([INF, 0.0], 0, 0.0, [0.0, 0.0]),
        ([INF, 0.0], 1, INF, [1.0, -1.0]),
        ([0.0, -INF], 0, 0.0, [0.0, 0.0]),
        ([0.0, -INF], 1, INF, [1.0, -1.0]),
        ([-INF, -INF], 0, NAN, [NAN, NAN]),
        ([INF, INF], 0, NAN, [NAN, NAN]),
        ([NAN, 0.0], 1, NAN, [NAN, NAN]),
        ([0.0, NAN], 0, NAN, [NAN, NAN]),
        ([7.0], 0, 0.0, [0.0]),
    )

    @pytest.mark.parametrize(("row", "label", "loss", "slope"), LOSSES)
    def test_loss_and_gradient(self, row: list[float], label: int, loss: float, slope: list[float]) -> None:
        for target in (torch.tensor([label]), F.one_hot(torch.tensor([label]), len(row)).float()):
            z = torch.tensor([row], requires_grad=True)
            value = lt.cross_entropy(z, target)
            torch.testing.assert_close(value, torch.tensor(loss), equal_nan=True)
            torch.testing.assert_close(grad(value, z)[0], torch.tensor([slope]), equal_nan=True)

    def test_a_masked_class_without_a_share_counts_for_nothing(self) -> None:
        z = torch.tensor([0.0, -INF, 1.0], requires_grad=True)
        loss = lt.cross_entropy(z, torch.tensor([0.3, 0.0, 0.7]))
        torch.testing.assert_close(loss, torch.tensor(lk.cross_entropy([0.3, 0, 0.7], logits=[0, -np.inf, 1])).float())
        assert grad(loss, z)[0].isfinite().all()

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_an_ignored_row_is_ignored_even_if_it_is_nan(self, smoothing: float) -> None:
        rows = [[0.0, 1.0], [NAN, 1.0], [1.0, NAN], [NAN, NAN], [-INF, -INF]]
        z = torch.tensor(rows, requires_grad=True)
        loss = lt.cross_entropy(z, torch.tensor([0, -100, -100, -100, -100]), label_smoothing=smoothing)
        loss.backward()
        torch.testing.assert_close(loss, F.cross_entropy(z[:1], torch.tensor([0]), label_smoothing=smoothing))
        assert (z.grad[1:] == 0).all()

    def test_no_weight_no_loss(self) -> None:
        z = torch.tensor([[0.0, -INF]])
        assert lt.cross_entropy(z, torch.tensor([1]), weight=torch.tensor([1.0, 0.0]), reduction="sum") == 0
        x, y = torch.tensor([-INF]), torch.tensor([1.0])
        assert lt.binary_cross_entropy_with_logits(x, y, weight=torch.tensor([0.0])) == 0

    def test_binary_loss_at_infinite_log_odds(self) -> None:
        x = torch.tensor([INF, -INF, -INF, INF])
        y = torch.tensor([1.0, 0.0, 1.0, 0.5])
        losses = lt.binary_cross_entropy_with_logits(x, y, reduction="none")
        assert losses.tolist() == [0.0, 0.0, INF, INF]


def test_input_is_not_changed() -> None:
    for name, pair in ALL.items():
        before = [t.detach().clone() for t in pair.tensors]
        pair.twin(*pair.tensors).sum().backward()
        for tensor, copy in zip(pair.tensors, before, strict=True):
            assert torch.equal(tensor.detach(), copy), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the checks on a GPU did not run")
class TestCuda:
    @pytest.mark.parametrize("name", ALL)
    def test_gives_the_same(self, name: str) -> None:
        pair = ALL[name]
        options = {k: v.cuda() if isinstance(v, Tensor) else v for k, v in pair.options.items()}
        tensors = [t.detach().cuda().requires_grad_(t.requires_grad) for t in pair.tensors]
        Pair(pair.ours, pair.theirs, *tensors, **options).assert_agree(rtol=1e-10)
        there, here = pair.ours(*tensors, **options).cpu(), pair.twin(*pair.tensors)
        torch.testing.assert_close(there, here, rtol=1e-12, atol=1e-14)

    @pytest.mark.parametrize("dtype", accuracy.DTYPES)
    @pytest.mark.parametrize("claim", accuracy.TWINS, ids=lambda claim: claim.name)
    def test_keeps_the_promises(self, claim: accuracy.Claim, dtype: type) -> None:
        with torch.device("cuda"):
            assert claim.worst(dtype, claim.ours) <= claim.promise[dtype]

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_compiles(self, smoothing: float) -> None:
        z, target = logits(64, 10).detach().cuda().requires_grad_(), labels(64, classes=10).cuda()
        loss = partial(lt.cross_entropy, label_smoothing=smoothing)
        eager, compiled = loss(z, target), torch.compile(loss, fullgraph=True)(z, target)
        torch.testing.assert_close(compiled, eager, rtol=1e-12, atol=0)
        torch.testing.assert_close(*(grad(value, z)[0] for value in (compiled, eager)), rtol=1e-12, atol=1e-300)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_autocast_computes_in_float32(self, dtype: torch.dtype) -> None:
        z = torch.tensor([[9.0, 0.0]], device="cuda", dtype=dtype, requires_grad=True)
        layer = torch.tensor([[9.0], [0.0]], device="cuda", requires_grad=True)
        zero, one = torch.tensor([0]).cuda(), torch.ones(1).cuda()
        with torch.autocast("cuda", dtype=dtype):
            losses = [
                lt.cross_entropy(z, zero),
                lt.binary_cross_entropy_with_logits(z[:, 0], one),
                lt.linear_cross_entropy(one[:, None], layer, zero),
            ]
        for loss in losses:
            assert loss.dtype == torch.float32
            torch.testing.assert_close(loss.cpu(), torch.tensor(lk.softplus(-9.0)).float(), rtol=1e-6, atol=0)
        sum(losses).backward()
        assert (z.grad.dtype, layer.grad.dtype) == (dtype, torch.float32)

    def test_a_share_out_of_range_is_no_number(self) -> None:
        x, y = torch.zeros(2).cuda(), torch.tensor([0.5, 1.5]).cuda()
        assert lt.binary_cross_entropy_with_logits(x, y, reduction="none").isnan().tolist() == [False, True]
        assert lt.cross_entropy(x, y).isnan()

    def test_layer_and_loss_never_hold_all_logits(self) -> None:
        rows, classes, width = 65_536, 32_768, 64
        h, layer = (torch.randn(n, width, device="cuda", requires_grad=True) for n in (rows, classes))
        target = torch.randint(classes, (rows,), device="cuda")
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        lt.linear_cross_entropy(h, layer, target).backward()
        extra = torch.cuda.max_memory_allocated() - before
        assert extra < rows * classes * h.element_size() / 4


class TestLargestNumbers:
    """Logits next to the end of their dtype, where a difference overflows, are told from each other and from masks."""

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
    def test_loss_and_gradient(self, dtype: torch.dtype) -> None:
        most = torch.finfo(dtype).max
        for row, loss, slope in (
            ([0.0, most, most / 2], most, [-1.0, 1.0, 0.0]),
            ([-most, -most / 2, -most], most / 2, [-1.0, 1.0, 0.0]),
            ([0.0, -most / 2, -most], 0.0, [0.0, 0.0, 0.0]),
            ([most, most / 2, -INF], 0.0, [0.0, 0.0, 0.0]),
        ):
            for target in (torch.tensor([0]), torch.tensor([[1.0, 0.0, 0.0]], dtype=dtype)):
                z = torch.tensor([row], dtype=dtype, requires_grad=True)
                value = lt.cross_entropy(z, target)
                assert value == loss
                assert grad(value, z)[0].tolist() == [slope]


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


class TestWithoutValues:
    """Tensors that have a shape and no numbers: what a model is laid out, exported and measured with."""

    CALLS: ClassVar[dict[str, Callable[[Tensor], Tensor]]] = {
        "indices": lambda z: lt.cross_entropy(z, z.new_zeros(z.shape[0]).long()),
        "indices, smoothed": lambda z: lt.cross_entropy(z, z.new_zeros(z.shape[0]).long(), label_smoothing=0.1),
        "distributions": lambda z: lt.cross_entropy(z, torch.zeros_like(z)),
        "binary": lambda z: lt.binary_cross_entropy_with_logits(z, torch.zeros_like(z)),
        "linear": lambda z: lt.linear_cross_entropy(z, z.new_ones(4, z.shape[1]), z.new_zeros(z.shape[0]).long()),
        "elementwise": lambda z: (lt.softplus(z) + lt.logit(z) + lt.log1mexp(z)).sum(),
        "rows": lambda z: (lt.log_softmax(z, 1) + lt.class_log_odds(z)).sum(),
    }

    @pytest.mark.parametrize("name", CALLS)
    def test_on_the_meta_device(self, name: str) -> None:
        z = torch.randn(5, CLASSES, device="meta", requires_grad=True)
        loss = self.CALLS[name](z)
        loss.backward()
        assert (loss.shape, loss.device.type, z.grad.shape) == ((), "meta", z.shape)

    @pytest.mark.parametrize("name", CALLS)
    def test_as_fake_tensors_of_a_cpu(self, name: str) -> None:
        with FakeTensorMode():
            z = torch.randn(5, CLASSES, requires_grad=True)
            loss = self.CALLS[name](z)
            loss.backward()
        assert (loss.shape, loss.device.type, z.grad.shape) == ((), "cpu", z.shape)

    @pytest.mark.parametrize("strict", [False, True])
    @pytest.mark.parametrize("name", CALLS)
    def test_exported_graph_takes_batches_of_any_size(self, name: str, strict: bool) -> None:
        class Module(torch.nn.Module):
            def forward(self, z: Tensor) -> Tensor:
                return TestWithoutValues.CALLS[name](z)

        rows = torch.export.Dim("rows", min=2)
        exported = torch.export.export(Module(), (proportions(5, CLASSES),), dynamic_shapes=[{0: rows}], strict=strict)
        for n in (2, 9):
            z = proportions(n, CLASSES)
            torch.testing.assert_close(exported.module()(z), self.CALLS[name](z), equal_nan=True)


class TestDynamicShapes:
    @pytest.mark.parametrize(
        "loss",
        [
            lt.cross_entropy,
            partial(lt.cross_entropy, label_smoothing=0.1),
            lambda z, y: lt.linear_cross_entropy(z, z.new_ones(CLASSES, CLASSES), y),
        ],
        ids=["indices", "indices, smoothed", "linear"],
    )
    def test_a_batch_of_another_size_is_not_compiled_again(self, loss: Callable[..., Tensor]) -> None:
        torch._dynamo.reset()
        backend = CompileCounterWithBackend("aot_eager")
        compiled, graphs = torch.compile(loss, fullgraph=True, backend=backend, dynamic=True), []
        for rows in (4, 5, 8):
            z, y = logits(rows, CLASSES), labels(rows)
            results = [f(z, y) for f in (compiled, loss)]
            torch.testing.assert_close(*results)
            torch.testing.assert_close(*(grad(r, z)[0] for r in results))
            graphs.append(backend.frame_count)
        assert graphs[0] == graphs[-1]


class TestIgnoredBatch:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_has_no_gradient_though_its_mean_is_nan(self, smoothing: float) -> None:
        options = {"label_smoothing": smoothing, "weight": WEIGHT}
        Pair(lt.cross_entropy, F.cross_entropy, logits(2, CLASSES), torch.full((2,), -100), **options).assert_agree()


class TestWholeNumbers:
    @pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64])
    def test_are_refused_where_the_result_would_have_no_digits(self, dtype: torch.dtype) -> None:
        z = torch.zeros(2, CLASSES).to(dtype)
        for call in (
            lt.logit,
            lt.softplus,
            lt.log1mexp,
            lt.class_log_odds,
            lambda z: lt.log_softmax(z, 1),
            lambda z: lt.cross_entropy(z, labels(2)),
            lambda z: lt.binary_cross_entropy_with_logits(z, proportions(2, CLASSES)),
            lambda z: lt.linear_cross_entropy(z, z, torch.zeros(2).long()),
        ):
            with pytest.raises(ValueError, match=f"^input must hold floating-point numbers, not {dtype}"):
                call(z)

    def test_may_be_converted_by_the_call_itself(self) -> None:
        z = torch.tensor([3, 1, 0])
        torch.testing.assert_close(lt.log_softmax(z, 0, torch.float64), F.log_softmax(z, 0, dtype=torch.float64))


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


class TestLimitsOfTheOthers:
    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            ([INF, 0.0, -INF], [INF, -INF, -INF]),
            ([0.0, INF], [-INF, INF]),
            ([INF, INF, 0.0], [NAN, NAN, NAN]),
            ([NAN, INF, 0.0], [NAN, NAN, NAN]),
            ([0.0, NAN], [NAN, NAN]),
            ([-INF, -INF], [NAN, NAN]),
            ([0.0, -INF], [INF, -INF]),
        ],
    )
    def test_log_odds(self, row: list[float], expected: list[float]) -> None:
        torch.testing.assert_close(lt.class_log_odds(torch.tensor(row)), torch.tensor(expected), equal_nan=True)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_an_ignored_row_of_features_does_not_reach_the_layer(self, smoothing: float) -> None:
        layer, target = logits(CLASSES, 2), torch.tensor([1, -100, -100])
        features = torch.tensor([[1.0, 2.0], [NAN, 1.0], [INF, 1.0]], dtype=torch.float64, requires_grad=True)
        loss = lt.linear_cross_entropy(features, layer, target, label_smoothing=smoothing)
        expected = lt.linear_cross_entropy(features[:1], layer, target[:1], label_smoothing=smoothing)
        torch.testing.assert_close(loss, expected)
        of_features, of_layer = grad(loss, [features, layer])
        assert (of_features[1:] == 0).all()
        torch.testing.assert_close(of_layer, grad(expected, layer)[0])
