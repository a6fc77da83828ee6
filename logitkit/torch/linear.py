"""Output layer and loss in one: logits exist for one block of rows at a time."""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import Tensor

from logitkit._targets import require_layer_options
from logitkit.torch._blocks import rows_in_block
from logitkit.torch._classes import ClassTarget
from logitkit.torch._inputs import (
    is_plain,
    legacy_reduction,
    mixes_precision,
    overridable,
    require_floats,
    require_scale,
    widened,
)
from logitkit.torch._layer import LayerLoss

# Logits in a block: enough for the matrix product to run at full speed, few beside those of a large batch.
BLOCK = 3 << 20
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
    softcap: float | None = None,
    z_loss: float = 0.0,
) -> Tensor:
    r"""Cross entropy of a linear layer's logits, which are never stored: ``torch.nn.functional.linear_cross_entropy``.

    .. math:: \operatorname{CE}(W h + b, y)

    The logits of a block of rows are computed, used and dropped, so the memory besides the gradients is that of a few
    blocks of three million logits, on an accelerator 67 million, whatever the number of rows. If the loss is one
    number and a gradient will be wanted, that's made in the same pass. The loss holds it until the backward pass: an
    array of the size of each operand that needs one, at least in float32. A second backward pass, one of losses that
    aren't reduced, and one in float16 on an accelerator, compute the logits again.

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
    softcap : float, optional
        Cap c on the size of the logits: z becomes :math:`c \tanh(z / c)`. A bias of -inf still masks a class.
    z_loss : float
        Price of the free constant: this many times the square of logsumexp(z) is added to the loss of each row that
        isn't ignored. Class weights don't apply to it, and its mean is over those rows, as in Liger-Kernel.

    Returns
    -------
    Tensor
        Loss in nats, in float32, or float64 where `input` is. Its error is that of the matrix product and of
        :func:`logitkit.torch.cross_entropy`.

    Raises
    ------
    ValueError
        As for :func:`logitkit.torch.cross_entropy`, if the shapes of the layer do not fit, `softcap` isn't positive or
        `z_loss` is negative.
    TypeError
        If an argument that is a tensor above isn't one, or `ignore_index` isn't an integer.

    References
    ----------
    Wijmans et al., *Cut your losses in large-vocabulary language models*, arXiv:2411.09009, for the idea; Hsu et al.,
    *Liger Kernel*, arXiv:2410.10989, for gradients in the forward pass; Gemma Team, *Gemma 2*, arXiv:2408.00118, for
    the cap; Chowdhery et al., *PaLM*, arXiv:2204.02311, for the z-loss.

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> features, layer = torch.eye(2), torch.tensor([[20.0, 0.0], [0.0, 20.0], [0.0, 0.0]])
    >>> lt.linear_cross_entropy(features, layer, torch.tensor([0, 2]), reduction="none")
    tensor([4.1223e-09, 2.0000e+01])
    """
    reduction = legacy_reduction(None, None, reduction)
    require_layer_options(softcap, z_loss)
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
    require_scale(target, rows, (*rows, classes))
    flat = math.prod(rows)
    target = target.reshape(flat, *target.shape[len(rows) :])
    goal = ClassTarget(target, classes, weight, -100 if ignore_index is None else ignore_index, label_smoothing)

    device = input.device.type
    mixed = mixes_precision(device)
    if mixed:
        # A backward pass has no autocast, so what it would do to the operands is done before; it leaves float64 alone.
        narrow = torch.get_autocast_dtype(device)
        input, *layer = (t if t.dtype == torch.float64 else t.to(narrow) for t in (input, *layer))

    loss = LayerLoss(goal, math.inf if softcap is None else softcap, z_loss, reduction)
    operands, others = (input.reshape(flat, *width), *layer), (target, *goal.shared)
    with torch.autocast(device, enabled=False) if mixed else nullcontext():
        if is_plain(*operands, *others) and not any(t.requires_grad for t in others):
            result = loss.of_ordinary(rows_in_block(input, classes, (BLOCK, ACCELERATOR_BLOCK)), *operands)
        else:
            result = loss.of_all(*operands)
    return (result.reshape(rows) if reduction == "none" else result).to(widened(input).dtype)


class LinearCrossEntropyLoss(torch.nn.Module):
    """A linear layer with the loss of its logits: ``torch.nn.LinearCrossEntropyLoss``, with one loss per row.

    Parameters
    ----------
    in_features, num_classes : int
        The width of the features and the number of classes.
    bias, device, dtype
        As for ``torch.nn.Linear``, which is the module's ``linear``.
    reduction, weight, ignore_index, label_smoothing, softcap, z_loss
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
        softcap: float | None = None,
        z_loss: float = 0.0,
    ) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(in_features, num_classes, bias=bias, device=device, dtype=dtype)
        self.register_buffer("weight", weight)
        self.reduction, self.ignore_index, self.label_smoothing = reduction, ignore_index, label_smoothing
        self.softcap, self.z_loss = softcap, z_loss

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
            softcap=self.softcap,
            z_loss=self.z_loss,
        )
