"""The twins keep their digits where PyTorch loses them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_iris
from torch import Tensor
from torch.autograd import grad

import logitkit as lk
import logitkit.torch as lt
from logitkit.torch import _rows
from tests import oracle
from tests.backends import backend  # noqa: F401 - runs every test on both


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
            # The sum, its logarithm and their difference are rounded, to half a unit each.
            assert oracle.ulps(log_probs.detach().numpy()[0], oracle.log_softmax(exact)).max() < 1.5
            for label in range(3):
                slope = grad(log_probs[0, label], z, retain_graph=True)[0].numpy()[0]
                assert oracle.ulps(-slope, oracle.cross_entropy_grad(oracle.one_hot(label, 3), exact)).max() < 6

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_logsumexp_near_zero_keeps_them(self, dtype: torch.dtype) -> None:
        rows = torch.tensor([[0.0, -20.0], [-30.5, 0.0]], dtype=dtype)
        exact = [oracle.logsumexp(oracle.exact(row)) for row in rows.numpy()]
        assert oracle.ulps(_rows.logsumexp(rows, 1).numpy(), exact).max() < 2
        torch.testing.assert_close(_rows.logsumexp(torch.zeros(3, 0), 1), torch.full((3,), -torch.inf))

    def test_compiled_code_keeps_them_too(self) -> None:
        compiled = torch.compile(lt.cross_entropy, fullgraph=True, backend="aot_eager")
        z = torch.tensor([[50.125, 0.3, -60.0]], requires_grad=True)
        compiled(z, torch.tensor([0])).backward()
        exact = oracle.cross_entropy_grad(oracle.one_hot(0, 3), oracle.exact(z.detach().numpy()))
        assert oracle.ulps(z.grad.numpy(), exact).max() < 4

    def test_compiled_sums_are_added_up_in_float64(self) -> None:
        compiled = torch.compile(lambda values: _rows.total(values, 1), fullgraph=True, backend="aot_eager")
        assert compiled(torch.tensor([[1e8, *4000 * [1.0], -1e8]])).item() == 4000  # float32 loses what it adds to 1e8

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
        assert abs(lt.cross_entropy(z, torch.tensor([0])).item() / float(exact) - 1) < 6 * 2.0**-24  # as promised

    def test_training_goes_on_at_a_margin_where_pytorch_stands_still(self) -> None:
        def trained(loss_of: Callable[..., Tensor]) -> Tensor:
            scale = torch.tensor(20.0, requires_grad=True)  # one weight, at a margin of 20
            for _ in range(100):
                # A learning rate that grows with the inverse of the gradient is what a normalizing optimizer has.
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
