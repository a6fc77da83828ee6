"""Numerics for logits: log-odds, softmax and their losses, accurate to the last digits, explicit about scales."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logitkit.kernels import show_config
    from logitkit.linear import linear_cross_entropy, linear_cross_entropy_value_and_grad
    from logitkit.links import expit, log1mexp, log_expit, logit, odds, softplus
    from logitkit.losses import (
        binary_cross_entropy,
        binary_cross_entropy_value_and_grad,
        cross_entropy,
        cross_entropy_value_and_grad,
        focal_loss,
        kl_divergence,
    )
    from logitkit.simplex import center, class_log_odds, log_softmax, logits_from_probs, logsumexp, softmax

__version__ = "0.1.0"

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_value_and_grad",
    "center",
    "class_log_odds",
    "cross_entropy",
    "cross_entropy_value_and_grad",
    "expit",
    "focal_loss",
    "kl_divergence",
    "linear_cross_entropy",
    "linear_cross_entropy_value_and_grad",
    "log1mexp",
    "log_expit",
    "log_softmax",
    "logit",
    "logits_from_probs",
    "logsumexp",
    "odds",
    "show_config",
    "softmax",
    "softplus",
]

_ROOMS = ("linear", "links", "losses", "simplex", "kernels")


def __getattr__(name: str) -> object:
    # On first use (PEP 562): `import logitkit.conventions` and the command line then need no NumPy.
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name in __all__:
        rooms = (import_module(f"{__name__}.{room}") for room in _ROOMS)
        return globals().setdefault(name, next(getattr(room, name) for room in rooms if hasattr(room, name)))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
