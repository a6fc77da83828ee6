"""The kernels for a GPU, run on one where there is one, else in Triton's interpreter on a CPU (`make frameworks`)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from itertools import islice, product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad

import logitkit as lk
import logitkit.torch as lt
from logitkit import kernels
from logitkit.torch import _device
from tests import oracle
from tests.accuracy.draws import DTYPES
from tests.accuracy.promise import Promise
from tests.accuracy.torch_promises import TWINS
from tests.twins import (
    BINARY_CALLS,
    CLASS_CALLS,
    CLASSES,
    INF,
    NAN,
    ROWS,
    Pair,
    linear_pairs,
    logits,
    proportions,
)

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"

WHY_NOT = "Triton isn't installed: make frameworks runs its kernels"
triton, tl = (pytest.importorskip(name, reason=WHY_NOT) for name in ("triton", "triton.language"))
if not (INTERPRETED or torch.cuda.is_available()):
    pytest.skip("no CUDA device, and TRITON_INTERPRET isn't 1: the kernels did not run", allow_module_level=True)

_triton = import_module("logitkit.kernels._triton")
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the interpreter computes with NumPy

LINEAR = linear_pairs()
PROMISES = [promise for promise in TWINS if "cross_entropy" in promise.name]


@pytest.fixture(autouse=True)
def _kernels_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.why_off_on_gpu() is None
    if INTERPRETED:
        monkeypatch.setattr(kernels, "why_off", lambda: "a test asks for the kernels for a GPU")
        monkeypatch.setattr(_device, "is_on_gpu", lambda x: True)


@pytest.fixture(autouse=True)
def _tensors_are_there() -> Iterator[None]:
    with torch.device(DEVICE):
        yield


def by_composite(call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "why_off", lambda: "a test compares with the composites")
        patch.setattr(_device, "is_on_gpu", lambda x: False)
        return call()


def here(options: dict[str, Any]) -> dict[str, Any]:
    return {name: v.to(DEVICE) if isinstance(v, Tensor) else v for name, v in options.items()}


def drawn(draw: Callable[..., Tensor], *shape: int) -> Tensor:
    """Return what a generator of a CPU draws."""
    with torch.device("cpu"):
        return draw(*shape).detach().to(DEVICE)


def value_and_gradient(loss: Callable[..., Tensor], z: Tensor, *targets: Tensor, **options: Any) -> tuple[Tensor, ...]:
    """Return a loss and its gradient for cotangents that differ."""
    z = z.detach().requires_grad_()
    value = loss(z, *targets, **options)
    slopes = torch.linspace(0.5, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
    return value.detach(), *grad(value, z, slopes)


def assert_agrees(call: Callable[[Callable[..., Tensor]], tuple[Tensor, ...]], theirs: Any, rtol: float) -> None:
    """Check a twin's value and gradient beside those of PyTorch's own loss in float64."""
    for got, expected in zip(call(lt), call(theirs), strict=True):
        torch.testing.assert_close(got.double(), expected.double(), rtol=rtol, atol=rtol / 100, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)
def test_keeps_the_promises(promise: Promise, dtype: type) -> None:
    # Minutes of them in the interpreter; `test_torch_cuda.py` tries all.
    some = replace(promise, arguments=lambda dtype: islice(promise.arguments(dtype), 0, None, 5))
    assert some.worst(dtype, some.ours) <= some.bound[dtype]


@pytest.mark.parametrize("margin", [0.0, 1.0, 17.0, 30.0, 50.0, 80.0])
def test_keeps_the_digits_of_a_confident_row(margin: float) -> None:
    for z, label in (([margin, 0.0], 0), ([0.0, margin], 1), ([1000 + margin, 1000.0], 0)):
        softplus, expit = float(oracle.softplus(oracle.number(-margin))), float(oracle.expit(oracle.number(-margin)))
        expected = [-expit, expit] if label == 0 else [expit, -expit]
        labels = torch.tensor([label])
        for target in (labels, F.one_hot(labels, 2).float()):
            loss, slopes = value_and_gradient(lt.cross_entropy, torch.tensor([z]), target, reduction="sum")
            np.testing.assert_allclose(loss.item(), softplus, rtol=2e-7)
            np.testing.assert_allclose(slopes[0].tolist(), [0.5 * e for e in expected], rtol=4e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("name", CLASS_CALLS)
def test_every_option_is_pytorchs(name: str, reduction: str, dtype: torch.dtype) -> None:
    target, options = CLASS_CALLS[name]
    target, options, z = target.to(DEVICE), here(options), drawn(logits, ROWS, CLASSES)

    def call(module: Any) -> tuple[Tensor, ...]:
        wide = torch.float64 if module is F else dtype
        own = target.to(wide) if target.is_floating_point() else target
        return value_and_gradient(module.cross_entropy, z.to(wide), own, **options, reduction=reduction)

    assert type(lt.cross_entropy(z.requires_grad_(), target, reduction="none").grad_fn).__name__ == "_ByKernelsBackward"
    assert_agrees(call, F, 1e-12 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("name", BINARY_CALLS)
def test_every_option_of_the_binary_loss_is_pytorchs(name: str, reduction: str, dtype: torch.dtype) -> None:
    x, y = (drawn(draw, ROWS, CLASSES).to(dtype) for draw in (logits, proportions))

    def call(module: Any) -> tuple[Tensor, ...]:
        wide = torch.float64 if module is F else dtype
        options = {factor: v.to(wide) for factor, v in here(BINARY_CALLS[name]).items()}
        return value_and_gradient(
            module.binary_cross_entropy_with_logits, x.to(wide), y.to(wide), **options, reduction=reduction
        )

    assert_agrees(call, F, {torch.float64: 1e-12, torch.float32: 1e-5}.get(dtype, 4 * torch.finfo(dtype).eps))


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("name", LINEAR)
def test_layer_and_loss_are_pytorchs(name: str, reduction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair, gradient, calls = LINEAR[name], _device.CrossEntropy.gradient, []
    monkeypatch.setattr(_device.CrossEntropy, "gradient", lambda *a: calls.append(a) or gradient(*a))
    tensors = [
        t.detach().to(DEVICE).requires_grad_(t.is_floating_point() and i < 3) for i, t in enumerate(pair.tensors)
    ]
    with torch.device("cpu"):
        Pair(pair.ours, pair.theirs, *tensors, **here(pair.options), reduction=reduction).assert_agree()
    assert len(calls) == 1


@pytest.mark.parametrize("classes", [1, 2, 10, 4096, 4097, 9000])
def test_rows_longer_than_a_tile(classes: int) -> None:
    z = 3 * torch.randn(5, classes, dtype=torch.float64, generator=torch.Generator(DEVICE).manual_seed(0))
    z[1], z[2] = z[1].sort().values, z[2].sort(descending=True).values
    z[3, :-1] = -INF  # tiles of nothing but masks
    target = torch.tensor([0, classes - 1, 0, classes - 1, classes // 2])
    soft = torch.softmax(z.flip(0), 1)
    for options in ({}, {"label_smoothing": 0.1, "weight": torch.linspace(0.5, 2, classes, dtype=torch.float64)}):
        for own, place in product((target, soft), (slice(0, 3), slice(4, 5)) if options else (slice(None),)):

            def call(module: Any, own: Tensor = own, place: slice = place, options: Any = options) -> Any:
                return value_and_gradient(module.cross_entropy, z[place], own[place], reduction="none", **options)

            if own is target or place.stop:
                assert_agrees(call, F, 1e-12)


def test_a_share_of_a_masked_class_costs_infinity_also_in_a_tile_of_masks() -> None:
    z = torch.zeros(1, 4097)
    z[0, :4096] = -INF
    assert lt.cross_entropy(z, torch.tensor([4096]), label_smoothing=0.1) == INF
    assert lt.cross_entropy(z, torch.full((1, 4097), 2.0**-13)) == INF


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    z = (5 * torch.randn(40, 7, generator=torch.Generator(DEVICE).manual_seed(1))).to(dtype)
    target = torch.arange(40) % 7
    got = value_and_gradient(lt.cross_entropy, z, target)
    expected = value_and_gradient(F.cross_entropy, z.double(), target)
    assert {t.dtype for t in got} == {dtype}
    for g, e in zip(got, expected, strict=True):
        # The interpreter cuts bfloat16 off, where a GPU rounds it.
        units = 1.0 if INTERPRETED and dtype == torch.bfloat16 else 0.51
        assert ((g.double() - e).abs() <= units * torch.finfo(dtype).eps * e.abs() + 2.0**-24).all()


def test_a_scaled_loss_in_float16_keeps_gradients_that_would_vanish() -> None:
    z = torch.tensor([[17.0, 0.0]], dtype=torch.float16, requires_grad=True)
    (2.0**15 * lt.cross_entropy(z, torch.tensor([0]), reduction="none").float()).backward()
    np.testing.assert_allclose(z.grad[0, 1].item(), 2.0**15 * lk.expit(-17.0), rtol=1e-3)


@pytest.mark.parametrize("integers", [torch.uint8, torch.int32, torch.int64])
@pytest.mark.parametrize("soft", [False, True])
def test_strides_are_read(soft: bool, integers: torch.dtype) -> None:
    generator = torch.Generator(DEVICE).manual_seed(2)
    batch = torch.randn(4, 5, 3, 2, dtype=torch.float64, generator=generator)
    shares = torch.softmax(torch.randn(4, 5, 3, 2, dtype=torch.float64, generator=generator), 1)
    classes = torch.randint(5, (4, 3, 2), generator=generator).to(integers)
    views: list[Callable[[Tensor], Tensor]] = [
        lambda t: t,
        lambda t: t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t,
        lambda t: t.transpose(-1, -2),
        lambda t: t[::2, ..., :1],
        lambda t: t[:1].expand(6, *t.shape[1:]),
    ]
    for view in views:
        z, target = view(batch), view(shares if soft else classes)

        def call(module: Any, z: Tensor = z, target: Tensor = target) -> tuple[Tensor, ...]:
            own = target.long() if module is F and not soft else target
            return value_and_gradient(module.cross_entropy, z, own, reduction="none")

        assert_agrees(call, F, 1e-12)
        assert_agrees(lambda m, z=z: value_and_gradient(m.binary_cross_entropy_with_logits, z, z.sigmoid()), F, 1e-12)
    row = torch.randn(10, dtype=torch.float64, generator=generator)[::2]
    assert_agrees(lambda m: value_and_gradient(m.cross_entropy, row, torch.tensor(3)), F, 1e-12)


@pytest.mark.parametrize("strides", [(2**31 + 5, 1), (1, 2**30 + 5)])
def test_places_beyond_two_to_the_31_are_found(strides: tuple[int, int]) -> None:
    """Memory that nobody touches costs nothing on a CPU; a GPU has to have it."""
    rows, classes = 2, 3
    values = torch.tensor([[1.0, 2.0, -1.0], [0.0, -3.0, 2.0]])
    storage = torch.empty((rows - 1) * strides[0] + (classes - 1) * strides[1] + 1, dtype=torch.bfloat16)
    z = storage.as_strided((rows, classes), strides)
    z.copy_(values)
    target = torch.tensor([0, 2])
    got = value_and_gradient(lt.cross_entropy, z, target)
    for g, e in zip(got, value_and_gradient(F.cross_entropy, values, target), strict=True):
        torch.testing.assert_close(g.float(), e, rtol=2.0**-7, atol=0)


@triton.jit
def bits_of_rows(out):
    """Write how many bits a row's number has."""
    tl.store(out, _triton.numbers_of_program(4).dtype.primitive_bitwidth)


