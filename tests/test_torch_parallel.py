"""The loss of logits spread over processes: what one process would compute, and no hang when another one is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import logitkit.torch as lt
from logitkit.torch import _blocks
from tests import oracle
from tests import parallel_jobs as jobs
from tests.accuracy.draws import DTYPES, rows_with_class
from tests.processes import Failure, Processes
from tests.twins import INF, NAN, labels, logits

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (dist.is_available() and dist.is_gloo_available()), reason="this PyTorch has no processes that talk by gloo"
    ),
]

needs_dtensor = pytest.mark.skipif(jobs.DTensor is None, reason="this PyTorch's DTensor is not public")

# The promise of the twins for classes and their gradient.
BOUND = {np.float16: 0.52, np.float32: 6.0, np.float64: 6.0}


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Processes]]:
    """Groups of so many processes, each started once."""
    started: dict[int, Processes] = {}

    def group_of(count: int) -> Processes:
        if count not in started:
            started[count] = Processes(count, tmp_path_factory.mktemp("store") / "store")
        return started[count]

    yield group_of
    for group in started.values():
        group.close()


@pytest.fixture(params=[1, 2, 4])
def processes(request: pytest.FixtureRequest, groups: Callable[[int], Processes]) -> Processes:
    return groups(request.param)


@pytest.fixture
def four(groups: Callable[[int], Processes]) -> Processes:
    return groups(4)


def cuts(classes: int, processes: Processes, seed: int) -> list[int]:
    """Where the columns of each process but the first begin, at random, so that some have none."""
    return sorted(np.random.default_rng(seed).integers(0, classes + 1, len(processes.pipes) - 1).tolist())


def together(
    processes: Processes, *calls: tuple[Tensor, Tensor, dict[str, Any]]
) -> list[tuple[Tensor, Tensor, Tensor | None]]:
    """Losses, whole gradient and gradient of the weight of each call, which all processes must agree on."""
    cut = [(z, cuts(z.shape[-1], processes, seed), y, options) for seed, (z, y, options) in enumerate(calls)]
    answers = processes.run(jobs.losses_and_gradients, cut)
    assert not [answer for answer in answers if isinstance(answer, Failure)]
    results = []
    for each in zip(*answers, strict=True):
        losses, columns, weights = zip(*each, strict=True)
        for others in (losses, weights):
            assert others[0] is None or all(torch.equal(others[0].nan_to_num(), o.nan_to_num()) for o in others)
        results.append((losses[0], torch.cat(columns, -1), weights[0]))
    return results


@pytest.fixture(scope="module")
def exact_rows() -> dict[type, list[tuple[Tensor, Tensor, list[Any], list[Any]]]]:
    """Rows of every kind with a class, those of one length together: logits, classes, exact losses and gradients."""
    found: dict[type, list[tuple[Tensor, Tensor, list[Any], list[Any]]]] = {}
    for dtype in DTYPES:
        lengths: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
        for z, label in rows_with_class(dtype):
            if len(z) <= 33:
                lengths.setdefault(len(z), []).append((z, label))
        found[dtype] = []
        for rows in lengths.values():
            z, target = (np.stack(each[::3]) for each in zip(*rows, strict=True))
            exact = [(oracle.one_hot(int(y), len(row)), oracle.exact(row)) for row, y in zip(z, target, strict=True)]
            losses = [oracle.cross_entropy(*each) for each in exact]
            grads = [g for each in exact for g in oracle.cross_entropy_grad(*each)]
            found[dtype].append((torch.tensor(z), torch.tensor(target), losses, grads))
    return found


class TestKeepsItsDigits:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_as_promised_wherever_the_rows_are_cut(
        self, processes: Processes, dtype: type, exact_rows: dict[type, Any]
    ) -> None:
        cases = exact_rows[dtype]
        results = together(processes, *((z, y, {"reduction": "none"}) for z, y, *_ in cases))
        for (_, _, losses, grads), (got, got_grads, _) in zip(cases, results, strict=True):
            assert oracle.ulps(got.numpy(), losses).max() <= BOUND[dtype]
            assert oracle.ulps(got_grads.numpy(), grads).max() <= BOUND[dtype]

    @pytest.mark.parametrize("place", [0, 3, 7])
    def test_of_a_sure_row_where_pytorch_has_lost_them(self, processes: Processes, place: int) -> None:
        for margin in (17.0, 40.0, 80.0):
            z = torch.zeros(1, 8)
            z[0, place] = margin
            losses, grads, _ = together(processes, (z, torch.tensor([place]), {}))[0]
            target, exact = oracle.one_hot(place, 8), oracle.exact(z.numpy())
            assert oracle.ulps(losses.numpy()[None], [oracle.cross_entropy(target, exact)])[0] < 2
            assert oracle.ulps(grads.numpy(), oracle.cross_entropy_grad(target, exact)).max() < 3
        assert F.cross_entropy(z, torch.tensor([place])) == 0

    def test_of_a_sum_over_many_classes(self, processes: Processes) -> None:
        z = torch.zeros(1, 100_000)
        z[0, 7] = 30.0
        losses, grads, _ = together(processes, (z, torch.tensor([7]), {}))[0]
        exact = oracle.softplus(oracle.exact(np.log(99_999.0) - 30)[0])
        assert abs(losses.item() / float(exact) - 1) < 2 * 2.0**-24
        share = oracle.expit(oracle.exact(np.log(99_999.0) - 30)[0])
        assert abs(grads[0, 7].item() / -float(share) - 1) < 2 * 2.0**-24


def of_one_process(
    z: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """The loss by PyTorch, which has no gradient of a weight, and the classes in the second dimension."""
    rows = z.reshape(-1, z.shape[-1]), target.flatten()
    losses = F.cross_entropy(*rows, reduction="none", ignore_index=ignore_index).reshape(target.shape)
    kept = target != ignore_index
    shares = kept.to(z.dtype) if weight is None else weight[target.where(kept, 0)].where(kept, 0)
    total = (shares * losses).sum()
    return {"none": shares * losses, "sum": total, "mean": total / shares.sum()}[reduction]


WEIGHT = torch.tensor([0.5, 2.0, 1.25, 0.0, 1.0], dtype=torch.float64)


class TestAgreesWithOneProcess:
    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    def test_in_value_and_gradients(self, processes: Processes, reduction: str) -> None:
        z, target, few = logits(6, 5).detach(), labels(6, classes=5), torch.tensor([0, 2, -100, 1, 3, -100])
        calls = [
            (z, target, {}),
            (z, few, {}),
            (z, target, {"ignore_index": 2}),
            (z, few.to(torch.int8), {"weight": WEIGHT}),
            (z.reshape(2, 3, 5), target.reshape(2, 3), {"weight": WEIGHT}),
            (z[0], target[0], {}),
            (z[:, :1], few.clamp(max=0), {}),
            (z[:0], target[:0], {}),
            (z, torch.full((6,), -100), {}),
        ]
        calls = [(z, y, {**options, "reduction": reduction}) for z, y, options in calls]
        for (z, y, options), got in zip(calls, together(processes, *calls), strict=True):
            whole = z.clone().requires_grad_()
            weight = options.get("weight")
            options = {**options, "weight": None if weight is None else weight.clone().requires_grad_()}
            expected = of_one_process(whole, y.long(), **options)
            expected.sum().backward()
            torch.testing.assert_close(got[0], expected.detach(), rtol=1e-13, atol=1e-15, equal_nan=True)
            torch.testing.assert_close(got[1], whole.grad, rtol=1e-13, atol=1e-15, equal_nan=True)
            if weight is not None:
                torch.testing.assert_close(got[2], options["weight"].grad, rtol=1e-13, atol=1e-15)

    def test_at_the_limits(self, processes: Processes) -> None:
        z = torch.tensor(
            [
                *([17, 0, -2], [INF, 0, 0], [INF, 0, 0], [INF, 0, INF], [-INF, -INF, -INF], [NAN, 0, 1]),
                *([0, -INF, -INF], [-INF, 0, -3], [-INF, -INF, 0], [3e38, -3e38, 0], [0, 1, NAN], [NAN, INF, 0]),
            ]
        )
        target = torch.tensor([0, 0, 1, 0, 0, 1, 0, 0, 2, 1, 1, -100])
        only = torch.tensor([[-INF], [7.0], [INF], [NAN]])
        for rows, classes in ((z, target), (only, torch.zeros(4, dtype=torch.long))):
            whole = rows.clone().requires_grad_()
            expected = lt.cross_entropy(whole, classes, reduction="none")
            expected.sum().backward()
            losses, grads, _ = together(processes, (rows, classes, {"reduction": "none"}))[0]
            torch.testing.assert_close(losses, expected.detach(), rtol=1e-6, atol=0, equal_nan=True)
            torch.testing.assert_close(grads, whole.grad, rtol=1e-6, atol=0, equal_nan=True)

    def test_on_random_rows_in_half_precision(self, processes: Processes) -> None:
        z, target = 4 * torch.randn(50, 30, generator=torch.Generator().manual_seed(3)), labels(50, classes=30)
        for dtype in (torch.float16, torch.bfloat16):
            losses, grads, _ = together(processes, (z.to(dtype), target, {"reduction": "none"}))[0]
            whole = z.to(dtype).double().requires_grad_()
            expected = F.cross_entropy(whole, target, reduction="none")
            expected.sum().backward()
            assert losses.dtype == grads.dtype == dtype
            torch.testing.assert_close(losses, expected.detach().to(dtype), rtol=torch.finfo(dtype).eps, atol=0)
            torch.testing.assert_close(grads, whole.grad.to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-7)

    def test_each_group_has_rows_of_its_own(self, four: Processes) -> None:
        z, target = logits(6, 5).detach(), labels(6, classes=5)
        expected = lt.cross_entropy(z, target, reduction="none")
        for rank, (losses, told) in enumerate(four.run(jobs.in_two_groups, z, target)):
            torch.testing.assert_close(losses, expected[rank // 2 :: 2], rtol=1e-13, atol=0)
            assert told == "group must hold this process, but doesn't; only its members may call"

    @needs_dtensor
    @pytest.mark.parametrize("reduction", ["mean", "none"])
    def test_a_dtensor_brings_its_group(self, four: Processes, reduction: str) -> None:
        z, target = logits(6, 5).detach(), labels(6, classes=5)  # the last process has no class
        whole = z.clone().requires_grad_()
        expected = lt.cross_entropy(whole, target, weight=WEIGHT, reduction=reduction)
        expected.sum().backward()
        for loss, grads in four.run(jobs.sharded, z, target, WEIGHT, reduction):
            torch.testing.assert_close(loss, expected.detach(), rtol=1e-13, atol=0)
            torch.testing.assert_close(grads, whole.grad, rtol=1e-13, atol=0)

    @needs_dtensor
    def test_the_other_twins_take_dtensors_too(self, groups: Callable[[int], Processes]) -> None:
        """The original has whole tensors: PyTorch 2.13 averages the means of shards, whatever each weighs."""
        for answers in groups(2).run(jobs.spread_in_every_way):
            assert not isinstance(answers, Failure), answers.trace
            assert len(answers) == 3 * len(jobs.SPREAD)
            for name, placement, value, slopes in answers:
                pair = jobs.SPREAD[name]
                first, *others = (t.detach().clone() for t in pair.tensors)
                expected = pair.theirs(first.requires_grad_(), *others, **pair.options)
                expected.backward(torch.ones_like(expected))
                told = f"{name}, {placement}: {{}}".format
                torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-14, msg=told)
                torch.testing.assert_close(slopes, first.grad, rtol=1e-12, atol=1e-14, msg=told)

    @needs_dtensor
    @pytest.mark.skipif(not torch.__version__.startswith("2.13."), reason="the book speaks of PyTorch 2.13")
    def test_pytorch_averages_the_means_of_processes(self, groups: Callable[[int], Processes]) -> None:
        z, target = torch.tensor([[0.0, 0.0], [0.0, 0.0], [5.0, 0.0], [5.0, 0.0]]), torch.tensor([0, -100, 0, 0])
        losses = F.cross_entropy(z, target, reduction="none")
        for loss, mean in (
            (F.cross_entropy, (losses[0] + losses[2:].mean()) / 2),
            (lt.cross_entropy, losses.sum() / 3),
        ):
            assert groups(2).run(jobs.mean_of_spread_rows, loss, z, target) == pytest.approx(2 * [mean.item()])

    @needs_dtensor
    def test_a_dtensor_may_be_replicated_over_the_rest_of_its_mesh(self, four: Processes) -> None:
        z, target = logits(6, 5).detach(), labels(6, classes=5)
        for loss in four.run(jobs.sharded_over_one_of_two, z, target):
            torch.testing.assert_close(loss, lt.cross_entropy(z, target), rtol=1e-13, atol=0)


class Watched(TorchDispatchMode):
    """A mode that does nothing, in which no value may be looked at."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))


