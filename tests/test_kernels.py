"""The compiled kernels give what the formulas give, wherever the formulas give something, and as exactly."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special
from torch.autograd import grad

import logitkit as lk
import logitkit.torch as lt
from logitkit import kernels
from tests import oracle
from tests.backends import names_of_kernels
from tests.cases import Array

INF, NAN = np.inf, np.nan
# Around the number of lanes, of classes of a short row, of lanes in a long one, and of a part of it.
CLASSES = (1, 2, 10, 64, 65, 129, 1000, 1025, 2100)
SCALES: dict[str, Callable[[Array], Array]] = {
    "logits": lambda z: z,
    "probs": partial(special.softmax, axis=1),
    "log_probs": partial(special.log_softmax, axis=1),
}
ROWS = "[[3., 1, 0], [0, 40, 1], [1, 2, 0]]"
LOSS = f"""import sys, logitkit as lk
lk.kernels.WORTH_A_KERNEL = 0
print(*lk.cross_entropy_value_and_grad([0, 1, 2], logits={ROWS}))
print(*lk.cross_entropy_value_and_grad([0, 1, 2], logits={ROWS}, label_smoothing=0.1))
print(*lk.binary_cross_entropy_value_and_grad([0, 1, 1], logits=[0.5, 40, -800]))
print(lk.focal_loss([0, 1, 1], logits=[0.5, 40, -800]))
print(lk.kl_divergence(target_logits={ROWS}, probs=[[0.5, 0.25, 0.25]] * 3))
print(lk.softmax({ROWS}), lk.log_softmax({ROWS}), lk.logit([0, 0.3, 0.5]), lk.expit([-3, 3]), lk.log_expit([-30, 5]))
print('numba' in sys.modules)
"""


@pytest.fixture(autouse=True)
def _kernels_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.why_off() is None
    monkeypatch.setattr(kernels, "WORTH_A_KERNEL", 0)


def by_formula(call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "why_off", lambda: "a test compares with the formulas")
        return call()


def batches(dtype: Any) -> Iterator[tuple[Array, Array]]:
    rng = np.random.default_rng(0)
    for classes in CLASSES:
        for spread in (1.0, 30.0, 3000.0):
            z = rng.normal(0, spread, (70 if classes < 1000 else 3, classes)).astype(dtype)
            z[rng.random(z.shape) < 0.1] = -INF
            labels = rng.integers(0, classes, len(z))
            labels[::3] = z[::3].argmax(axis=1)
            z[z.max(axis=1) == -INF] = 0
            yield z, labels


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_loss_and_gradient_are_those_of_the_formulas(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    units = 8 if dtype is np.float64 else 1
    for z, labels in batches(dtype):
        weight = np.linspace(0, 2, z.shape[1]) + 0.5

        def call(z: Array = z, labels: Array = labels, weight: Array = weight) -> Any:
            with np.errstate(over="ignore"):
                return lk.cross_entropy_value_and_grad(
                    labels, logits=z, weight=weight, ignore_index=0 if z.shape[1] > 1 else None, reduction="none"
                )

        for got, expected in zip(call(), by_formula(call, monkeypatch), strict=True):
            finite = np.isfinite(expected)
            np.testing.assert_array_equal(got[~finite], expected[~finite])
            np.testing.assert_array_max_ulp(got[finite], expected[finite], units)


def soft_targets(z: Array, labels: Array) -> Iterator[tuple[Array, float]]:
    shares = lk.softmax(np.random.default_rng(4).normal(0, 2, z.shape))
    shares[:, ::3] = 0
    shares[:, 1 % shares.shape[1]] += 1 - shares.sum(axis=1)
    yield labels, 0.1
    yield shares.astype(z.dtype), 0.0
    yield shares.astype(z.dtype), 0.2


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_soft_loss_and_gradient_are_those_of_the_formulas(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for z, labels in batches(dtype):
        for target, smoothing in soft_targets(z, labels):

            def call(z: Array = z, target: Array = target, smoothing: float = smoothing) -> Any:
                options = {"weight": np.linspace(0, 2, z.shape[1]) + 0.5, "label_smoothing": smoothing}
                with np.errstate(over="ignore"):
                    return lk.cross_entropy_value_and_grad(target, logits=z, reduction="none", **options)

            for got, expected in zip(call(), by_formula(call, monkeypatch), strict=True):
                finite = np.isfinite(expected)
                np.testing.assert_array_equal(got[~finite], expected[~finite])
                np.testing.assert_array_max_ulp(got[finite], expected[finite], 1)


def test_nan_of_any_payload_stays_nan() -> None:
    for dtype, bits in ((np.float32, (1, 0x7A2, 0x3FFFFF, 0x7FFFFF)), (np.float64, (1, 0x7A2, 2**51 - 1, 2**52 - 1))):
        size = np.dtype(dtype).itemsize
        quiet_or_not = np.array(bits, f"u{size}") | np.array(np.inf, dtype).view(f"u{size}")
        for x in (quiet_or_not.view(dtype), -quiet_or_not.view(dtype)):
            for function in (lk.expit, lk.softplus, lk.log_expit):
                assert np.isnan(function(x)).all()
            rows = np.stack([x, np.zeros_like(x)], axis=1)
            assert np.isnan(lk.cross_entropy([1, 1, 0, 0], logits=rows, reduction="none")).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_a_kernel_leaves_are_computed_among_the_others(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    z = np.random.default_rng(1).normal(0, 3, (200, 5)).astype(dtype)
    z[7, 2], z[100], z[150, 3], z[199] = NAN, [INF, 0, 1, 2, -INF], NAN, [0, -744, -745, -744.5, -INF]

    def call() -> Any:
        return lk.cross_entropy_value_and_grad(np.zeros(200, int), logits=z, reduction="none")

    got, expected = call(), by_formula(call, monkeypatch)
    assert np.isnan(got[0]).nonzero()[0].tolist() == [7, 150]
    assert got[0][100] == 0
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=8 * np.finfo(dtype).eps, atol=0)
    z[42] = -INF
    with pytest.raises(ValueError, match=r"the largest of logits\[42\] is -inf"):
        call()


@pytest.mark.parametrize(
    ("function", "dtype"),
    [
        *product([lk.logsumexp, lk.class_log_odds, lk.softmax, lk.log_softmax], [np.float16, np.float32]),
        *product([lk.logsumexp, lk.softmax, lk.log_softmax], [np.float64]),
    ],
)
def test_rows_are_those_of_the_formulas(function: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = names_of_kernels(monkeypatch)
    for z, _ in batches(dtype):
        z[0] = 0  # ties, whose log-odds and whose logsumexp less log C are 0
        z[1] -= dtype(special.logsumexp(z[1].astype(np.float64)))
        computed.clear()
        got, expected = function(z), by_formula(partial(function, z), monkeypatch)
        assert computed == [function.__name__]
        np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))
        units = 4 if dtype is np.float64 else 1
        np.testing.assert_array_max_ulp(got[np.isfinite(got)], expected[np.isfinite(got)], units)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("target_scale", SCALES)
@pytest.mark.parametrize("scale", SCALES)
def test_divergence_is_that_of_the_formula(
    target_scale: str, scale: str, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = names_of_kernels(monkeypatch)
    rng = np.random.default_rng(0)
    for z, _ in batches(np.float32):
        other = z + rng.normal(0, 1 if z.shape[0] % 2 else 1e-2, z.shape)
        sides = {f"target_{target_scale}": SCALES[target_scale](other), scale: SCALES[scale](z)}
        sides = {name: side.astype(dtype) for name, side in sides.items()}
        call = partial(lk.kl_divergence, **sides, reduction="none")
        computed.clear()
        got, expected = call(), by_formula(call, monkeypatch)
        assert computed == ["kl_divergence"]
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(got[~finite], expected[~finite])
        # Where both nearly agree, the last digits of the logarithms are worth this much.
        np.testing.assert_allclose(got[finite], expected[finite], rtol=8 * np.finfo(dtype).eps, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("scale", ["probs", "log_probs"])
def test_losses_of_distributions_are_those_of_the_formulas(
    scale: str, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = names_of_kernels(monkeypatch)
    for z, labels in batches(np.float32):
        classes, shares = z.shape[1], special.softmax(z[::-1], axis=1).astype(dtype)
        given: dict[str, Any] = {scale: SCALES[scale](z).astype(dtype), "reduction": "none"}
        weight = np.linspace(0, 2, classes)
        for target, options in (
            (labels, {"ignore_index": 0 if classes > 1 else None}),
            (labels, {"ignore_index": 1, "weight": weight, "label_smoothing": 0.1}),
            (shares, {"weight": weight}),
            (shares, {"label_smoothing": 0.5}),
        ):
            call = partial(lk.cross_entropy, target, **given, **options)
            computed.clear()
            got, expected = call(), by_formula(call, monkeypatch)
            assert computed == ["cross_entropy_of"]
            np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("scale", ["probs", "log_probs"])
def test_binary_losses_of_probabilities_are_those_of_the_formulas(
    scale: str, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = names_of_kernels(monkeypatch)
    x = np.concatenate([np.random.default_rng(0).normal(0, 5, (2008, 1)), [[40.0], [-INF], [NAN], [-700.0], [INF]]])
    values = (special.expit if scale == "probs" else special.log_expit)(x).astype(dtype)
    for y in (np.zeros_like(x), np.ones_like(x), np.linspace(0, 1, len(x))[:, None]):
        for options in ({}, {"weight": np.linspace(0, 2, len(x))[:, None], "pos_weight": 3.0}, {"pos_weight": x >= 0}):
            call = partial(lk.binary_cross_entropy, y, **{scale: values}, **options)
            computed.clear()
            got, expected = call(reduction="none"), by_formula(partial(call, reduction="none"), monkeypatch)
            assert computed == ["binary_cross_entropy_of"]
            np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps, atol=0)
            finite = np.isfinite(expected)
            call = partial(call, weight=finite * 1.0, reduction="sum")
            np.testing.assert_allclose(call(), by_formula(call, monkeypatch), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_centered_logits_are_those_of_the_formula(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = names_of_kernels(monkeypatch)
    for z, _ in batches(dtype):
        z[0], z[1] = 1, z[1] * 1e-3 + 100  # a row whose every number is the mean, and one near it
        if dtype is np.float64:
            z[2] *= 2.0**1000
        probs = special.softmax(z, axis=1)
        # A logarithm that's rounded otherwise shows where it's near the mean.
        rounding = 4 * np.finfo(np.float64).eps * -np.log(probs[probs > 0].min())
        for call, near in ((partial(lk.center, z), 0.0), (partial(lk.logits_from_probs, probs), rounding)):
            computed.clear()
            got, expected = call(), by_formula(call, monkeypatch)
            assert computed == ["center"]
            finite = np.isfinite(expected)
            np.testing.assert_array_equal(got[~finite], expected[~finite])
            np.testing.assert_allclose(got[finite], expected[finite], rtol=4 * np.finfo(dtype).eps, atol=near)


def test_centering_tells_rows_without_meaning() -> None:
    z = np.random.default_rng(0).normal(size=(200, 5))
    z[150] = -INF
    with pytest.raises(ValueError, match=r"the largest of z\[150\] is -inf"):
        lk.center(z)
    z[120, 3] = INF
    with pytest.raises(ValueError, match=r"z must be below inf, but z\[120, 3\] is inf"):
        lk.center(z)
    with pytest.raises(ValueError, match=r"the sum of p must be 1 in each row, but the sum of p\[170\] is 0\.5"):
        lk.logits_from_probs(np.where(np.arange(200)[:, None] == 170, 0.25, np.full((200, 2), 0.5)))


@pytest.mark.parametrize("classes", [3, 100])
@pytest.mark.parametrize("name", ["target_probs", "target_log_probs", "probs", "log_probs"])
def test_row_of_another_sum_is_found_among_many(name: str, classes: int) -> None:
    sides = {side: SCALES[side.removeprefix("target_")](np.zeros((200, classes))) for side in ("target_probs", "probs")}
    scale = name.removeprefix("target_")
    sides.pop("target_probs" if name.startswith("target_") else "probs")
    sides[name] = SCALES[scale](np.zeros((200, classes)))
    sides[name][150, 1] += -0.25 if scale == "log_probs" else 2 / classes / 1000 - 1 / classes
    shown = name if scale == "probs" else rf"exp\({name}\)"
    with pytest.raises(ValueError, match=rf"the sum of {shown} must be 1 in each row, but the sum of {shown}\[150\]"):
        lk.kl_divergence(**sides)
    sides[name][150] = NAN
    assert np.isnan(lk.kl_divergence(**sides, reduction="none")).nonzero()[0].tolist() == [150]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 2.0, 7.5, INF])
def test_focal_loss_is_that_of_the_formula(gamma: float, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = names_of_kernels(monkeypatch)
    x = np.concatenate([np.random.default_rng(0).normal(0, 5, 2000), [0, 40, -40, 800, -800, INF, -INF, NAN]])
    for y in (np.zeros(2008), np.ones(2008), np.arange(2008) % 2, np.full(2008, NAN)):
        call = partial(lk.focal_loss, y, logits=x.astype(dtype), gamma=gamma, alpha=0.25, reduction="none")
        computed.clear()
        got, expected = call(), by_formula(call, monkeypatch)
        assert computed == ["focal_loss"]
        if gamma == INF:  # 1 - exp(-40) is below 1, which float64 can't show
            got, expected = got[abs(x) < 30], expected[abs(x) < 30]
        # The roundings of the power's operand, which is 1 at most, count as often as the exponent has it.
        units = 4 + 2 * min(gamma, 10) if dtype is np.float64 else 1
        np.testing.assert_array_max_ulp(got, expected, units)


@pytest.mark.parametrize("classes", [40, 100])
@pytest.mark.parametrize("place", [0, 5])
def test_a_slope_that_is_nearly_zero_keeps_its_digits_in_any_lane(classes: int, place: int) -> None:
    # Of many rows the one where the class's probability comes nearest to its share of the target.
    rng, share = np.random.default_rng(0), 2.0**-6
    z = rng.normal(size=(20_000, classes)).astype(np.float32)
    rest = special.logsumexp(np.delete(z, place, axis=1).astype(np.float64), axis=1)
    z[:, place] = special.logit(share) + rest
    z = z[[abs(special.expit(z[:, place] - rest) - share).argmin()]]
    others = rng.multinomial(2**20 - 2**14, np.full(classes - 1, 1 / (classes - 1))) / 2**20
    target = np.insert(others, place, share)[None].astype(np.float32)

    slope = lk.cross_entropy_value_and_grad(target, logits=z)[1][0, place]
    expected = np.float32(oracle.to_float(oracle.softmax(oracle.exact(z))[place] - share))
    assert 0 < abs(expected) < 1e-12
    np.testing.assert_array_max_ulp(slope, expected, 1)


def test_an_ignored_row_may_hold_nan() -> None:
    z = np.array([[NAN, 0.0], [NAN, NAN], [1.0, 2.0]])
    value, slope = lk.cross_entropy_value_and_grad([9, 9, 0], logits=z, ignore_index=9)
    assert value == lk.softplus(1.0)
    assert (slope[:2] == 0).all()


@pytest.mark.parametrize("shape", [(5001, 10), (301, 700), (3, 60_000)])
def test_number_of_threads_does_not_show(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    z, labels = rng.normal(0, 3, shape), rng.integers(0, shape[1], shape[0])
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(kernels, "threads", lambda threads=threads: threads)
        others = lk.kl_divergence(target_logits=z[::-1], logits=z), lk.focal_loss(z > 0, logits=z)
        results.append((*others, *lk.cross_entropy_value_and_grad(labels, logits=z)))
    for *values, slope in results[1:]:
        assert values == [*results[0][:-1]]
        np.testing.assert_array_equal(slope, results[0][-1])


def _call_in_threads(kernel: Callable[..., None], rows: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from logitkit.kernels import _compiled

    monkeypatch.setattr(_compiled, "of_a_test", kernel, raising=False)
    kernels.run("of_a_test", rows, kernels.WORTH_A_THREAD, most_threads=threads)


@pytest.mark.parametrize("rows", [2, 3, 31, 64, 1001])
@pytest.mark.parametrize("threads", [1, 2, 9])  # nine are more than the helpers that any call has here
def test_each_row_is_computed_once(rows: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = np.zeros(rows, int)

    def kernel(first: int, last: int) -> None:
        computed[first:last] += 1

    for _ in range(50):
        _call_in_threads(kernel, rows, threads, monkeypatch)
    assert (computed == 50).all()


def test_a_part_that_fails_in_another_thread_fails_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    caller, failed = threading.current_thread(), threading.Event()

    def kernel(first: int, last: int) -> None:
        if threading.current_thread() is not caller:
            failed.set()
            raise MemoryError("of the helper")
        assert failed.wait(60)

    with pytest.raises(MemoryError, match="of the helper"):
        _call_in_threads(kernel, 100, 2, monkeypatch)
    test_each_row_is_computed_once(100, 2, monkeypatch)  # the helper is still there


def test_helpers_do_not_hold_up_the_end_of_the_process() -> None:
    code = """import atexit, numpy as np, logitkit as lk
