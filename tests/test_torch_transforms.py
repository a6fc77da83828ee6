"""The twins can be mapped, compiled, exported and traced, and differentiated by transforms."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad, grad, gradcheck
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.testing._internal.two_tensor import TwoTensor

import logitkit.torch as lt
from logitkit import kernels
from tests import oracle
from tests.backends import names_of_kernels
from tests.twins import (
    ALL,
    CLASS_CALLS,
    CLASSES,
    ELEMENTWISE,
    INF,
    ROWS,
    class_pairs,
    distributions,
    doubles,
    labels,
    linear_pairs,
    logits,
    proportions,
)

# Forward mode and the compiler load what PyTorch itself still writes in a deprecated way.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script.*` is deprecated:DeprecationWarning")


Z, LABELS, SHARES, YES = doubles(ROWS, CLASSES), labels(ROWS), distributions(ROWS, CLASSES), proportions(ROWS, CLASSES)
LAYER = doubles(5, CLASSES)
LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "indices": lambda z: lt.cross_entropy(z, LABELS),
    "smoothed": lambda z: lt.cross_entropy(z, LABELS, label_smoothing=0.1),
    "distributions": lambda z: lt.cross_entropy(z, SHARES),
    "binary": lambda z: lt.binary_cross_entropy_with_logits(z, YES),
    "layer": lambda z: lt.linear_cross_entropy(z, LAYER, LABELS),
    "layer, smoothed": lambda z: lt.linear_cross_entropy(z, LAYER, LABELS, label_smoothing=0.1),
    "log_softmax": lambda z: lt.log_softmax(z, 1)[:, 0].sum(),
    "class_log_odds": lambda z: lt.class_log_odds(z).sum(),
}


@pytest.mark.parametrize("name", {**class_pairs(), **linear_pairs(), **ELEMENTWISE})
class TestTransforms:
    @pytest.mark.slow
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


@pytest.mark.skipif(kernels.why_off() is not None, reason=f"the composite computes them: {kernels.why_off()}")
class TestGradientsOfSamples:
    """Kernels compute `torch.vmap(torch.func.grad(loss))`, and give way where more than that is wanted."""

    SAMPLES = 5

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    @pytest.mark.parametrize("name", CLASS_CALLS)
    def test_are_those_of_each(
        self, name: str, reduction: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target, options = CLASS_CALLS[name]
        batch = (3 * doubles(self.SAMPLES, ROWS, CLASSES)).to(dtype)
        targets = torch.stack([target.roll(sample, 0) for sample in range(self.SAMPLES)])
        cotangent = doubles(ROWS) if reduction == "none" else torch.tensor(1.5)

        def slope_by(loss: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
            return torch.func.grad(lambda z, y: (loss(z, y, reduction=reduction, **options) * cotangent).sum())

        theirs = [slope_by(F.cross_entropy)(z.double(), y) for z, y in zip(batch, targets, strict=True)]
        computed, ours = names_of_kernels(monkeypatch), slope_by(lt.cross_entropy)
        for in_dims, out_dim in (((0, 0), 0), ((-1, 1), -1)):
            tensors = [t.movedim(0, dim) for t, dim in zip((batch, targets), in_dims, strict=True)]
            mapped = torch.vmap(ours, in_dims, out_dim)(*tensors)
            expected = torch.stack(theirs, out_dim).to(dtype)
            assert mapped.dtype == dtype
            torch.testing.assert_close(mapped, expected, rtol=1e-12 if dtype == torch.float64 else 2e-3, atol=1e-14)
        one_target = torch.vmap(ours, (0, None))(batch, targets[0])
        torch.testing.assert_close(one_target[0], mapped[..., 0], rtol=0, atol=0)
        torch.testing.assert_close(ours(batch[0], targets[0]), mapped[..., 0], rtol=0, atol=0)
        assert len(computed) == 4

    def test_keep_their_digits(self) -> None:
        z, y = torch.tensor([[40.3, 0.0, -1.7], [-40.3, 0.1, 0.7], [85.0, 0.0, 0.0]]), torch.tensor([0, 1, 0])
        losses = torch.vmap(lt.cross_entropy)(z, y)
        slopes, values = torch.vmap(torch.func.grad_and_value(lt.cross_entropy))(z, y)
        torch.testing.assert_close(values, losses, rtol=1e-6, atol=0)
        for row, label, slope in zip(z, y, slopes, strict=True):
            target, exact = oracle.one_hot(int(label), 3), oracle.exact(row.numpy())
            assert oracle.ulps(slope.numpy(), oracle.cross_entropy_grad(target, exact)).max() < 3

    def test_losses_beyond_float32_are_inf_without_a_warning(self) -> None:
        z, y = torch.tensor([[3e38, -3e38]]), torch.tensor([[1]])
        slopes, values = torch.vmap(torch.func.grad_and_value(lt.cross_entropy))(z[None], y)
        assert (values.tolist(), slopes.tolist()) == ([INF], [[[1, -1]]])

    def test_of_no_class_are_no_number(self) -> None:
        y = torch.stack([LABELS, LABELS])
        y[1, 2] = CLASSES
        slopes = torch.vmap(torch.func.grad(lambda z, y: lt.cross_entropy(z, y, reduction="sum")))(
            0.1 * y[..., None] + Z, y
        )
        expected = torch.zeros(2, ROWS, dtype=torch.bool)
        expected[1, 2] = True
        assert (slopes.isnan().all(-1) == expected).all()

    @pytest.mark.parametrize("shape", [(2, 3, 0), (2, 0, 3), (0, 2, 3)])
    def test_of_nothing_are_empty(self, shape: tuple[int, ...]) -> None:
        z, ignored = torch.zeros(shape), torch.full(shape[:-1], -100)
        slopes, values = torch.vmap(torch.func.grad_and_value(partial(lt.cross_entropy, reduction="sum")))(z, ignored)
        assert (slopes.shape, values.tolist()) == (shape, [0] * shape[0])

    def test_can_be_differentiated(self) -> None:
        batch, targets = doubles(self.SAMPLES, ROWS, CLASSES), labels(self.SAMPLES, ROWS)
        shares = torch.softmax(doubles(self.SAMPLES, ROWS, CLASSES, seed=4), -1)
        func, vmap, results = torch.func, torch.vmap, []
        for loss in (lt.cross_entropy, F.cross_entropy):
            slopes = vmap(func.grad(loss))
            leaf = batch.clone().requires_grad_()
            _, pull = func.vjp(lambda z, loss=loss: loss(z, LABELS, reduction="none"), Z)
            results.append(
                {
                    "by autograd": grad((slopes(leaf, targets) ** 2).sum(), leaf)[0],
                    "by grad": func.grad(lambda z, slopes=slopes: (slopes(z, targets) ** 2).sum())(batch),
                    "mapped Hessians": vmap(func.hessian(loss))(batch, targets),
                    "mapped, reversed twice": vmap(func.jacrev(func.jacrev(loss)))(batch, targets),
                    "mapped twice": vmap(vmap(func.grad(loss)))(batch, targets),
                    "of a mapped loss": func.grad(lambda z, loss=loss: vmap(loss)(z, targets).sum())(batch),
                    "one prediction": vmap(func.grad(loss), (None, 0))(Z, targets),
                    "of the target": vmap(func.grad(loss, argnums=(0, 1)))(batch, shares),
                    "with a weight each": vmap(func.grad(loss))(batch, targets, batch.exp()[:, 0]),
                    "many cotangents": vmap(pull)(doubles(3, ROWS)),
                    "of the cotangent": func.jacrev(lambda g, pull=pull: pull(g)[0])(doubles(ROWS)),
                }
            )
        torch.testing.assert_close(*results, rtol=1e-11, atol=1e-13)

    @pytest.mark.parametrize("frozen", [True, False])
    def test_of_a_network_are_computed_by_a_kernel_unless_its_parameters_want_more(
        self, frozen: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        net, x, y = torch.nn.Linear(2, CLASSES).double(), doubles(self.SAMPLES, 2), labels(self.SAMPLES)
        parameters = {name: p.detach() if frozen else p for name, p in net.named_parameters()}
        computed, results = names_of_kernels(monkeypatch), []
        for loss in (lt.cross_entropy, F.cross_entropy):

            def of_sample(parameters: dict[str, Tensor], x: Tensor, y: Tensor, loss: Any = loss) -> Tensor:
                return loss(torch.func.functional_call(net, parameters, (x,)), y)

            results.append(torch.vmap(torch.func.grad(of_sample), (None, 0, 0))(parameters, x, y))
            if not frozen:
                results.append(grad(sum((g**2).sum() for g in results.pop().values()), list(net.parameters())))
        torch.testing.assert_close(*results, rtol=1e-11, atol=1e-13)
        assert len(computed) == frozen


def test_transforms_do_without_kernels_where_pytorch_has_other_names() -> None:
    code = """import sys, torch