def test_rows_are_counted_in_64_bits() -> None:
    out = torch.zeros(1, dtype=torch.int32)
    bits_of_rows[(1,)](out)
    assert out.item() == 64


def test_an_ignored_row_may_hold_anything() -> None:
    z = torch.tensor([[1.0, 2.0], [NAN, INF], [-INF, -INF], [3.0, 1.0]])
    for options in ({}, {"label_smoothing": 0.1}, {"weight": torch.tensor([1.0, 3.0])}):
        got = value_and_gradient(lt.cross_entropy, z, torch.tensor([0, 7, 7, 1]), ignore_index=7, **options)
        expected = value_and_gradient(F.cross_entropy, z[::3].double(), torch.tensor([0, 1]), **here_double(options))
        torch.testing.assert_close(got[0].double(), expected[0], rtol=1e-6, atol=0)
        torch.testing.assert_close(got[1][::3].double(), expected[1], rtol=1e-6, atol=0)
        assert (got[1][1:3] == 0).all()


def here_double(options: dict[str, Any]) -> dict[str, Any]:
    return {name: v.double() if isinstance(v, Tensor) else v for name, v in options.items()}


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"weight": torch.tensor([0.0, 1.0, 2.0])}])
def test_infinities_and_nan_are_those_of_the_composite(
    options: Any, reduction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = list(product([INF, -INF, NAN, 0.0, 3.0], repeat=3))
    z, target = torch.tensor(values), torch.arange(len(values)) % 3
    for own in (target, F.one_hot(target, 3).float(), torch.tensor([0.5, 0.5, 0.0]).expand(z.shape)):

        def call(own: Tensor = own) -> Any:
            return value_and_gradient(lt.cross_entropy, z, own, reduction=reduction, **here(options))

        for got, expected in zip(call(), by_composite(call, monkeypatch), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-8, equal_nan=True)


def test_infinities_and_nan_of_the_binary_loss_are_those_of_the_composite(monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(product([INF, -INF, NAN, 0.0, 90.0, -150.0], [0.0, 0.25, 1.0], [0.0, 1.0], [0.0, 3.0]))
    x, y, weight, pos_weight = torch.tensor(values).T

    def call() -> Any:
        options = {"weight": weight, "pos_weight": pos_weight, "reduction": "none"}
        return value_and_gradient(lt.binary_cross_entropy_with_logits, x, y, **options)

    for got, expected in zip(call(), by_composite(call, monkeypatch), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=0, equal_nan=True)


def test_what_is_no_target_gives_nan() -> None:
    z = torch.zeros(4, 3)
    loss, slopes = value_and_gradient(lt.cross_entropy, z, torch.tensor([0, 3, -1, -100]), reduction="none")
    assert loss.isnan().tolist() == [False, True, True, False]
    assert slopes.isnan().all(1).tolist() == [False, True, True, False]
    shares = torch.tensor([[1.0, 0, 0], [1 + 1e-6, 0, -1e-6], [1.5, 0, 0], [0, -0.5, 0]])
    loss, slopes = value_and_gradient(lt.cross_entropy, z, shares, reduction="none")
    assert loss.isnan().tolist() == slopes.isnan().any(1).tolist() == [False, False, True, True]
    loss, slopes = value_and_gradient(
        lt.binary_cross_entropy_with_logits, z[:, 0], torch.tensor([1.0, 1 + 1e-6, 1.5, -0.5]), reduction="none"
    )
    assert loss.isnan().tolist() == slopes.isnan().tolist() == [False, False, True, True]


def test_booleans_are_targets_of_the_binary_loss() -> None:
    x = torch.tensor([1.0, -2.0])
    got = value_and_gradient(lt.binary_cross_entropy_with_logits, x, torch.tensor([True, False]))
    torch.testing.assert_close(
        got, value_and_gradient(lt.binary_cross_entropy_with_logits, x, torch.tensor([1.0, 0.0]))
    )


def test_a_weighted_mean_over_nothing_is_no_number() -> None:
    loss, slopes = value_and_gradient(lt.cross_entropy, torch.zeros(2, 3), torch.tensor([-100, -100]))
    assert loss.isnan()
    assert (slopes == 0).all()


def test_second_derivatives_are_those_of_the_composite() -> None:
    z, target = drawn(logits, 3, 4).requires_grad_(), torch.tensor([0, 1, 2])
    torch.autograd.gradgradcheck(lambda z: lt.cross_entropy(z, target, weight=torch.ones(4)), z)
    shares = torch.full((3, 4), 0.3)
    torch.autograd.gradgradcheck(lambda z: lt.binary_cross_entropy_with_logits(z, shares), z)


def test_a_batch_of_cotangents() -> None:
    z = drawn(logits, 3, 4).requires_grad_()
    loss = lt.cross_entropy(z, torch.tensor([0, 1, 2]), reduction="none")
    (rows,) = grad(loss, z, torch.eye(3, dtype=torch.float64), is_grads_batched=True, retain_graph=True)
    (whole,) = grad(loss, z, torch.ones(3, dtype=torch.float64).expand(3))
    torch.testing.assert_close(rows.sum(0), whole)


def test_logits_that_were_overwritten_are_not_used_for_a_gradient() -> None:
    z = torch.zeros(2, 3, requires_grad=True)
    twice = 2 * z
    loss = lt.cross_entropy(twice, torch.tensor([0, 1]))
    with torch.no_grad():
        twice.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_one_variable_switches_them_off() -> None:
    code = "import logitkit; logitkit.show_config()"
    for value, expected in (("0", "on CUDA  PyTorch: LOGITKIT_KERNELS is 0"), ("1", "on CUDA  Triton")):
        environment = {**os.environ, "LOGITKIT_KERNELS": value}
        shown = subprocess.run(
            [sys.executable, "-c", code], text=True, capture_output=True, check=True, env=environment
        )
        assert expected in shown.stdout


def test_a_factor_on_another_device_is_left_to_pytorch() -> None:
    x = torch.zeros(3)
    assert _device.suits(x, torch.ones(()))
    assert not _device.suits(x, torch.ones((), device="meta"))


@pytest.mark.parametrize("loss", [lt.cross_entropy, lt.binary_cross_entropy_with_logits])
def test_compilers_and_transforms_see_the_composite(loss: Callable[..., Tensor]) -> None:
    z, shares = drawn(logits, 3, 4), torch.full((3, 4), 0.25, dtype=torch.float64)
    expected = loss(z, shares)
    torch.testing.assert_close(torch.compile(loss, backend="eager", fullgraph=True)(z, shares), expected)
    torch.testing.assert_close(torch.func.vmap(loss)(z[None], shares[None])[0], expected)
    torch.testing.assert_close(torch.func.grad(loss)(z, shares), value_and_gradient(loss, z, shares)[1] / 0.5)


def test_where_triton_fails_the_composites_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("Failed to find C compiler")

    z, target = torch.tensor([[17.0, 0.0]], requires_grad=True), torch.tensor([0])
    _device.can_run.cache_clear()
    monkeypatch.setattr(_triton, "answer", {(1,): fail})
    with pytest.warns(UserWarning, match="Failed to find C compiler"):
        loss = lt.cross_entropy(z, target, reduction="none")
    assert "Kernels" not in type(loss.grad_fn).__name__
    np.testing.assert_allclose(loss.item(), lk.softplus(-17.0), rtol=2e-7)
    _device.can_run.cache_clear()


COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from logitkit.kernels import _triton

FLOATS = {"float16": "*fp16", "bfloat16": "*bf16", "float32": "*fp32", "float64": "*fp64"}

def compiled(name, dtype, **options):
    kernel, own = getattr(_triton, name), FLOATS[dtype]
    soft = options.get("soft", True)
    kinds = {n: own for n in ("logits", "grads", "losses")} | {"target": own if soft else "*i64", "specials": "*i64"}
    kinds |= {"tops": "*fp64" if dtype == "float64" else "*fp32", "weight": "*fp32", "pos_weight": "*fp32"}
    kinds |= {n: "*fp64" for n in ("wholes", "totals", "slopes", "cotangents")}
    kinds |= {"losses": "*fp64"} if "rows" in name or options.get("summed") else {}
    options = {n: v for n, v in options.items() if n in kernel.arg_names}
    signature = {n: "constexpr" if n in options else kinds.get(n, "i64") for n in kernel.arg_names}
    made = compile(ASTSource(kernel, signature, constexprs=options), GPUTarget("cuda", 90, 32), {"num_warps": 8})
    assert "ex2.approx" not in made.asm["ptx"] or dtype == "float64"

for dtype in FLOATS:
    for soft, smoothing, rows in ((False, 0.0, 1), (True, 0.1, 16)):
        for name in ("losses_of_rows", "gradient_of_rows"):
            tile = {"lanes": rows, "block": 512 // rows, "slack": 1e-6}
            compiled(name, dtype, soft=soft, weighted=soft, smoothing=smoothing, spread=smoothing / 10, **tile)
    for name in ("binary_losses", "gradient_of_binary"):
        compiled(name, dtype, summed=dtype == "float64", slack=1e-6, block=512)
"""


def test_they_compile_for_a_gpu_that_is_not_here() -> None:
    """The interpreter takes more than the compiler does."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    subprocess.run([sys.executable, "-c", COMPILE], check=True, env=environment)
