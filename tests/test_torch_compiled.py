"""Compiled code calls the kernels of a CPU, and keeps all promises; tracers and transforms see the composites."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend, EagerAndRecordGraphs
from torch.autograd import forward_ad, grad
from torch.testing._internal.two_tensor import TwoTensor

import logitkit.torch as lt
from logitkit import kernels
from logitkit.torch import _operators
from tests import oracle
from tests.accuracy.floors import last_place_of_operands
from tests.twins import (
    CLASSES,
    ELEMENTWISE,
    INF,
    ROWS,
    WEIGHT,
    Pair,
    class_pairs,
    distributions,
    labels,
    logits,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        kernels.why_off() is not None, reason=f"without kernels the compiler sees the composite: {kernels.why_off()}"
    ),
    pytest.mark.skipif(
        torch.__version__ < _operators.OLDEST_TORCH,
        reason="an older compiler sees the composite: it can't say that it exports or maps",
    ),
    # The compiler loads what PyTorch itself still writes in a deprecated way.
    pytest.mark.filterwarnings("ignore:`torch.jit.script.*` is deprecated:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _operators_for_all_sizes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_operators, "WORTH_AN_OPERATOR", 0)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def fixed(pair: Pair) -> Pair:
    """Return a pair of which only the logits need a derivative."""
    first, *others = pair.tensors
    return Pair(pair.ours, pair.theirs, first, *(t.detach() for t in others), **pair.options)


PAIRS = {
    **{f"{name}, mean": fixed(pair) for name, pair in class_pairs("mean").items()},
    **{
        f"{name}, none": fixed(class_pairs("none")[name])
        for name in ("indices, some ignored", "distributions, smoothed, weighted", "binary, both")
    },
    "indices, sum": fixed(class_pairs("sum")["indices, weighted"]),
    "binary, sum": fixed(class_pairs("sum")["binary, both"]),
    "one row": Pair(lt.cross_entropy, F.cross_entropy, logits(CLASSES), torch.tensor(1)),
    "one row, none": Pair(lt.cross_entropy, F.cross_entropy, logits(CLASSES), torch.tensor(1), reduction="none"),
    "pixels": Pair(lt.cross_entropy, F.cross_entropy, logits(2, CLASSES, 5), labels(2, 5), weight=WEIGHT),
    "pixels, none": Pair(
        lt.cross_entropy, F.cross_entropy, logits(2, CLASSES, 5, 2), distributions(2, CLASSES, 5, 2), reduction="none"
    ),
    "no rows": Pair(lt.cross_entropy, F.cross_entropy, logits(0, CLASSES), labels(0), reduction="sum"),
    "a single log-odds": Pair(
        lt.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, logits(), torch.tensor(0.25).double()
    ),
    **{name: ELEMENTWISE[name] for name in ("logit", "logit, clamped", "softplus")},
}  # fmt: skip


def operators_in(function: Callable[..., Any], *tensors: Any) -> list[str]:
    """Return the operators of ours in what a compiler makes of a call."""
    recorder = EagerAndRecordGraphs()
    torch._dynamo.reset()
    torch.compile(function, backend=recorder)(*tensors)
    return [str(n.target) for g in recorder.graphs for n in g.graph.nodes if str(n.target).startswith("logitkit")]


@pytest.mark.parametrize("name", PAIRS)
class TestOperators:
    def test_are_what_compiled_code_calls(self, name: str) -> None:
        assert len(operators_in(PAIRS[name].twin, *PAIRS[name].tensors)) == 1

    def test_agree_with_pytorch(self, name: str) -> None:
        pair = PAIRS[name]
        compiled = torch.compile(pair.ours, fullgraph=True, backend="aot_eager")
        Pair(compiled, pair.theirs, *pair.tensors, **pair.options).assert_agree()

    def test_can_be_differentiated_again_where_compiled_code_can(self, name: str) -> None:
        pair = PAIRS[name]
        first, *others = pair.tensors
        results = []
        for function in (torch.compile(pair.ours, fullgraph=True, backend="eager"), pair.theirs):
            value = function(first, *others, **pair.options)
            (slope,) = grad(value, first, torch.ones_like(value), create_graph=True)
            results.append(grad((slope * slope).sum(), first)[0])
        torch.testing.assert_close(*results, rtol=1e-10, atol=1e-14)

    def test_are_described_as_they_are(self, name: str) -> None:
        """PyTorch's own check of schemas, and of shapes, dtypes and layouts that a compiler is told beforehand."""
        pair, calls = PAIRS[name], []
        with pytest.MonkeyPatch.context() as patch:
            for function in (
                lt.losses._CROSS_ENTROPY,
                lt.losses._BINARY_CROSS_ENTROPY,
                lt.links._LOGIT,
                lt.links._SOFTPLUS,
            ):
                both = function.both
                patch.setattr(function, "operator", lambda *a, both=both: calls.append((both, a)) or both(*a, True)[0])
            patch.setattr(_operators, "is_worth_an_operator", lambda *tensors: True)
            pair.twin(*(t.detach() for t in pair.tensors))
        ((both, arguments),) = calls
        for wanted in (True, False):
            torch.library.opcheck(both, (*arguments, wanted), test_utils=("test_schema", "test_faketensor"))


