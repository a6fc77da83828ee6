"""What public bug reports of other libraries asked of the twins, and the suites of those libraries found in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad

import logitkit as lk
import logitkit.torch as lt
from tests.twins import CLASSES, INF, NAN, ROWS, doubles, labels

Z = doubles(ROWS, CLASSES)
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"weight": torch.full((256,), 2.0)}])
def test_ignore_index_does_not_wrap_around_in_a_narrow_target(dtype: torch.dtype, options: dict[str, Any]) -> None:
    # -100 is 156 in uint8.
    target = torch.tensor([156 if dtype != torch.int8 else 100], dtype=torch.int64).to(dtype)
    z = torch.zeros(1, 256, requires_grad=True)
    loss = lt.cross_entropy(z, target, **options)
    torch.testing.assert_close(loss, torch.tensor(256.0).log())
    assert grad(loss, z)[0][0, target.item()] < 0
    layer = lt.linear_cross_entropy(torch.zeros(1, 2), torch.zeros(256, 2), target, **options)
    torch.testing.assert_close(layer, torch.tensor(256.0).log())


def test_class_of_64_bits_without_a_sign_does_not_wrap_around() -> None:
    beyond = torch.tensor([2**64 - 100], dtype=torch.uint64)  # as a signed integer it's the ignored class -100
    for call in (lambda z: lt.cross_entropy(z, beyond), lambda z: lt.vocab_parallel_cross_entropy(z, beyond)):
        with pytest.raises(ValueError, match="target must be a class from 0 to 2"):
            call(torch.zeros(1, CLASSES))


@pytest.mark.parametrize("label", [-1, CLASSES])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_out_of_range_is_nan_where_its_value_cannot_be_read(label: int, smoothing: float) -> None:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        return lt.cross_entropy(z, y, label_smoothing=smoothing)

    mapped = torch.vmap(torch.func.grad_and_value(loss))
    slopes, losses = mapped(torch.zeros(2, 1, CLASSES), torch.tensor([[0], [label]]))
    assert losses.isnan().tolist() == [False, True]
    assert slopes.isnan().flatten(1).all(1).tolist() == [False, True]


def test_float64_stays_float64_within_autocast() -> None:
    features, layer = torch.full((1, 1), 1e5, dtype=torch.float64), torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = lt.linear_cross_entropy(features, layer, torch.tensor([1]))
    assert loss == 1e5
    assert loss.dtype == torch.float64


def test_softplus_does_not_overflow_on_the_way() -> None:
    assert lt.softplus(torch.tensor(4.0), beta=1e38) == 4
    x = torch.tensor([-3.0, 0.0, 3.0], dtype=torch.float64, requires_grad=True)
    for beta in (-2.0, 0.5, 5.0):
        ours, theirs = (f(x, beta=beta) for f in (lt.softplus, F.softplus))
        torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)
        torch.testing.assert_close(*(grad(v.sum(), x)[0] for v in (ours, theirs)), rtol=1e-14, atol=0)


def test_default_device_does_not_show() -> None:
    with torch.device("meta"):
        loss = lt.cross_entropy(Z, torch.zeros(ROWS, device="cpu").long(), label_smoothing=0.1)
    assert loss.device.type == "cpu"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lt.binary_cross_entropy_with_logits(Z, Z.sigmoid(), pos_weight=3.0), "pos_weight must be a tensor"),
        (lambda: lt.binary_cross_entropy_with_logits(Z, [1.0]), "target must be a tensor, not list"),
        (lambda: lt.cross_entropy(Z, labels(ROWS), weight=[1, 2, 3]), "weight must be a tensor, not list"),
        (lambda: lt.cross_entropy(Z.numpy(), labels(ROWS)), "input must be a tensor, not ndarray"),
        (lambda: lt.log_softmax([1.0], dtype=torch.float64), "input must be a tensor, not list"),
        (lambda: lt.cross_entropy(Z, labels(ROWS), ignore_index=2.5), "ignore_index must be one integer, not 2.5"),
        (lambda: lt.cross_entropy(Z, labels(ROWS), label_smoothing="a"), "label_smoothing must be one number, not 'a'"),
        (lambda: lt.cross_entropy(Z, labels(ROWS), label_smoothing=None), "must be one number, not None"),
        (lambda: lt.cross_entropy(Z, labels(ROWS), label_smoothing=torch.zeros(3)), "must be one number, not tensor"),
        (lambda: lt.log_softmax(Z, 1.5), "must be int, not float"),
        (lambda: lk.softmax(torch.zeros(2, requires_grad=True)), "z is not an array: Can't call numpy"),
        (lambda: lk.softmax(torch.zeros(2).bfloat16()), "z is not an array: Got unsupported ScalarType"),
    ],
)
def test_argument_of_another_type_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_one_number_in_a_tensor_is_a_share() -> None:
    losses = [lt.cross_entropy(Z, labels(ROWS), label_smoothing=share) for share in (torch.tensor(0.125), 0.125)]
    assert losses[0] == losses[1]


def test_complex_numbers_are_no_target() -> None:
    for loss in (lt.binary_cross_entropy_with_logits, lt.cross_entropy):
        with pytest.raises(ValueError, match=r"target must hold .*numbers.*, not torch\.complex128"):
            loss(Z, Z.softmax(1).to(torch.complex128))


@pytest.mark.parametrize("function", [lt.log_softmax, lt.class_log_odds])
@pytest.mark.parametrize("dim", [2, -3])
def test_dimension_out_of_range_is_named_as_in_pytorch(function: Callable[..., Tensor], dim: int) -> None:
    for z, expected in ((Z, r"in range of \[-2, 1\], but got"), (torch.tensor(1.0), "imension")):
        with pytest.raises(IndexError, match=expected):
            function(z, dim)


def test_targets_elsewhere_are_named_as_in_pytorch() -> None:
    for call in (
        lambda: lt.cross_entropy(Z, labels(ROWS).to("meta")),
        lambda: lt.binary_cross_entropy_with_logits(Z, Z.sigmoid().to("meta")),
    ):
        with pytest.raises(RuntimeError, match="device"):
            call()


def test_booleans_are_targets_of_both_losses() -> None:
    x, y = torch.tensor([0.5, -2.0]), torch.tensor([True, False])
    torch.testing.assert_close(
        lt.binary_cross_entropy_with_logits(x, y), F.binary_cross_entropy_with_logits(x, y.float())
    )
    torch.testing.assert_close(lt.cross_entropy(x.outer(x), y), F.cross_entropy(x.outer(x), y.long()))


def test_no_class_leaves_nothing() -> None:
    empty = torch.zeros(3, 0)
    assert lt.log_softmax(empty, 1).shape == lt.class_log_odds(empty).shape == (3, 0)
    assert lt.cross_entropy(empty, torch.full((3,), -100), reduction="none").tolist() == [0, 0, 0]
    assert lt.cross_entropy(empty, empty, reduction="none").tolist() == [0, 0, 0]


def test_target_a_rounding_above_one_is_one() -> None:
    votes = torch.zeros(1, 2)
    for _ in range(10):
        votes[0, 0] += 0.1
    assert votes[0, 0] > 1
    z = torch.tensor([[17.0, 0.0]])
    assert lt.cross_entropy(z, votes) == lt.cross_entropy(z, torch.tensor([[1.0, 0.0]]))
    assert lt.binary_cross_entropy_with_logits(z, votes.expand(1, 2)) == lt.binary_cross_entropy_with_logits(
        z, torch.tensor([[1.0, 0.0]])
    )
    mapped, exact = torch.vmap(lt.cross_entropy)(z[None], votes[None]), lt.cross_entropy(z, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(mapped[0], exact, rtol=4e-7, atol=0)  # what is mapped isn't computed by a kernel
    with pytest.raises(ValueError, match="it is a probability"):
        lt.cross_entropy(z, torch.tensor([[1.001, 0.0]]))


def test_result_has_the_wider_dtype_of_logits_and_distribution() -> None:
    z = torch.zeros(64, 100, dtype=torch.float16)
    target = torch.full((64, 100), 30.0).softmax(1)
    ours, theirs = (f(z + 200, target, reduction="sum") for f in (lt.cross_entropy, F.cross_entropy))
    assert ours.dtype == theirs.dtype == torch.float32
    torch.testing.assert_close(ours, 64 * torch.tensor(100.0).log())


@pytest.mark.parametrize("of_logits", DTYPES)
@pytest.mark.parametrize("of_target", DTYPES)
@pytest.mark.parametrize("loss", [lt.cross_entropy, lt.binary_cross_entropy_with_logits])
def test_a_soft_target_widens_the_dtype_of_the_loss_and_a_factor_does_not(
    loss: Any, of_target: torch.dtype, of_logits: torch.dtype
) -> None:
    z, target = torch.zeros(2, 4, dtype=of_logits), torch.full((2, 4), 0.25, dtype=of_target)
    weight = torch.ones(4, dtype=torch.float64)
    for reduction in ("none", "mean"):
        assert loss(z, target, weight=weight, reduction=reduction).dtype == torch.promote_types(of_logits, of_target)
    hard = torch.zeros(2, dtype=torch.long) if loss is lt.cross_entropy else torch.zeros(2, 4, dtype=torch.bool)
    assert loss(z, hard, weight=weight).dtype == of_logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(z, hard).dtype == torch.promote_types(of_logits, torch.float32)


def test_layer_of_narrow_operands_has_a_loss_in_float32() -> None:
    features, layer = doubles(64, 8).bfloat16(), doubles(50, 8, seed=1).bfloat16()
    loss = lt.linear_cross_entropy(features, layer, labels(64, classes=50))
    exact = F.cross_entropy(features.double() @ layer.double().T, labels(64, classes=50))
    assert loss.dtype == torch.float32
    assert abs(loss - exact) < 0.01


def test_layer_with_its_loss_is_a_module() -> None:
    torch.manual_seed(0)
    module = lt.LinearCrossEntropyLoss(4, CLASSES, bias=True, weight=torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1)
    features = torch.randn(ROWS, 4)
    expected = F.cross_entropy(module.linear(features), labels(ROWS), weight=module.weight, label_smoothing=0.1)
    torch.testing.assert_close(module(features, labels(ROWS)), expected)
    assert set(module.state_dict()) == {"weight", "linear.weight", "linear.bias"}


def test_masked_value_beside_nan_is_nan() -> None:
    z = torch.tensor([[NAN, -INF, 0.0]])
    assert lt.cross_entropy(z, torch.tensor([2])).isnan()