sys.modules["torch._functorch.utils"] = None
import logitkit.torch as lt
print(torch.func.grad(lt.cross_entropy)(torch.zeros(2), torch.tensor(0)).tolist())"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[-0.5, 0.5]\n", "")


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

    @pytest.mark.slow
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
    @pytest.mark.slow
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", [-40.0, -17.0, -1.0, 0.0, 2.5, 17.0, 40.0])
@pytest.mark.parametrize("kind", ["indices", "distributions", "smoothed", "binary"])
def test_second_derivatives_keep_their_digits(kind: str, margin: float, dtype: torch.dtype) -> None:
    calls: dict[str, Callable[[Tensor], Tensor]] = {
        "indices": lambda z: lt.cross_entropy(z, torch.tensor([0])),
        "distributions": lambda z: lt.cross_entropy(z, torch.tensor([[0.25, 0.75]], dtype=dtype)),
        "smoothed": lambda z: lt.cross_entropy(z, torch.tensor([0]), label_smoothing=0.25),
        "binary": lambda z: lt.binary_cross_entropy_with_logits(z[0, :1] - z[0, 1:], torch.ones(1, dtype=dtype)),
    }
    z = torch.tensor([[margin, 0.0]], dtype=dtype)
    hessian = torch.func.hessian(calls[kind])(z).reshape(2, 2)
    p = oracle.expit(oracle.exact(margin)[0])
    exact = p * (1 - p)
    assert oracle.ulps(hessian.numpy(), [exact, -exact, -exact, exact]).max() < 16


def test_second_derivative_at_a_certain_class_is_zero() -> None:
    for row in ([INF, 0.0], [0.0, -INF]):
        for target in (torch.tensor([0]), torch.tensor([[1.0, 0.0]])):
            hessian = torch.func.hessian(lambda z, t=target: lt.cross_entropy(z, t))(torch.tensor([row]))
            assert (hessian == 0).all()


@pytest.mark.parametrize("name", LOSSES)
class TestEveryTransform:
    def test_forward_mode(self, name: str) -> None:
        loss, direction = LOSSES[name], doubles(ROWS, CLASSES, seed=3)
        z = Z.clone().requires_grad_()
        expected = (grad(loss(z), z)[0] * direction).sum()
        torch.testing.assert_close(torch.func.jvp(loss, (Z,), (direction,))[1], expected, rtol=1e-12, atol=1e-14)
        with forward_ad.dual_level():
            tangent = forward_ad.unpack_dual(loss(forward_ad.make_dual(Z, direction))).tangent
        torch.testing.assert_close(tangent, expected, rtol=1e-12, atol=1e-14)

    def test_many_cotangents_at_once(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("logitkit.torch._blocks.CPU_BLOCK", 4)
        monkeypatch.setattr("logitkit.torch.linear.BLOCK", 5)
        gradcheck(LOSSES[name], (Z.clone().requires_grad_(),), check_batched_grad=True, check_forward_ad=True)

    @pytest.mark.parametrize("mode", ["real", "fake"])
    def test_traced_graph_computes_the_same(self, name: str, mode: str) -> None:
        slope = torch.func.grad(LOSSES[name])
        graph = make_fx(slope, tracing_mode="real")(0.5 * Z) if mode == "real" else make_fx(LOSSES[name])(0.5 * Z)
        expected = slope(Z) if mode == "real" else LOSSES[name](Z)
        torch.testing.assert_close(graph(Z), expected, rtol=1e-12, atol=1e-14)

    def test_functionalized(self, name: str) -> None:
        slope = torch.func.grad(LOSSES[name])
        torch.testing.assert_close(torch.func.functionalize(slope)(Z), slope(Z), rtol=1e-12, atol=1e-14)

    @pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore::torch.jit.TracerWarning")
    def test_traced_module_can_be_saved(self, name: str, tmp_path: Path) -> None:
        if name == "smoothed":
            pytest.skip("the deprecated tracer makes float32 of a class's share; the page of edge cases says so")

        class Module(torch.nn.Module):
            def forward(self, z: Tensor) -> Tensor:
                return LOSSES[name](z)

        torch.jit.save(torch.jit.trace(Module(), (0.5 * Z,)), tmp_path / "module.pt")
        slopes = []
        for loss in (torch.jit.load(tmp_path / "module.pt"), LOSSES[name]):
            z = Z.clone().requires_grad_()
            slopes.append(grad(loss(z), z)[0])
        torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-14)

    def test_modes_see_the_call_itself(self, name: str) -> None:
        class Mode(TorchFunctionMode):
            seen: ClassVar[list[Any]] = []

            def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                self.seen.append(func)
                return func(*args, **(kwargs or {}))

        with Mode():
            value = LOSSES[name](Z)
        assert value == LOSSES[name](Z)
        assert Mode.seen[0] in [getattr(lt, twin) for twin in lt.__all__]

    def test_no_sample_at_all(self, name: str) -> None:
        none = torch.zeros(0, ROWS, CLASSES, dtype=torch.float64)
        assert torch.vmap(LOSSES[name])(none).shape == (0,)
        assert torch.vmap(torch.func.grad(LOSSES[name]))(none).shape == none.shape

    def test_logits_may_be_overwritten_before_the_backward_pass(self, name: str) -> None:
        leaf = Z.clone().requires_grad_()
        expected = grad(LOSSES[name](leaf), leaf)[0]
        copy = leaf * 1
        loss = LOSSES[name](copy)
        if "layer" not in name:  # a product of matrices needs its operands
            with torch.no_grad():
                copy.zero_()
        torch.testing.assert_close(grad(loss, leaf)[0], expected)

    def test_subclasses_are_kept(self, name: str) -> None:
        class Named(Tensor):
            pass

        assert type(LOSSES[name](Z.as_subclass(Named))) is Named

    def test_wrappers_compute_what_they_wrap(self, name: str) -> None:
        both = LOSSES[name](TwoTensor(Z, 2 * Z))
        torch.testing.assert_close(both.a, LOSSES[name](Z))
        torch.testing.assert_close(both.b, LOSSES[name](2 * Z))