def with_default_backend(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return torch.compile(function, fullgraph=True)


class TestDigits:
    """The promises, with PyTorch's default compiler."""

    MARGINS = (-80.0, -17.0, -1.0, 0.0, 2.5, 17.0, 40.0)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_losses_of_classes(self, dtype: torch.dtype) -> None:
        z = torch.tensor([[m, 0.25, -1.0] for m in self.MARGINS], dtype=dtype, requires_grad=True)
        y = torch.zeros(7).long()
        goal = torch.tensor([0.25, 0.5, 0.25], dtype=dtype).expand(7, 3)

        def losses(z: Tensor) -> tuple[Tensor, ...]:
            return (
                lt.cross_entropy(z, y, reduction="none"),
                lt.cross_entropy(z, y, reduction="none", label_smoothing=0.25),
                lt.cross_entropy(z, goal, reduction="none"),
            )

        targets = oracle.one_hot(0, 3), oracle.smoothed(oracle.one_hot(0, 3), 0.25), oracle.exact([0.25, 0.5, 0.25])
        for result, target in zip(with_default_backend(losses)(z), targets, strict=True):
            rows = [oracle.exact(row) for row in z.detach().numpy()]
            assert oracle.ulps(result.detach().numpy(), [oracle.cross_entropy(target, row) for row in rows]).max() < 3
            slopes = grad(result.sum(), z, retain_graph=True)[0].numpy()
            for slope, row, given in zip(slopes, rows, z.detach().numpy(), strict=True):
                expected, shares = oracle.cross_entropy_grad(target, row), np.array(target, float)
                floors = None if 1 in target else last_place_of_operands(given.dtype.type, expected, given, shares)
                assert oracle.ulps(slope, expected, floors).max() < 6

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_functions_of_log_odds(self, dtype: torch.dtype) -> None:
        x = torch.tensor(self.MARGINS, dtype=dtype, requires_grad=True)
        p = torch.tensor([0.4999999, 0.9, 1e-12], dtype=dtype)
        y = torch.ones(7, dtype=dtype)

        def results(x: Tensor, p: Tensor) -> tuple[Tensor, ...]:
            return lt.binary_cross_entropy_with_logits(x, y, reduction="none"), lt.softplus(x), lt.logit(p)

        loss, soft, log_odds = with_default_backend(results)(x, p)
        exact = oracle.exact(x.detach().numpy())
        for result, value, slope in (
            (loss, [oracle.softplus(-e) for e in exact], [-oracle.expit(-e) for e in exact]),
            (soft, [oracle.softplus(e) for e in exact], [oracle.expit(e) for e in exact]),
        ):
            assert oracle.ulps(result.detach().numpy(), value).max() < 3
            assert oracle.ulps(grad(result.sum(), x, retain_graph=True)[0].numpy(), slope).max() < 3
        assert oracle.ulps(log_odds.detach().numpy(), [oracle.logit(e) for e in oracle.exact(p.numpy())]).max() < 3

    def test_half_precision_is_rounded_once(self) -> None:
        z = torch.tensor([[9.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)
        loss = torch.compile(lt.cross_entropy, fullgraph=True, backend="aot_eager")(z, torch.tensor([0]))
        exact = oracle.exact([9.0])[0]
        assert loss == torch.tensor(float(oracle.softplus(-exact))).bfloat16()
        assert grad(loss, z)[0][0, 0] == torch.tensor(-float(oracle.expit(-exact))).bfloat16()

    def test_autocast_computes_in_float32(self) -> None:
        z = torch.tensor([[9.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)

        def loss_of(z: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return lt.cross_entropy(z, torch.tensor([0]))

        loss = torch.compile(loss_of, fullgraph=True, backend="aot_eager")(z)
        assert (loss.dtype, grad(loss, z)[0].dtype) == (torch.float32, torch.bfloat16)
        assert oracle.ulps(loss.detach().numpy()[None], [oracle.softplus(oracle.exact([-9.0])[0])])[0] < 2


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (lt.cross_entropy, torch.tensor([0, CLASSES, -1, -100])),
        (partial(lt.cross_entropy, label_smoothing=0.1), torch.tensor([0, 7, -1, -100])),
        (lt.cross_entropy, torch.tensor([[0.5, 0.5, 0], [0.5, 1.75, 0], [-0.5, 0.5, 1], [0, 0, 0]]).double()),
    ],
    ids=["indices", "smoothed", "distributions"],
)  # fmt: skip
def test_a_target_without_meaning_is_nan(loss: Callable[..., Tensor], target: Tensor, backend: str) -> None:
    z = logits(4, CLASSES)
    losses = torch.compile(loss, fullgraph=True, backend=backend)(z, target, reduction="none")
    assert losses.isnan().tolist() == [False, True, True, False]
    torch.testing.assert_close(losses[[0, 3]], loss(z[[0, 3]], target[[0, 3]], reduction="none"))
    (slopes,) = grad(losses.sum(), z)
    assert slopes.isnan().any(1).tolist() == [False, True, True, False]
    assert torch.compile(loss, fullgraph=True, backend=backend)(z, target).isnan()


def test_a_proportion_outside_its_range_is_nan() -> None:
    x, y = logits(3), torch.tensor([0.5, 1.5, -0.5]).double()
    losses = torch.compile(lt.binary_cross_entropy_with_logits, backend="aot_eager")(x, y, reduction="none")
    assert losses.isnan().tolist() == grad(losses.sum(), x)[0].isnan().tolist() == [False, True, True]


def test_rows_that_a_kernel_leaves_are_computed() -> None:
    z = torch.tensor([[INF, 0.0], [0.0, -INF], [0.0, INF]], requires_grad=True)
    loss = torch.compile(lt.cross_entropy, fullgraph=True, backend="aot_eager")(
        z, torch.zeros(3).long(), reduction="none"
    )
    assert loss.tolist() == [0, 0, INF]
    assert grad(loss.sum(), z)[0].tolist() == [[0, 0], [0, 0], [-1, 1]]


def test_the_backward_pass_can_be_repeated() -> None:
    z, y = logits(ROWS, CLASSES), labels(ROWS)
    loss = torch.compile(lt.cross_entropy, fullgraph=True, backend="aot_eager")(z, y)
    expected = grad(lt.cross_entropy(z, y), z)[0]
    for _ in range(2):
        torch.testing.assert_close(grad(loss, z, retain_graph=True)[0], expected, rtol=1e-12, atol=0)


class TestShapes:
    def test_a_batch_of_another_size_is_not_compiled_again(self) -> None:
        backend, graphs = CompileCounterWithBackend("aot_eager"), []
        compiled = torch.compile(lt.cross_entropy, fullgraph=True, backend=backend, dynamic=True)
        for rows in (4, 5, 8):
            z, y = logits(rows, CLASSES), labels(rows)
            torch.testing.assert_close(compiled(z, y), F.cross_entropy(z, y), rtol=1e-12, atol=0)
            graphs.append(backend.frame_count)
        assert graphs[0] == graphs[-1]

    @pytest.mark.parametrize("name", ["indices", "binary"])
    def test_may_depend_on_values(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_operators, "WORTH_AN_OPERATOR", 1 << 10)
        z, y, chosen = logits(ROWS, CLASSES), labels(ROWS), torch.tensor([True, False, True, True])

        def loss_of(z: Tensor, chosen: Tensor) -> Tensor:
            if name == "indices":
                return lt.cross_entropy(z[chosen], y[chosen])
            return lt.binary_cross_entropy_with_logits(z[chosen], torch.ones_like(z)[chosen])

        with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
            loss = torch.compile(loss_of, fullgraph=True, backend="aot_eager")(z, chosen)
        torch.testing.assert_close(loss, loss_of(z, chosen), rtol=1e-12, atol=0)

    def test_a_small_batch_is_the_compilers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_operators, "WORTH_AN_OPERATOR", 1 << 10)
        for rows, calls in ((ROWS, 0), (1 << 10, 1)):
            assert len(operators_in(lt.cross_entropy, logits(rows, CLASSES), labels(rows))) == calls


Z, Y = logits(ROWS, CLASSES).detach(), labels(ROWS)
SHARES = distributions(ROWS, CLASSES)


def loss_of(z: Tensor) -> Tensor:
    return lt.cross_entropy(z, Y) + lt.binary_cross_entropy_with_logits(z, SHARES)


def forward_mode(z: Tensor) -> Tensor:
    with forward_ad.dual_level():
        tangent: Tensor = forward_ad.unpack_dual(loss_of(forward_ad.make_dual(z, z))).tangent
        return tangent


class TestComposites:
    """What isn't ordinary sees the composite, whose parts PyTorch knows how to map, transform and store."""

    @pytest.mark.parametrize(
        "function",
        [
            torch.vmap(lambda row: lt.cross_entropy(row[None], Y[:1])),
            torch.func.grad(loss_of),
            lambda z: torch.func.jvp(loss_of, (z,), (z,))[1],
            torch.func.hessian(loss_of),
            forward_mode,
        ],
        ids=["vmap", "grad", "jvp", "hessian", "forward mode"],
    )
    def test_for_transforms(self, function: Callable[[Tensor], Tensor]) -> None:
        assert not operators_in(function, Z)
        torch.testing.assert_close(torch.compile(function, backend="aot_eager")(Z), function(Z), rtol=1e-12, atol=1e-14)

    def test_for_wrappers(self) -> None:
        assert not operators_in(loss_of, TwoTensor(Z, 2 * Z))

    def test_for_targets_with_a_derivative(self) -> None:
        assert not operators_in(lt.cross_entropy, Z, SHARES.clone().requires_grad_())

    def test_for_targets_in_a_wider_dtype(self) -> None:
        assert not operators_in(lt.binary_cross_entropy_with_logits, Z.float(), SHARES)

    def test_without_kernels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kernels, "why_off", lambda: "a test asks for the formulas")
        assert not operators_in(loss_of, Z)

    @pytest.mark.parametrize("strict", [False, True])
    def test_for_export(self, strict: bool) -> None:
        class Module(torch.nn.Module):
            def forward(self, z: Tensor) -> Tensor:
                return loss_of(z)

        exported = torch.export.export(Module(), (Z,), strict=strict)
        assert all("logitkit" not in str(node.target) for node in exported.graph.nodes)
        torch.testing.assert_close(exported.module()(Z), loss_of(Z), rtol=1e-12, atol=0)
