"""Output layer and loss in one: logits exist for one block of rows at a time, forward and backward."""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from logitkit.torch._blocks import in_blocks
from logitkit.torch._inputs import (
    legacy_reduction,
    mixes_precision,
    overridable,
    require_floats,
    require_scale,
    widened,
)
from logitkit.torch.losses import ClassTarget, reduced

# Logits in a block: enough for the matrix product to run at full speed, few beside those of a large batch.
BLOCK = 1 << 22
ACCELERATOR_BLOCK = 1 << 26


@overridable
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    r"""Cross entropy of a linear layer's logits, which are never stored: ``torch.nn.functional.linear_cross_entropy``.

    .. math:: \operatorname{CE}(W h + b, y)

    The logits of a block of rows are computed, used and dropped, and computed again in the backward pass, so the
    memory besides the gradients is that of a few blocks of 2\ :sup:`22` logits, on an accelerator 2\ :sup:`26`,
    whatever the number of rows.

    Parameters
    ----------
    input : Tensor
        Features h, of shape (..., D).
    linear_weight : Tensor
        Weights W of the layer, of shape (C, D).
    target : Tensor
        Integers of shape (...): class indices. Floating-point numbers of shape (..., C): distributions.
    linear_bias : Tensor, optional
        Bias b of the layer, of shape (C,).
    weight, reduction, ignore_index, label_smoothing
        As for :func:`logitkit.torch.cross_entropy`; `ignore_index` None is -100.

    Returns
    -------
    Tensor
        Loss in nats, in float32, or float64 where `input` is. Its error is that of the matrix product and of
        :func:`logitkit.torch.cross_entropy`.

    Raises
    ------
    ValueError
        As for :func:`logitkit.torch.cross_entropy`, and if the shapes of the layer do not fit.
    TypeError
        If an argument that is a tensor above isn't one, or `ignore_index` isn't an integer.

    References
    ----------
    Wijmans et al., *Cut your losses in large-vocabulary language models*, arXiv:2411.09009, for the idea.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> features, layer = torch.eye(2), torch.tensor([[20.0, 0.0], [0.0, 20.0], [0.0, 0.0]])
    >>> lt.linear_cross_entropy(features, layer, torch.tensor([0, 2]), reduction="none")
    tensor([4.1223e-09, 2.0000e+01])
    """
    reduction = legacy_reduction(None, None, reduction)
    width = require_floats(input).shape[-1:]
    if require_floats(linear_weight, "linear_weight").dim() != 2 or width != linear_weight.shape[1:]:
        raise ValueError(
            f"input (..., D) and linear_weight (C, D) must agree in D, but have {tuple(input.shape)} and "
            f"{tuple(linear_weight.shape)}"
        )
    classes = len(linear_weight)
    layer = [linear_weight]
    if linear_bias is not None:
        if require_floats(linear_bias, "linear_bias").shape != (classes,):
            raise ValueError(f"linear_bias must have the shape {(classes,)}, but has {tuple(linear_bias.shape)}")
        layer.append(linear_bias)
    rows = tuple(input.shape[:-1])
    distributions = require_scale(target, rows, (*rows, classes))
    flat = math.prod(rows)
    target = target.reshape(flat, *target.shape[len(rows) :])
    goal = ClassTarget(target, classes, weight, -100 if ignore_index is None else ignore_index, label_smoothing)

    device = input.device.type
    mixed = mixes_precision(device)
    if mixed:
        # A backward pass has no autocast, so what it would do to the operands is done before; it leaves float64 alone.
        narrow = torch.get_autocast_dtype(device)
        input, *layer = (t if t.dtype == torch.float64 else t.to(narrow) for t in (input, *layer))

    def formula(features: Tensor, *others: Tensor) -> Tensor:
        of_rows, shared = others[: len(goal.of_rows)], others[len(goal.of_rows) :]
        if not distributions:
            # A row that is left out may hold NaN, which times 0 would spoil the gradient of the layer.
            features = features.masked_fill(~of_rows[1].unsqueeze(-1), 0)
        return goal.losses_of_block(F.linear(features, *shared[: len(layer)]), *of_rows, *shared[len(layer) :])

    with torch.autocast(device, enabled=False) if mixed else nullcontext():
        features = input.reshape(flat, *width)
        operands, shared = (features, *goal.of_rows), (*layer, *goal.shared)
        losses = goal.checked(in_blocks(formula, operands, shared, classes, (BLOCK, ACCELERATOR_BLOCK)))
    return reduced(losses.reshape(rows), goal.divisor(), reduction).to(widened(input).dtype)


class LinearCrossEntropyLoss(torch.nn.Module):
    """A linear layer with the loss of its logits: ``torch.nn.LinearCrossEntropyLoss``, with one loss per row.

    Parameters
    ----------
    in_features, num_classes : int
        The width of the features and the number of classes.
    bias, device, dtype
        As for ``torch.nn.Linear``, which is the module's ``linear``.
    reduction, weight, ignore_index, label_smoothing
        As for :func:`logitkit.torch.linear_cross_entropy`.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> loss_of = lt.LinearCrossEntropyLoss(in_features=2, num_classes=3)
    >>> _ = torch.nn.init.zeros_(loss_of.linear.weight)
    >>> features = torch.ones(4, 2)
    >>> print(f"{loss_of(features, torch.tensor([0, 1, 2, 0])).item():.4f}")  # log(3): the classes are all alike
    1.0986
    """

    weight: Tensor | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(in_features, num_classes, bias=bias, device=device, dtype=dtype)
        self.register_buffer("weight", weight)
        self.reduction, self.ignore_index, self.label_smoothing = reduction, ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the layer's logits of features `input` under `target`."""
        return linear_cross_entropy(
            input,
            self.linear.weight,
            target,
            linear_bias=self.linear.bias,
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )
