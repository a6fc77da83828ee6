"""The twins on a GPU."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd import grad

import logitkit as lk
import logitkit.torch as lt
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

    def test_layer_and_loss_never_hold_all_logits(self) -> None:
        rows, classes, width = 65_536, 32_768, 64
        h, layer = (torch.randn(n, width, device="cuda", requires_grad=True) for n in (rows, classes))
        target = torch.randint(classes, (rows,), device="cuda")
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        lt.linear_cross_entropy(h, layer, target).backward()
        extra = torch.cuda.max_memory_allocated() - before
        assert extra < rows * classes * h.element_size() / 4
