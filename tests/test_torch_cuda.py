"""The twins on a GPU, by kernels where Triton is installed; `test_triton.py` holds these beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd import grad

import logitkit as lk
import logitkit.torch as lt
from logitkit import kernels
from tests.accuracy.draws import DTYPES
from tests.accuracy.promise import Promise
from tests.accuracy.torch_promises import TWINS
from tests.twins import ALL, Pair, labels, logits


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

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("promise", TWINS, ids=lambda promise: promise.name)
    def test_keeps_the_promises(self, promise: Promise, dtype: type) -> None:
        with torch.device("cuda"):
            assert promise.worst(dtype, promise.ours) <= promise.bound[dtype]

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

    @pytest.mark.skipif(kernels.why_off_on_gpu() is not None, reason=str(kernels.why_off_on_gpu()))
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
    def test_losses_wait_for_nothing_and_keep_nothing_large(self, dtype: torch.dtype) -> None:
        z = torch.randn(8192, 4096, device="cuda", dtype=dtype, requires_grad=True)
        target, shares = torch.randint(4096, (8192,), device="cuda"), torch.rand_like(z)
        weight = torch.rand(4096, device="cuda")
        losses: list[Callable[[], Tensor]] = [
            lambda: lt.cross_entropy(z, target),
            lambda: lt.cross_entropy(z, target, weight=weight, label_smoothing=0.1),
            lambda: lt.cross_entropy(z, shares),
            lambda: lt.binary_cross_entropy_with_logits(z, shares),
        ]
        for loss in losses:
            grad(loss(), z)  # compiles the kernels
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            torch.cuda.set_sync_debug_mode("error")
            try:
                (slopes,) = grad(loss(), z)
            finally:
                torch.cuda.set_sync_debug_mode("default")
            extra = torch.cuda.max_memory_allocated() - before
            assert extra < 1.1 * slopes.numel() * slopes.element_size()

    @pytest.mark.skipif(kernels.why_off_on_gpu() is not None, reason=str(kernels.why_off_on_gpu()))
    def test_more_than_two_to_the_31_logits(self) -> None:
        rows, classes = 2**15 + 1, 2**16
        z = torch.zeros(rows, classes, device="cuda", dtype=torch.bfloat16)
        z[-1, 5] = 3.0
        last = z[-1:].float().requires_grad_()
        z.requires_grad_()
        target = torch.full((rows,), 5, device="cuda")
        (slopes,) = grad(lt.cross_entropy(z, target, reduction="sum"), z)
        torch.testing.assert_close(slopes[-1:], grad(lt.cross_entropy(last, target[-1:]), last)[0].bfloat16())
        shares = torch.zeros((), device="cuda").expand(z.shape)
        losses = lt.binary_cross_entropy_with_logits(z.detach(), shares, reduction="none")
        torch.testing.assert_close(losses[-1, 5].cpu(), torch.tensor(lk.softplus(3.0)).bfloat16())

    def test_layer_and_loss_never_hold_all_logits(self) -> None:
        rows, classes, width = 65_536, 32_768, 64
        h, layer = (torch.randn(n, width, device="cuda", requires_grad=True) for n in (rows, classes))
        target = torch.randint(classes, (rows,), device="cuda")
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        lt.linear_cross_entropy(h, layer, target).backward()
        extra = torch.cuda.max_memory_allocated() - before
        assert extra < rows * classes * h.element_size() / 4