@pytest.mark.parametrize("name", ["distributions", "binary", "layer"])
def test_wrapped_target_of_plain_logits_is_not_lost(name: str) -> None:
    calls: dict[str, Callable[[Tensor], Tensor]] = {
        "distributions": lambda y: lt.cross_entropy(Z, y, label_smoothing=0.1),
        "binary": lambda y: lt.binary_cross_entropy_with_logits(Z, y),
        "layer": lambda w: lt.linear_cross_entropy(Z, w, LABELS),
    }
    first, second = (LAYER, 2 * LAYER) if name == "layer" else (SHARES, SHARES.flip(1))
    both = calls[name](TwoTensor(first, second))
    torch.testing.assert_close(both.a, calls[name](first))
    torch.testing.assert_close(both.b, calls[name](second))


def test_module_with_a_loss_can_be_traced_symbolically() -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss = lt.CrossEntropyLoss(label_smoothing=0.1)

        def forward(self, z: Tensor, y: Tensor) -> Tensor:
            return self.loss(2 * z, y)

    traced = torch.fx.symbolic_trace(Model())
    torch.testing.assert_close(traced(Z, labels(ROWS)), Model()(Z, labels(ROWS)))


@pytest.mark.slow
def test_compiled_by_the_default_backend_they_keep_their_digits() -> None:
    # Its code for vectors turns expm1 into a difference, and atanh into one of logarithms.
    functions = (lt.log1mexp, lt.logit, lt.softplus)
    xs = [torch.full((64,), value) for value in (-1e-8, 0.4999999, -30.0)]
    z = torch.zeros(2, 64, requires_grad=True)
    with torch.no_grad():
        z[:, 0] = 30.0

    def results(xs: list[Tensor], z: Tensor) -> tuple[list[Tensor], Tensor]:
        return [f(x) for f, x in zip(functions, xs, strict=True)], lt.cross_entropy(z, torch.tensor([0, 0]))

    got, loss = torch.compile(results, fullgraph=True)(xs, z)
    for each, x, exact in zip(got, xs, (oracle.log1mexp, oracle.logit, oracle.softplus), strict=True):
        assert oracle.ulps(each.numpy()[:1], [exact(oracle.exact(x.numpy()[:1])[0])])[0] < 4
    exact = oracle.cross_entropy(oracle.one_hot(0, 64), oracle.exact(z.detach().numpy()[0]))
    assert oracle.ulps(loss.detach().numpy()[None], [exact])[0] < 6
    assert (grad(loss, z)[0][:, 0] < 0).all()