def call():
    print(lk.cross_entropy(np.zeros(100_000, int), logits=np.zeros((100_000, 4))))
call()
atexit.register(call)"""
    assert len({*run(code, LOGITKIT_THREADS="2").split()}) == 1


def test_nothing_is_compiled_anew_for_arrays_that_may_not_be_written_to() -> None:
    z, labels = np.random.default_rng(3).normal(size=(70, 5)), np.zeros(70, int)
    calls: list[Callable[[Array], Any]] = [
        lambda z: lk.cross_entropy(labels, logits=z),
        lambda z: lk.binary_cross_entropy(lk.expit(z), logits=z),
        lk.softmax,
        lambda z: lk.focal_loss(z > 0, logits=z),
        lambda z: lk.kl_divergence(target_logits=z[::-1], logits=z),
    ]
    expected = [call(z) for call in calls]
    protected = np.frombuffer(z.tobytes()).reshape(z.shape)
    assert not protected.flags.writeable
    known = variants()
    for call, value in zip(calls, expected, strict=True):
        np.testing.assert_array_equal(call(protected), value)
    assert variants() == known
    assert not protected.flags.writeable


@pytest.mark.parametrize("scale", ["logits", "probs"])
def test_nothing_is_compiled_anew_for_weights_of_another_shape(scale: str) -> None:
    full = np.ones((70, 5))
    call = partial(lk.binary_cross_entropy, full, **{scale: full / 2})
    weights = [full, full[:1], full[:, :1], full[0, 0], full[::-1], np.broadcast_to(full[0], (70, 5))]
    call()
    known = variants()
    for weight, pos_weight in product(weights, repeat=2):
        call(weight=weight, pos_weight=pos_weight)
    assert variants() == known


def variants() -> dict[str, int]:
    """Return for how many kinds of arguments each kernel was compiled."""
    from logitkit.kernels import _compiled

    return {name: len(f.signatures) for name, f in vars(_compiled).items() if hasattr(f, "signatures")}


@cache
def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], text=True, capture_output=True, check=True, env={**os.environ, **environment}
    )
    return done.stdout


def test_one_variable_switches_them_off_and_one_sets_the_threads() -> None:
    shown = run(LOSS + "lk.show_config()", LOGITKIT_KERNELS="0", LOGITKIT_THREADS="3")
    assert "NumPy: LOGITKIT_KERNELS is 0" in shown
    assert "threads  3" in shown
    assert "\nFalse\n" in shown
    assert run(LOSS).endswith("\nTrue\n")


def test_they_run_as_plain_python_too() -> None:
    assert run(LOSS, NUMBA_DISABLE_JIT="1") == run(LOSS)


def test_import_needs_no_compiler() -> None:
    code = "import logitkit, logitkit.losses, sys; print({'numba', 'torch', 'triton'} & {*sys.modules})\n"
    code += "import logitkit.torch; print({'triton', 'torch._dynamo'} & {*sys.modules})"
    assert run(code) == "set()\nset()\n"


def _in_child(sender: Any) -> None:
    sender.send(float(lk.cross_entropy(np.zeros(100_000, int), logits=np.zeros((100_000, 4)))))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_process_starts_its_own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "threads", lambda: 2)
    expected = lk.cross_entropy(np.zeros(100_000, int), logits=np.zeros((100_000, 4)))
    receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(sender,))
    child.start()
    assert receiver.poll(60)
    assert receiver.recv() == expected
    child.join()


class TestTwin:
    """The twin of an eager tensor is the composite, computed by a kernel."""

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    @pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
    def test_value_and_gradient(self, dtype: torch.dtype, reduction: str, monkeypatch: pytest.MonkeyPatch) -> None:
        generator = torch.Generator().manual_seed(0)
        z = (5 * torch.randn(6, 7, 3, generator=generator)).to(dtype).requires_grad_()
        target = torch.randint(7, (6, 3), generator=generator)
        target[2] = -100

        def call() -> Any:
            loss = lt.cross_entropy(z, target, weight=torch.linspace(0, 2, 7), reduction=reduction)
            slopes = torch.linspace(0.5, 2, loss.numel(), dtype=loss.dtype).reshape(loss.shape)
            return loss, *grad(loss, z, slopes)

        got, expected = call(), by_formula(call, monkeypatch)
        assert type(got[0].grad_fn).__name__ != type(expected[0].grad_fn).__name__ or dtype == torch.float16
        for g, e in zip(got, expected, strict=True):
            assert g.dtype == e.dtype
            torch.testing.assert_close(g, e, rtol=8 * torch.finfo(dtype).eps, atol=0)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    @pytest.mark.parametrize("classes", [1, 7, 64, 65, 200])
    def test_log_softmax_and_its_gradient(
        self, classes: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        generator = torch.Generator().manual_seed(0)
        z = (5 * torch.randn(70, classes, 2, generator=generator)).to(dtype)
        if classes > 1:
            z[3, 1], z[4], z[5, 0] = -INF, -INF, INF  # a mask, a row without meaning, and a certain class
            z[4, 1], z[6] = NAN, torch.linspace(-800, 0, classes)[:, None]
            z[7, 0] = 45.0
        z.requires_grad_()
        slopes = torch.rand(z.shape, generator=generator).to(dtype)

        def call() -> Any:
            log_probs = lt.log_softmax(z, 1)
            return log_probs, *grad(log_probs, z, slopes)

        got, expected = call(), by_formula(call, monkeypatch)
        units = 16 if dtype in (torch.float32, torch.float64) else 1
        for g, e in zip(got, expected, strict=True):
            assert g.dtype == e.dtype
            tolerance = units * torch.finfo(dtype).eps
            torch.testing.assert_close(g, e, rtol=tolerance, atol=tolerance / 8, equal_nan=True)

    def test_gradient_of_a_log_probability_keeps_its_digits(self) -> None:
        z = torch.tensor([[40.0, 0.0, -3.0]], dtype=torch.float64, requires_grad=True)
        for label in range(3):
            slope = grad(lt.log_softmax(z, 1)[0, label], z)[0]
            expected = grad(-lt.cross_entropy(z, torch.tensor([label])), z)[0]
            torch.testing.assert_close(slope, expected, rtol=1e-15, atol=0)

    def test_soft_targets_of_long_rows_in_float64(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for z, labels in batches(np.float64):
            for target, smoothing in soft_targets(z, labels):
                goal, logits = torch.from_numpy(target), torch.from_numpy(z).requires_grad_()

                def call(logits: torch.Tensor = logits, goal: torch.Tensor = goal, smoothing: float = smoothing) -> Any:
                    loss = lt.cross_entropy(logits, goal, label_smoothing=smoothing, reduction="none")
                    return loss, *grad(loss.sum(), logits)

                for g, e in zip(call(), by_formula(call, monkeypatch), strict=True):
                    torch.testing.assert_close(g, e, rtol=1e-14, atol=1e-15, equal_nan=True)

    def test_gradient_of_a_retained_graph_is_computed_anew(self) -> None:
        z = torch.tensor([[1.0, 2.0, 0.5]], requires_grad=True)
        loss = lt.cross_entropy(z, torch.tensor([1]))
        loss.backward(retain_graph=True)
        once = z.grad.clone()
        loss.backward()
        torch.testing.assert_close(z.grad, 2 * once)

    @pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.0, 3.0])
    def test_gradient_of_a_scaled_loss_is_scaled(self, factor: float) -> None:
        z = torch.tensor([[1.0, 2.0, 0.5]], requires_grad=True)
        once, scaled = (grad(f * lt.cross_entropy(z, torch.tensor([1])), z)[0] for f in (1, factor))
        torch.testing.assert_close(scaled, factor * once)

    def test_logits_may_be_overwritten_before_the_backward_pass(self) -> None:
        z = torch.tensor([[1.0, 2.0, 0.5]], requires_grad=True)
        logits = z * 1
        expected = grad(lt.cross_entropy(z, torch.tensor([1])), z)[0]
        loss = lt.cross_entropy(logits, torch.tensor([1]))
        log_prob = lt.log_softmax(logits, 1)[0, 1]
        logits.detach().zero_()
        torch.testing.assert_close(grad(loss, z, retain_graph=True)[0], expected)
        torch.testing.assert_close(grad(-log_prob, z)[0], expected)


def test_loss_that_overflows_is_infinite() -> None:
    """Without a warning, as the formula has it."""
    logits = [-1e308, 0.0]
    assert lk.cross_entropy([0], logits=[logits], weight=[2.0, 2.0], reduction="none")[0] == INF
    assert lk.binary_cross_entropy(np.ones(2048), logits=np.full(2048, -3e305), reduction="sum") == INF
    rows = torch.tensor([logits, logits], dtype=torch.float64)
    assert lt.cross_entropy(rows, torch.tensor([0, 0]), reduction="sum") == INF
    far = torch.full((2048,), -3e305, dtype=torch.float64)
    assert lt.binary_cross_entropy_with_logits(far, torch.ones_like(far), reduction="sum") == INF
