"""Drop-in twins of PyTorch's functions and losses of logits, which keep their digits at any margin.

They have the signatures, defaults and reductions of their counterparts in `torch` and `torch.nn.functional`, compute
in the precision of their input, and can be differentiated any number of times, mapped and compiled. On a GPU kernels
in Triton compute the losses of ordinary tensors. Compile the other functions there, because `torch.compile` turns many
small operations into a few.
"""

from logitkit.torch.guard import ScaleError, ScaleWarning, guard
from logitkit.torch.linear import LinearCrossEntropyLoss, linear_cross_entropy
from logitkit.torch.links import log1mexp, logit, softplus
from logitkit.torch.losses import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    binary_cross_entropy_with_logits,
    cross_entropy,
)
from logitkit.torch.parallel import vocab_parallel_cross_entropy
from logitkit.torch.simplex import class_log_odds, log_softmax

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "LinearCrossEntropyLoss",
    "ScaleError",
    "ScaleWarning",
    "binary_cross_entropy_with_logits",
    "class_log_odds",
    "cross_entropy",
    "guard",
    "linear_cross_entropy",
    "log1mexp",
    "log_softmax",
    "logit",
    "softplus",
    "vocab_parallel_cross_entropy",
]