class TestAlone:
    """Without a process group."""

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_all_classes_are_here(self, dtype: type, exact_rows: dict[type, Any]) -> None:
        for z, target, losses, grads in exact_rows[dtype]:
            whole = z.clone().requires_grad_()
            got = lt.vocab_parallel_cross_entropy(whole, target, reduction="none")
            got.sum().backward()
            assert oracle.ulps(got.detach().numpy(), losses).max() <= BOUND[dtype]
            assert oracle.ulps(whole.grad.numpy(), grads).max() <= BOUND[dtype]

    @pytest.mark.parametrize("size", [1, 7, 64])
    def test_blocks_do_not_show(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        monkeypatch.setattr(_blocks, "CPU_BLOCK", size)
        z, again, target = logits(6, 5), logits(6, 5), torch.tensor([0, 4, -100, 1, 1, 3])
        losses = [f(x, target) for f, x in ((lt.vocab_parallel_cross_entropy, z), (lt.cross_entropy, again))]
        sum(losses).backward()
        torch.testing.assert_close(*losses, rtol=1e-13, atol=0)
        torch.testing.assert_close(z.grad, again.grad, rtol=1e-13, atol=0)

    def test_autocast_computes_in_float32(self) -> None:
        z = torch.tensor([[9.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = lt.vocab_parallel_cross_entropy(z, torch.tensor([0]))
        assert loss.dtype == torch.float32
        assert oracle.ulps(loss.detach().numpy()[None], [oracle.softplus(oracle.exact(-9)[0])])[0] < 2
        loss.backward()
        assert z.grad.dtype == torch.bfloat16

    def test_memory_beside_the_logits_is_that_of_their_gradient(self) -> None:
        z = torch.zeros(512, 20_000, requires_grad=True)

        def allocated(call: Any) -> int:
            with torch.profiler.profile(profile_memory=True) as profile:
                call()
            return max(event.cpu_memory_usage for event in profile.events())

        loss = lt.vocab_parallel_cross_entropy(z, torch.zeros(512, dtype=torch.long))
        forward = allocated(lambda: lt.vocab_parallel_cross_entropy(z, torch.zeros(512, dtype=torch.long)))
        assert forward < z.nbytes / 8
        assert allocated(loss.backward) < 1.01 * z.nbytes

    def test_no_class_is_nan_where_a_value_cannot_be_looked_at(self) -> None:
        z = torch.zeros(3, 2, requires_grad=True)
        with Watched():
            losses = lt.vocab_parallel_cross_entropy(z, torch.tensor([0, 2, -100]), reduction="none")
        losses.sum().backward()
        assert losses.isnan().tolist() == [False, True, False]
        assert z.grad.isnan().any(1).tolist() == [False, True, False]

    def test_it_cannot_be_differentiated_twice(self) -> None:
        z = logits(6, 5)
        with pytest.raises(RuntimeError, match="has no second derivative"):
            lt.vocab_parallel_cross_entropy(z, labels(6)).backward(create_graph=True)


class TestExchange:
    @pytest.mark.parametrize(("dtype", "wide"), [(torch.bfloat16, 4), (torch.float32, 4), (torch.float64, 8)])
    def test_is_three_numbers_a_row_however_many_classes(
        self, processes: Processes, dtype: torch.dtype, wide: int
    ) -> None:
        for rows, classes in ((7, 3), (7, 3000), (100, 3)):
            sizes = processes.run(jobs.bytes_exchanged, rows, classes, dtype)
            assert sizes == [(rows * (wide + 16), 32)] * len(sizes)


class TestErrors:
    def test_no_class_is_refused_by_all(self, four: Processes) -> None:
        z, target = torch.zeros(3, 8), torch.tensor([0, -100, 8])
        for failure in four.run(jobs.losses_and_gradients, [(z, [2, 4, 6], target, {})]):
            assert failure.kind == "ValueError"
            assert failure.message == (
                "target must be a class from 0 to 7, but target[2] is 8; "
                "do the labels count from 1, or is ignore_index missing?"
            )

    @pytest.mark.parametrize(
        ("of_last", "message"),
        [
            (
                (torch.zeros(2, 2), torch.tensor([0, 1]), {}),
                "the number of rows must be the same on all processes of the group, but process 3 has 2, not 3 as",
            ),
            (
                (torch.zeros(3, 2).double(), torch.tensor([0, 1, 2]), {}),
                "the bytes of a logit must be the same on all processes of the group, but process 3 has 8, not 4 as",
            ),
            (
                (torch.zeros(3, 2), torch.tensor([0, 2, 1]), {}),
                "the target must be the same on all processes of the group, but process 3 has another one",
            ),
        ],
    )
    def test_processes_that_differ_are_refused_by_all(
        self, four: Processes, of_last: tuple[Tensor, Tensor, dict[str, Any]], message: str
    ) -> None:
        others = torch.zeros(3, 2), torch.tensor([0, 1, 2]), {}
        failures = four.run(jobs.each_its_own, [others, others, others, of_last])
        assert [failure.kind for failure in failures] == ["ValueError"] * 4
        assert message in failures[0].message
        assert "only processes that share their rows" in failures[3].message

    @needs_dtensor
    @pytest.mark.parametrize("kind", ["rows", "both", "none", "group"])
    def test_dtensor_that_is_not_sharded_by_class(self, four: Processes, kind: str) -> None:
        expected = "which has its own group" if kind == "group" else "must be sharded along its last dimension"
        for failure in four.run(jobs.sharded_otherwise, kind):
            assert failure.kind == "ValueError"
            assert expected in failure.message

    @pytest.mark.parametrize(
        ("arguments", "options", "kind", "message"),
        [
            ((torch.tensor(1.0), torch.tensor(0)), {}, ValueError, "input must have a last dimension"),
            ((torch.zeros(2, 3).long(), torch.tensor([0, 1])), {}, ValueError, "input must hold floating-point"),
            ((torch.zeros(2, 3), torch.tensor([0])), {}, ValueError, r"in the shape \(2,\), but holds torch.int64 in"),
            ((torch.zeros(2, 3), torch.zeros(2, 3)), {}, ValueError, "but holds torch.float32 in"),
            ((torch.zeros(2, 3), [0, 1]), {}, TypeError, "target must be a tensor, not list"),
            ((torch.zeros(2, 3), torch.tensor([0, 3])), {}, ValueError, r"from 0 to 2, but target\[1\] is 3"),
            ((torch.zeros(2, 3), torch.tensor([0, 1])), {"weight": torch.ones(2)}, ValueError, "weight must hold one"),
            ((torch.zeros(2, 3), torch.tensor([0, 1])), {"reduction": "avg"}, ValueError, "reduction must be"),
            ((torch.zeros(2, 3), torch.tensor([0, 1])), {"ignore_index": 1.5}, TypeError, "ignore_index must be one"),
            ((torch.zeros(2, 3), torch.tensor([0, 1])), {"group": 3}, TypeError, "group must be a process group"),
        ],
    )
    def test_names_the_argument(self, arguments: Any, options: Any, kind: type[Exception], message: str) -> None:
        with pytest.raises(kind, match=message):
            lt.vocab_parallel_cross_entropy(*arguments, **options)


class TestLostProcess:
    """The group's timeout bounds the wait for a process that is lost in the middle of a call."""

    @pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
    def test_is_an_error_in_the_others(self, tmp_path: Path, name: str) -> None:
        if not hasattr(signal, name):
            pytest.skip(f"there is no {name} on this system")
        timeout, slack = 4.0, 10.0
        group = Processes(2, tmp_path / "store")
        try:
            failure, seconds = group.run_in_first(jobs.lost_in_mid_call, name, timeout)
        finally:
            group.close()
        assert isinstance(failure, Failure)
        assert failure.kind == "RuntimeError"
        assert "in vocab_parallel_cross_entropy" in failure.trace
        assert seconds < timeout + slack
