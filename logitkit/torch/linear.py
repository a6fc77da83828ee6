"""Output layer and loss in one: logits exist for one block of rows at a time, forward and backward."""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from logitkit.torch._blocks import RowFormula, in_blocks
from logitkit.torch._checks import require_floats, require_scale
from logitkit.torch.losses import legacy_reduction, mixes_precision, reduced, row_losses, total_weight

# Logits in a block: enough for the matrix product to run at full speed, few beside those of a large batch.
BLOCK = 1 << 22
ACCELERATOR_BLOCK = 1 << 26


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

    The logits of a block of rows are computed, used and dropped, and computed again in the backward pass, so that the
    memory beside the gradients is that of a few blocks of 2\ :sup:`22` logits, on an accelerator 2\ :sup:`26`, whatever
    the number of rows.

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
        Loss in nats, in the dtype of `input` (float32 within autocast). Its error is that of the matrix product and of
        :func:`logitkit.torch.cross_entropy`.

    Raises
    ------
    ValueError
        As for :func:`logitkit.torch.cross_entropy`, and if the shapes of the layer do not fit.

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
    ignore_index = -100 if ignore_index is None else ignore_index
    require_floats(input)
    if linear_weight.dim() != 2 or input.shape[-1:] != linear_weight.shape[1:]:
        raise ValueError(
            f"input (..., D) and linear_weight (C, D) must agree in D, but have {tuple(input.shape)} and "
            f"{tuple(linear_weight.shape)}"
        )
    classes = len(linear_weight)
    if linear_bias is not None and linear_bias.shape != (classes,):
        raise ValueError(f"linear_bias must have the shape {(classes,)}, but has {tuple(linear_bias.shape)}")
    rows = tuple(input.shape[:-1])
    distributions = require_scale(target, rows, (*rows, classes))
    target = target.reshape(-1, classes) if distributions else target.reshape(-1)

    layer = [linear_weight] if linear_bias is None else [linear_weight, linear_bias]
    device = input.device.type
    mixed = mixes_precision(device)
    if mixed:
        # A backward pass has no autocast, so what it would do to the operands is done before.
        input, *layer = (t.to(torch.get_autocast_dtype(device)) for t in (input, *layer))

    def formula(features: Tensor, target: Tensor, *shared: Tensor) -> Tensor:
        class_weight = None if weight is None else shared[-1]
        if not distributions:
            # A row that is left out may hold NaN, which times 0 would spoil the gradient of the layer.
            features = features.masked_fill((target == ignore_index)[:, None], 0)
        logits = F.linear(features, *shared[: len(layer)])
        return row_losses(logits, target, class_weight, ignore_index, label_smoothing)

    shared = layer if weight is None else [*layer, weight]
    with torch.autocast(device, enabled=False) if mixed else nullcontext():
        block = BLOCK if device == "cpu" else ACCELERATOR_BLOCK
        features = input.reshape(-1, input.shape[-1])
        losses = in_blocks(RowFormula(formula), (features, target), shared, block // max(1, classes))
    total = total_weight(losses, target, weight, ignore_index)
    result = reduced(losses.reshape(rows), total, reduction)
    return result if mixed else result.to(input.dtype)
