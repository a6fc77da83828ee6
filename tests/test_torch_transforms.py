"""The twins can be differentiated, mapped, compiled, exported and traced."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import grad, gradcheck, gradgradcheck

import logitkit.torch as lt
from tests.twins import (
    ALL,
    CLASSES,
    ELEMENTWISE,
    ROWS,
    class_pairs,
    doubles,
    labels,
    linear_pairs,
    logits,
    proportions,
)


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
