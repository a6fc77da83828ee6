"""When a kernel is called, in how many threads, and with which memory; what it computes is in test_kernels.py."""

from __future__ import annotations

import math
import os
import sys
from importlib.machinery import ModuleSpec
from queue import SimpleQueue
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import logitkit as lk
import logitkit.torch as lt
from logitkit import kernels
from logitkit.kernels import _compiled
from tests.backends import names_of_kernels


def test_a_kernel_is_called_for_enough_numbers_and_never_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "why_off", lambda: None)
    monkeypatch.setattr(kernels, "WORTH_A_KERNEL", 3)
    assert [kernels.suit(np.zeros(n)) for n in (0, 2, 3)] == [False, False, True]
    monkeypatch.setattr(kernels, "WORTH_A_KERNEL", 0)
    assert [kernels.suit(np.zeros(n)) for n in (0, 1)] == [False, True]
    monkeypatch.setattr(kernels, "why_off", lambda: "a test says so")
    assert not kernels.suit(np.zeros(1))


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [("3", "2", 3), ("1", "2", 1), ("0", "2", 2), ("-1", "2", 2), ("two", "2", 2), ("", "1", 1), ("", "none", None)],
)
def test_number_of_threads_is_the_first_that_is_set(
    ours: str, theirs: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGITKIT_THREADS", ours)
    monkeypatch.setenv("OMP_NUM_THREADS", theirs)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert kernels.threads.__wrapped__() == (expected or processors)


@pytest.mark.parametrize(("count", "expected"), [(5, 5), (None, 1)])
def test_all_processors_count_where_a_system_does_not_say_which_are_ours(
    count: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGITKIT_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert kernels.threads.__wrapped__() == expected


def test_configuration_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(kernels, "threads", lambda: 7)
    for why in ("why_off", "why_off_on_gpu"):
        monkeypatch.setattr(kernels, why, lambda why=why: f"{why} says so")
    lk.show_config()
    off = "backend  NumPy: why_off says so\nthreads  7\non CUDA  PyTorch: why_off_on_gpu says so\n"
    assert capsys.readouterr().out == f"logitkit {lk.__version__}\n{off}"
    for why in ("why_off", "why_off_on_gpu"):
        monkeypatch.setattr(kernels, why, lambda: None)
    lk.show_config()
    on = "backend  Numba, compiled kernels\nthreads  7\non CUDA  Triton, compiled kernels\n"
    assert capsys.readouterr().out == f"logitkit {lk.__version__}\n{on}"


@pytest.mark.parametrize(
    ("version", "why"), [("2.9.1", "too old"), ("3.4.0", "too old"), ("3.5.0", None), ("3.10.1", None), ("4.0.0", None)]
)
def test_triton_may_be_too_old(version: str, why: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    triton = ModuleType("triton")
    triton.__dict__.update(__version__=version, __spec__=ModuleSpec("triton", None))
    monkeypatch.setitem(sys.modules, "triton", triton)
    monkeypatch.delenv("LOGITKIT_KERNELS", raising=False)
    said = kernels.why_off_on_gpu.__wrapped__()
    assert said == (why and f"Triton {version} is too old; PyTorch 2.9 or newer brings one that isn't")
    monkeypatch.setenv("LOGITKIT_KERNELS", "0")
    assert kernels.why_off_on_gpu.__wrapped__() == kernels.why_off.__wrapped__() == "LOGITKIT_KERNELS is 0"


@pytest.mark.parametrize(
    ("rows", "width", "most", "others"),
    [(20, 5, None, 2), (20, 5, 2, 1), (3, 7, None, 1), (2, 100, None, 1), (19, 1, None, 0), (1, 100, None, 0)],
)
def test_as_many_threads_are_asked_as_the_rows_are_worth(
    rows: int, width: int, most: int | None, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: SimpleQueue[Any] = SimpleQueue()
    done: list[tuple[Any, ...]] = []
    for name, value in {"WORTH_A_THREAD": 10, "threads": lambda: 3, "_helpers": lambda: asked}.items():
        monkeypatch.setattr(kernels, name, value)
    monkeypatch.setattr(_compiled, "noted", lambda *given: done.append(given), raising=False)
    kernels.run("noted", rows, width, "argument", most_threads=most)
    assert asked.qsize() == others
    assert [row for first, last, _ in done for row in range(first, last)] == [*range(rows)]
    assert {argument for *_, argument in done} == {"argument"}
    count = len(done)
    while asked.qsize():
        asked.get()()  # a thread that comes too late finds nothing to do
    assert len(done) == count


@pytest.mark.parametrize("workers", [2, 3, 16])
@pytest.mark.parametrize("rows", [2, 31, 1000])
def test_parts_become_smaller_down_to_a_share_of_a_threads(rows: int, workers: int) -> None:
    parts = kernels._parts(rows, workers)
    assert [row for start, stop in parts for row in range(start, stop)] == [*range(rows)]
    sizes = [stop - start for start, stop in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] <= max(1, rows / workers / 2)  # nobody waits for more than half of a share
    assert len(sizes) < 2 * kernels.PARTS * workers


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_kernels_see_the_memory_itself_unless_it_must_be_converted(dtype: type) -> None:
    values = np.zeros((2, 3), dtype)
    for array in (values, np.frombuffer(values.tobytes(), dtype).reshape(2, 3)):
        flat = kernels._flat(array)
        assert flat.shape == (6,)
        assert flat.dtype == (np.float32 if dtype is np.float32 else np.float64)
        assert flat.flags.writeable
        assert np.shares_memory(flat, array) == (dtype is not np.float16)
    assert not isinstance(kernels._flat(values).base, kernels._Unprotected)  # which costs more than a look at a flag
    assert not np.shares_memory(kernels._flat(values[:, ::2]), values)


def test_no_slopes_are_computed_where_no_derivative_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[bool] = []
    computed = kernels.elementwise

    def noted(kernel: str, values: Any, grad: bool, threads: int) -> Any:
        wanted.append(grad)
        return computed(kernel, values, grad, threads)

    monkeypatch.setattr(kernels, "elementwise", noted)
    leaf = torch.zeros(3, requires_grad=True)
    with torch.no_grad():
        assert not lt.softplus(leaf).requires_grad
    lt.softplus(leaf.detach())
    lt.softplus(leaf).sum().backward()
    assert wanted == [False, False, True]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss_and_gradient_take_one_call(reduction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called = names_of_kernels(monkeypatch)
    z = torch.zeros(2, 3, requires_grad=True)
    lt.cross_entropy(z, torch.tensor([1, 2]), reduction=reduction).sum().backward()
    lt.binary_cross_entropy_with_logits(z, torch.ones(2, 3), reduction=reduction).sum().backward()
    assert called == ["mean_cross_entropy" if reduction == "mean" else "cross_entropy", "binary_cross_entropy"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2000, 3), (8, 40, 5), (3, 700)])
def test_mean_of_few_rows_is_that_of_their_losses(
    shape: tuple[int, ...], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, called = np.random.default_rng(1), names_of_kernels(monkeypatch)
    z = torch.tensor(rng.normal(0, 5, shape)).to(dtype).requires_grad_()
    y = torch.tensor(rng.integers(shape[1], size=(shape[0], *shape[2:])))
    y[1] = -100
    kept = (y != -100).sum()
    mean, losses = lt.cross_entropy(z, y), lt.cross_entropy(z.double(), y, reduction="none")
    expected = torch.tensor(math.fsum(losses.flatten().tolist()) / kept.item(), dtype=torch.float64)
    torch.testing.assert_close(mean.double(), expected, rtol=max(4e-16, torch.finfo(dtype).eps), atol=0)
    slopes = [torch.autograd.grad(value, z)[0] for value in (mean, lt.cross_entropy(z, y, reduction="sum"))]
    torch.testing.assert_close(
        slopes[0], slopes[1] / kept, rtol=2 * torch.finfo(dtype).eps, atol=torch.finfo(dtype).tiny
    )
    assert called == ["mean_cross_entropy", "cross_entropy", "cross_entropy"]


def test_mean_of_few_rows_leaves_what_the_kernel_cannot_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    called = names_of_kernels(monkeypatch)
    z = torch.tensor([[1.0, 2.0, 0.0], [torch.inf, 0.0, 0.0], [0.0, -torch.inf, 0.0]], requires_grad=True)
    y = torch.tensor([1, 0, 0])
    mean = lt.cross_entropy(z, y)
    assert called == ["mean_cross_entropy", "cross_entropy"]
    torch.testing.assert_close(mean, (lt.cross_entropy(z[:1], y[:1]) + math.log(2)) / 3)
    torch.testing.assert_close(torch.autograd.grad(mean, z)[0][1:], torch.tensor([[0.0, 0, 0], [-1 / 6, 0, 1 / 6]]))
    with pytest.raises(ValueError, match=r"target\[1\] is 3"):
        lt.cross_entropy(z, torch.tensor([1, 3, 0]))


def test_mean_of_no_row_is_no_number_and_one_beyond_the_largest_is_inf() -> None:
    z = torch.zeros(2, 3, requires_grad=True)
    mean = lt.cross_entropy(z, torch.tensor([-100, -100]))
    assert mean.isnan()
    assert (torch.autograd.grad(mean, z)[0] == 0).all()
    for dtype, highest in ((torch.float32, 0.9), (torch.float64, 0.4)):  # in float64, three losses that aren't inf
        far = torch.finfo(dtype).max * torch.tensor([[highest, -0.5]], dtype=dtype)
        assert lt.cross_entropy(far.expand(3, 2), torch.tensor([1, 1, 1])) == torch.inf


def test_many_rows_are_no_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "WORTH_A_THREAD", 6)
    called = names_of_kernels(monkeypatch)
    for rows in (2, 1):
        lt.cross_entropy(torch.zeros(rows, 3), torch.zeros(rows).long())
    lt.cross_entropy(torch.zeros(1, 3), torch.tensor([0]), weight=torch.ones(3))
    assert called == ["cross_entropy", "mean_cross_entropy", "cross_entropy"]


def test_twins_ask_for_as_many_threads_as_pytorch_has(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, int | None] = {}
    run = kernels.run

    def noted(kernel: str, *given: Any, most_threads: int | None = None) -> None:
        asked[kernel] = most_threads
        run(kernel, *given, most_threads=1)

    monkeypatch.setattr(kernels, "run", noted)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    z = torch.zeros(2, 3, requires_grad=True)
    lt.cross_entropy(z, torch.tensor([1, 2]), reduction="sum").backward()
    lt.cross_entropy(z, torch.full((2, 3), 1 / 3)).backward()
    lt.binary_cross_entropy_with_logits(z, torch.ones(2, 3)).backward()
    lt.log_softmax(z, 1).sum().backward()
    lt.softplus(z).sum().backward()
    names = "cross_entropy soft_cross_entropy binary_cross_entropy log_softmax log_softmax_gradient softplus"
    assert asked == dict.fromkeys(names.split(), 3)
