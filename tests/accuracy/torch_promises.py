"""The promises of the PyTorch twins, beside PyTorch's own functions."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

import logitkit.torch as lt
from tests import oracle
from tests.accuracy.draws import (
    binary_targets,
    negative_numbers,
    probabilities,
    real_numbers,
    rows,
    rows_with_class,
    rows_with_distribution,
)
from tests.accuracy.floors import last_place_of_operands, last_place_of_proportion
from tests.accuracy.promise import (
    Promise,
    grad_of_class,
    grad_of_distribution,
    grad_on_tensors,
    loss_of_class,
    loss_of_distribution,
    on_tensors,
    one_by_one,
    swapped,
)


def _own_precision(single_and_double: float) -> dict[type, float]:
    """The twins compute float16 in float32, and the others in themselves."""
    return {np.float16: 0.52, np.float32: single_and_double, np.float64: single_and_double}


TWINS = (
    Promise(
        "logit",
        _own_precision(4),
        probabilities,
        on_tensors(lt.logit),
        one_by_one(oracle.logit),
        {"PyTorch": on_tensors(torch.logit)},
    ),
    Promise(
        "softplus",
        _own_precision(4),
        real_numbers,
        on_tensors(lt.softplus),
        one_by_one(oracle.softplus),
        {"PyTorch": on_tensors(F.softplus)},
    ),
    Promise("log1mexp", _own_precision(4), negative_numbers, on_tensors(lt.log1mexp), one_by_one(oracle.log1mexp)),
    Promise(
        "log_softmax",
        _own_precision(6),
        rows,
        on_tensors(lambda z: lt.log_softmax(z, -1)),
        oracle.log_softmax,
        {"PyTorch": on_tensors(lambda z: torch.log_softmax(z, -1))},
    ),
    Promise(
        "cross_entropy, class",
        _own_precision(6),
        rows_with_class,
        on_tensors(lt.cross_entropy),
        loss_of_class,
        {"PyTorch": on_tensors(F.cross_entropy)},
    ),
    Promise(
        "cross_entropy, class: gradient",
        _own_precision(6),
        rows_with_class,
        swapped(grad_on_tensors(lt.cross_entropy)),
        grad_of_class,
        {"PyTorch": swapped(grad_on_tensors(F.cross_entropy))},
    ),
    Promise(
        "cross_entropy, distribution",
        _own_precision(6),
        rows_with_distribution,
        on_tensors(lt.cross_entropy),
        loss_of_distribution,
        {"PyTorch": on_tensors(F.cross_entropy)},
    ),
    Promise(
        "cross_entropy, distribution: gradient",
        _own_precision(6),
        rows_with_distribution,
        swapped(grad_on_tensors(lt.cross_entropy)),
        grad_of_distribution,
        {"PyTorch": swapped(grad_on_tensors(F.cross_entropy))},
        last_place_of_operands,
    ),
    Promise(
        "binary_cross_entropy_with_logits",
        _own_precision(6),
        binary_targets,
        on_tensors(lambda t, x: lt.binary_cross_entropy_with_logits(x, t, reduction="none")),
        one_by_one(oracle.binary_cross_entropy),
        {"PyTorch": on_tensors(lambda t, x: F.binary_cross_entropy_with_logits(x, t, reduction="none"))},
    ),
    Promise(
        "binary_cross_entropy_with_logits: gradient",
        _own_precision(6),
        binary_targets,
        grad_on_tensors(lambda x, t: lt.binary_cross_entropy_with_logits(x, t, reduction="sum")),
        one_by_one(oracle.binary_cross_entropy_grad),
        {"PyTorch": grad_on_tensors(lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="sum"))},
        last_place_of_proportion,
    ),
)
