"""Layer and loss in one: what is computed when, what a backward pass may ask for, soft-capping and z-loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import logitkit.torch as lt
from logitkit import kernels
from logitkit.torch import linear
from tests import oracle
from tests.backends import backend  # noqa: F401
from tests.cases import refuses
from tests.gathered import each
from tests.twins import CLASS_CALLS, CLASSES, INF, NAN, ROWS, doubles, labels, logits

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script.*` is deprecated:DeprecationWarning")

WIDTH, SEVERAL = 5, 11
PRODUCTS = {"aten::mm", "aten::addmm", "aten::addmm_"}
OPTIONS: dict[str, dict[str, Any]] = {
    "softcap": {"softcap": 2.0},
    "z-loss": {"z_loss": 0.3},
    "both": {"softcap": 5.0, "z_loss": 0.01},
}


def draw(dtype: torch.dtype = torch.float64, rows: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    shapes = (rows, WIDTH), (SEVERAL, WIDTH), (SEVERAL,)
    return tuple(doubles(*shape, seed=i).to(dtype).requires_grad_() for i, shape in enumerate(shapes))


def written_out(
    features: Tensor,
    layer: Tensor,
    target: Tensor,
    linear_bias: Tensor | None = None,
    softcap: float | None = None,
    z_loss: float = 0.0,
    reduction: str = "mean",
    **options: Any,
) -> Tensor:
    """The losses as their papers write them, all logits at once."""
    z = F.linear(features, layer, linear_bias)
    z = z if softcap is None else softcap * torch.tanh(z / softcap)
    squares = z.logsumexp(-1) ** 2
    if not target.is_floating_point():
        squares = squares * (target != options.get("ignore_index", -100))
    if reduction == "mean":
        kept = len(z) if target.is_floating_point() else (target != options.get("ignore_index", -100)).sum()
        squares = squares.sum() / kept
    elif reduction == "sum":
        squares = squares.sum()
    return F.cross_entropy(z, target, reduction=reduction, **options) + z_loss * squares


def gradients(loss: Tensor, leaves: Any, *cotangent: Tensor, **options: Any) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, leaves, *cotangent, **options)


def work_of_products(call: Callable[[], Any]) -> int:
    with torch.profiler.profile(record_shapes=True) as profile:
        call()
    events = [(event.name, event.input_shapes) for event in profile.events()]
    operands = [shapes[:2] if name == "aten::mm" else shapes[1:3] for name, shapes in events if name in PRODUCTS]
    return sum(a[0] * a[1] * b[1] for a, b in operands)


class TestProducts:
    """Each is of rows x classes x features; PyTorch, with all logits stored, needs three."""

    def count(self, loss_of: Callable[..., Tensor], *wanted: bool, grad: bool = True) -> float:
        leaves = [t.detach().requires_grad_(w) for t, w in zip(draw(rows=64)[:2], wanted, strict=True)]

        def call() -> None:
            loss = loss_of(*leaves, labels(64, classes=SEVERAL))
            if grad:
                loss.backward()

        return work_of_products(call) / (64 * SEVERAL * WIDTH)

    def test_as_many_as_with_all_logits_stored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(linear, "BLOCK", 10 * SEVERAL)
        for loss_of in (F.linear_cross_entropy, lt.linear_cross_entropy):
            assert self.count(loss_of, True, True) == 3
            assert self.count(loss_of, False, True) == 2
            assert self.count(loss_of, True, False) == 2

    def test_one_where_no_gradient_is_asked_for(self) -> None:
        assert self.count(lt.linear_cross_entropy, False, False, grad=False) == 1
        with torch.no_grad():
            assert self.count(lt.linear_cross_entropy, True, True, grad=False) == 1
        with torch.inference_mode():
            assert self.count(lt.linear_cross_entropy, True, True, grad=False) == 1


class TestBackwardPasses:
    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    def test_they_can_be_repeated(self, reduction: str) -> None:
        leaves, target = draw(), labels(9, classes=SEVERAL)
        loss = lt.linear_cross_entropy(*leaves[:2], target, linear_bias=leaves[2], reduction=reduction)
        expected = written_out(*leaves[:2], target, leaves[2], reduction=reduction)
        for seed in range(3):
            cotangent = doubles(*loss.shape, seed=seed)
            got = gradients(loss, leaves, cotangent, retain_graph=True)
            torch.testing.assert_close(got, gradients(expected, leaves, cotangent, retain_graph=True))

    def test_gradients_that_were_returned_stay_as_they_are(self) -> None:
        leaves = draw()[:2]
        loss = lt.linear_cross_entropy(*leaves, labels(9, classes=SEVERAL))
        first = gradients(loss, leaves, retain_graph=True)
        copies = [g.clone() for g in first]
        gradients(loss, leaves, torch.tensor(3.0, dtype=torch.float64))
        torch.testing.assert_close(list(first), copies)

    def test_only_what_needs_a_gradient_gets_one(self) -> None:
        target = labels(9, classes=SEVERAL)
        full = draw()
        expected = gradients(written_out(*full[:2], target, full[2]), full)
        for place in range(3):
            leaves = [t.detach().requires_grad_(i == place) for i, t in enumerate(draw())]
            lt.linear_cross_entropy(*leaves[:2], target, linear_bias=leaves[2]).backward()
            assert [leaf.grad is None for leaf in leaves] == [i != place for i in range(3)]
            torch.testing.assert_close(leaves[place].grad, expected[place])

    def test_only_what_needs_a_second_gradient_gets_one(self) -> None:
        target = labels(4, classes=SEVERAL)
        for place in range(2):
            leaves = [t.detach().requires_grad_(i == place) for i, t in enumerate(draw(rows=4)[:2])]
            seconds = []
            for loss_of in (lt.linear_cross_entropy, written_out):
                (first,) = gradients(loss_of(*leaves, target), leaves[place], create_graph=True)
                seconds.append(gradients((first**2).sum(), leaves[place]))
            torch.testing.assert_close(*seconds)

    @pytest.mark.parametrize("reduction", ["mean", "none"])
    def test_one_through_another(self, reduction: str) -> None:
        leaves, target = draw(rows=4), labels(4, classes=SEVERAL)

        def loss_of(h: Tensor, w: Tensor, b: Tensor) -> Tensor:
            return lt.linear_cross_entropy(h, w, target, linear_bias=b, reduction=reduction, softcap=3.0, z_loss=0.1)

        gradcheck(loss_of, leaves, check_batched_grad=True, check_forward_ad=True)
        gradgradcheck(loss_of, leaves)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_scaled_loss_of_narrow_operands(self, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(linear, "BLOCK", 16 * SEVERAL)
        leaves, target = draw(dtype, rows=600), labels(600, classes=SEVERAL)
        wide = [leaf.detach().double().requires_grad_() for leaf in leaves]
        scale = torch.tensor(2.0**12)
        loss = lt.linear_cross_entropy(*leaves[:2], target, linear_bias=leaves[2])
        assert loss.dtype == torch.float32
        got = gradients(scale * loss, leaves)
        expected = gradients(scale * written_out(*wide[:2], target, wide[2]), wide)
        for g, e in zip(got, expected, strict=True):
            assert g.dtype == dtype
            torch.testing.assert_close(g.double(), e, rtol=4 * torch.finfo(dtype).eps, atol=1e-2 * e.abs().max().item())

    def test_gradients_of_many_blocks_are_added_up_in_float32(self, monkeypatch: pytest.MonkeyPatch) -> None:
        leaves, target = draw(torch.bfloat16, rows=600), labels(600, classes=SEVERAL)
        got = []
        for rows in (2, 600):
            monkeypatch.setattr(linear, "BLOCK", rows * SEVERAL)
            got.append(gradients(lt.linear_cross_entropy(*leaves[:2], target, linear_bias=leaves[2]), leaves))
        torch.testing.assert_close(*got, rtol=torch.finfo(torch.bfloat16).eps, atol=0)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_products_of_narrow_operands_are_wide_on_a_cpu(self, dtype: torch.dtype) -> None:
        features, weight, _ = (t.detach() for t in draw(dtype))
        losses = [
            lt.linear_cross_entropy(h, w, labels(9, classes=SEVERAL))
            for h, w in ((features, weight), (features.float(), weight.float()))
        ]
        torch.testing.assert_close(*losses, rtol=1e-6, atol=0)

    def test_frozen_rows_hold_anything(self) -> None:
        features, weight, _ = draw()
        target = labels(9, classes=SEVERAL)
        target[[2, 5]] = -100
        spoiled = features.detach().clone()
        spoiled[[2, 5]] = NAN
        got = gradients(lt.linear_cross_entropy(spoiled, weight, target, z_loss=0.1), weight)
        torch.testing.assert_close(got, gradients(written_out(features, weight, target, z_loss=0.1), weight))

    def test_of_nothing_but_ignored_rows(self) -> None:
        leaves, target = draw(), torch.full((9,), -100)
        for reduction in ("sum", "mean"):
            got = lt.linear_cross_entropy(*leaves[:2], target, reduction=reduction, z_loss=0.1)
            expected = written_out(*leaves[:2], target, reduction=reduction, z_loss=0.1)
            torch.testing.assert_close(got, expected, equal_nan=True)
        assert not any(
            g.any() for g in gradients(lt.linear_cross_entropy(*leaves[:2], target, reduction="sum"), leaves[:2])
        )

    def test_of_no_rows_or_no_classes(self) -> None:
        features, weight = torch.zeros(0, WIDTH, requires_grad=True), torch.zeros(3, WIDTH, requires_grad=True)
        lt.linear_cross_entropy(features, weight, torch.zeros(0).long(), reduction="sum").backward()
        assert features.grad.shape == features.shape
        assert not weight.grad.any()
        losses = lt.linear_cross_entropy(
            torch.zeros(0, WIDTH), torch.zeros(0, WIDTH), torch.zeros(0).long(), reduction="none"
        )
        assert losses.shape == (0,)

    def test_error_names_the_place_among_all_rows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(linear, "BLOCK", 2 * SEVERAL)
        target = labels(9, classes=SEVERAL)
        target[7] = SEVERAL
        with refuses(ValueError, r"target[7] is 11"):
            lt.linear_cross_entropy(*draw()[:2], target)


class TestSoftcapAndZLoss:
    def test_price_of_a_constant_near_zero_keeps_its_digits(self) -> None:
        weight = torch.tensor([[0.0], [-20.0]], dtype=torch.float64, requires_grad=True)
        loss = lt.linear_cross_entropy(torch.ones(1, 1).double(), weight, torch.tensor([0]), z_loss=1.5)
        rival = oracle.exp(-20)
        constant, share = oracle.log(1 + rival), rival / (1 + rival)
        slopes = [-share + 3 * constant * (1 - share), share + 3 * constant * share]
        torch.testing.assert_close(loss.item(), float(constant + 1.5 * constant**2), rtol=1e-14, atol=0)
        expected = torch.tensor([[float(s)] for s in slopes], dtype=torch.float64)
        torch.testing.assert_close(*gradients(loss, weight), expected, rtol=1e-14, atol=0)

    @pytest.mark.parametrize("option", OPTIONS)
    @each(block=[2 * CLASSES, linear.BLOCK], name=CLASS_CALLS.keys(), reduction=["mean", "sum", "none"])
    def test_they_are_what_their_papers_write(
        self, name: str, reduction: str, option: str, block: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(linear, "BLOCK", block)
        target, options = CLASS_CALLS[name]
        options = {**options, **OPTIONS[option], "reduction": reduction}
        leaves = [logits(ROWS, 2), logits(CLASSES, 2, seed=5), logits(CLASSES, seed=6)]
        results = [
            f(*leaves[:2], target, linear_bias=leaves[2], **options) for f in (lt.linear_cross_entropy, written_out)
        ]
        torch.testing.assert_close(*results, rtol=1e-11, atol=1e-13)
        cotangent = doubles(*results[0].shape, seed=9)
        torch.testing.assert_close(
            *(gradients(result, leaves, cotangent) for result in results), rtol=1e-10, atol=1e-12
        )

    def test_capped_logits_keep_their_slopes(self) -> None:
        # One feature that is 1 makes the weights the logits. In float32, 1 - tanh(9)^2 would be 0.
        for cap in (1.0, 30.0):
            z = np.float32(cap) * np.float32([9.0, -0.001, 0.3, -7.5, 0.49, 0.51])
            weight = torch.from_numpy(z)[:, None].requires_grad_()
            for label in range(6):
                loss = lt.linear_cross_entropy(torch.ones(1, 1), weight, torch.tensor([label]), softcap=cap)
                capped = [cap * (x / cap).tanh() for x in oracle.exact(z)]
                slopes = [(x / cap).sech() ** 2 for x in oracle.exact(z)]
                target = oracle.one_hot(label, 6)
                exact = [g * s for g, s in zip(oracle.cross_entropy_grad(target, capped), slopes, strict=True)]
                error = abs(loss.double().item() - float(oracle.cross_entropy(target, capped)))
                assert error < 4e-7 * cap
                (got,) = gradients(loss, weight)
                # The error of the quotient is multiplied by its size.
                np.testing.assert_allclose(got[:, 0].double(), np.array(exact, float), rtol=4e-6 * cap**0.5, atol=0)

    def test_priced_loss_of_a_sure_network(self) -> None:
        z = np.float32([17.0, 0.0, -1.0])
        weight = torch.from_numpy(z)[:, None].requires_grad_()
        for label in range(3):
            loss = lt.linear_cross_entropy(torch.ones(1, 1), weight, torch.tensor([label]), z_loss=1e-9)
            exact = oracle.exact(z)
            whole = oracle.total(map(oracle.exp, exact))
            true = oracle.log(whole) - exact[label] + 1e-9 * oracle.log(whole) ** 2
            slopes = [
                oracle.exp(x) / whole * (1 + 2 * 1e-9 * oracle.log(whole)) - (i == label) for i, x in enumerate(exact)
            ]
            assert abs(loss.double().item() / float(true) - 1) < 4e-7
            np.testing.assert_allclose(gradients(loss, weight)[0][:, 0].double(), np.array(slopes, float), rtol=2e-6)

    def test_masks_stay_masks(self) -> None:
        bias = torch.tensor([0.0, -INF, 1.0], requires_grad=True)
        arguments = torch.zeros(1, 1), torch.zeros(3, 1)
        for options in ({"softcap": 2.0}, {"softcap": 2.0, "z_loss": 0.1}):
            loss = lt.linear_cross_entropy(*arguments, torch.tensor([0]), linear_bias=bias, **options)
            fewer = bias.detach()[[0, 2]].requires_grad_()
            expected = written_out(torch.zeros(1, 1), torch.zeros(2, 1), torch.tensor([0]), fewer, **options)
            torch.testing.assert_close(loss, expected)
            torch.testing.assert_close(gradients(loss, bias)[0][[0, 2]], gradients(expected, fewer)[0])
            masked = lt.linear_cross_entropy(*arguments, torch.tensor([1]), linear_bias=bias, **options)
            assert masked == INF
            (slopes,) = gradients(masked, bias)
            assert slopes.isfinite().all()

    @pytest.mark.parametrize("option", OPTIONS)
    def test_transforms_see_them_too(self, option: str) -> None:
        features, weight, bias = (t.detach() for t in draw())
        target = labels(9, classes=SEVERAL)

        def loss_of(w: Tensor, h: Tensor, y: Tensor) -> Tensor:
            return lt.linear_cross_entropy(h, w, y, linear_bias=bias, **OPTIONS[option])

        def expected_of(w: Tensor, h: Tensor, y: Tensor) -> Tensor:
            return written_out(h, w, y, bias, **OPTIONS[option])

        mapped, expected = (
            torch.vmap(torch.func.grad(f), (None, 0, 0))(weight, features[:, None], target[:, None])
            for f in (loss_of, expected_of)
        )
        torch.testing.assert_close(mapped, expected)
        compiled = torch.compile(loss_of, fullgraph=True, backend="aot_eager")
        leaf = weight.clone().requires_grad_()
        torch.testing.assert_close(
            gradients(compiled(leaf, features, target), leaf), gradients(expected_of(leaf, features, target), leaf)
        )

    def test_module_has_them(self) -> None:
        module = lt.LinearCrossEntropyLoss(WIDTH, SEVERAL, softcap=3.0, z_loss=0.1, dtype=torch.float64)
        features, target = draw()[0], labels(9, classes=SEVERAL)
        expected = written_out(features, module.linear.weight, target, softcap=3.0, z_loss=0.1)
        torch.testing.assert_close(module(features, target), expected)

    def test_arguments_differ_from_those_of_pytorch_as_the_page_of_differences_says(self) -> None:
        page = (Path(__file__).parents[1] / "chapters" / "edge-cases.md").read_text("utf-8")
        row = next(line for line in page.splitlines() if line.startswith("| `linear_cross_entropy`"))
        pairs = (
            (lt.linear_cross_entropy, F.linear_cross_entropy),
            (lt.LinearCrossEntropyLoss, torch.nn.LinearCrossEntropyLoss),
        )
        for ours, theirs in pairs:
            here, there = (inspect.signature(f).parameters for f in (ours, theirs))
            assert all(f"`{name}`" in row for name in set(here) ^ set(there))
            common = [name for name in here if name in there]
            assert [here[n].default for n in common] == [there[n].default for n in common]

    @pytest.mark.parametrize("bad", [0.0, -1.0, NAN, INF])
    def test_what_cannot_cap_is_refused(self, bad: float) -> None:
        with refuses(ValueError, f"softcap must be a positive number, but is {bad}"):
            lt.linear_cross_entropy(*draw()[:2], labels(9), softcap=bad)

    @pytest.mark.parametrize("bad", [-0.1, NAN, INF])
    def test_what_is_no_price_is_refused(self, bad: float) -> None:
        with refuses(ValueError, f"z_loss must be a number from 0 on, but is {bad}"):
            lt.linear_cross_entropy(*draw()[:2], labels(9), z_loss=bad)


def test_kernels_make_loss_and_gradient_of_each_block_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, cross_entropy = [], kernels.cross_entropy

    def counted(logits: Any, *arguments: Any) -> Any:
        calls.append(logits.shape)
        return cross_entropy(logits, *arguments)

    monkeypatch.setattr(kernels, "cross_entropy", counted)
    monkeypatch.setattr(linear, "BLOCK", 4 * SEVERAL)
    lt.linear_cross_entropy(*draw()[:2], labels(9, classes=SEVERAL)).backward()
    assert calls == ([] if kernels.why_off() else [(4, SEVERAL), (4, SEVERAL), (1, SEVERAL)])
