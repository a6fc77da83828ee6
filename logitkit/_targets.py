"""What a loss is asked: a prediction on one scale, a target, weights and a reduction, all checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logitkit._arrays import (
    Axis,
    Float64s,
    Floats,
    Reduction,
    as_array,
    as_floats,
    integer,
    proportions,
    require,
    require_same_shape,
    require_within,
)
from logitkit._scales import as_rows, require_sum_of_one


@dataclass(frozen=True)
class Targets:
    """Targets of a class loss: one index a row, or a distribution along each row."""

    labels: npt.NDArray[Any]
    kept: npt.NDArray[np.bool_]  # one value a row: False where it is ignored
    weight: Float64s  # one value a class
    smoothing: float
    divisor: float  # of the sum of the losses, for the reduction

    @property
    def hard(self) -> bool:
        """Whether each row's target is one class."""
        return self.labels.ndim == self.kept.ndim and self.smoothing == 0

    def distribution(self, labels: npt.NDArray[Any]) -> Float64s:
        """Return the targets t of a block of rows, before smoothing."""
        return labels if labels.ndim == 2 else np.equal.outer(labels, np.arange(len(self.weight))).astype(np.float64)

    def shares(self, labels: npt.NDArray[Any]) -> Float64s:
        """Return w_i t_i, with the smoothed t, of a block of rows."""
        return ((1 - self.smoothing) * self.distribution(labels) + self.smoothing / len(self.weight)) * self.weight


def class_targets(
    target: npt.ArrayLike,
    prediction: Floats,
    axis: Axis,
    weight: npt.ArrayLike | None,
    ignore_index: int | None,
    smoothing: float,
    reduction: Reduction,
) -> Targets:
    """Return checked targets of a class loss, as :func:`logitkit.cross_entropy` describes them."""
    axis = integer(axis, "axis")
    classes = prediction.shape[axis]
    smoothing = share(smoothing, "label_smoothing")
    class_weight = np.ones(classes) if weight is None else _class_weights(weight, classes)
    if weight is not None and reduction == "mean":
        # A mean does not see the scale of its weights; near one, no product with them underflows.
        class_weight = np.ldexp(class_weight, -np.frexp(class_weight.max(initial=0))[1])
    labels, kept = _indices_or_distribution(as_array(target, "target"), prediction, axis, ignore_index)
    total = float(np.count_nonzero(kept))
    if weight is not None:
        indices = labels.ndim < prediction.ndim
        own = class_weight[labels] if indices else np.moveaxis(labels, axis, -1) @ class_weight
        shares = kept * ((1 - smoothing) * own + smoothing * class_weight.sum() / max(1, classes))
        total = shares.sum()
    return Targets(labels, kept, class_weight, smoothing, divisor_for(total, reduction))


def _indices_or_distribution(
    target: npt.NDArray[Any], prediction: Floats, axis: int, ignore_index: int | None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    rows = prediction.shape[:axis] + prediction.shape[axis + 1 :]
    if target.shape == prediction.shape:
        if ignore_index is not None:
            raise ValueError("ignore_index goes with class indices, but target holds distributions")
        labels = proportions(
            as_floats(target, "target"), "target", "a distribution over the classes holds probabilities"
        )
        require_sum_of_one(labels.sum(axis=axis, dtype=np.float64), labels, "target", "is it a multi-label target?")
        return labels, np.ones(rows, dtype=bool)
    if target.shape != rows:
        raise ValueError(
            f"target must have the shape {rows} (class indices) or {prediction.shape} (distributions), "
            f"but has {target.shape}"
        )
    return class_indices(target, prediction.shape[axis], ignore_index)


def class_indices(
    target: npt.NDArray[Any], classes: int, ignore_index: int | None
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return checked class indices, 0 where they are ignored, and where they are not."""
    if target.size == 0:
        target = target.astype(np.intp)  # an empty list holds no fractions
    if target.dtype.kind not in "iu":
        raise ValueError(f"target must hold integers where it holds class indices, not {target.dtype}")
    kept = np.ones(target.shape, bool) if ignore_index is None else target != integer(ignore_index, "ignore_index")
    require(
        ~kept | ((target >= 0) & (target < classes)),
        target,
        "target",
        f"be a class from 0 to {classes - 1}",
        "do the labels count from 1, or is ignore_index missing?",
    )
    return np.where(kept, target, 0).astype(np.intp), kept


def one_scale(**given: npt.ArrayLike | None) -> tuple[str, npt.ArrayLike]:
    """Return the one argument that is given, with its name."""
    named = {name: values for name, values in given.items() if values is not None}
    if len(named) != 1:
        raise ValueError(f"give exactly one of {', '.join(given)}; got {' and '.join(named) or 'none'}")
    return next(iter(named.items()))


def class_prediction(axis: Axis, **given: npt.ArrayLike | None) -> tuple[str, Floats, Axis]:
    """Return the one prediction that is given: its name, its values, and `axis` from the front."""
    name, values = one_scale(**given)
    return name, *as_rows(values, name, axis, name.removeprefix("target_"))


def binary_prediction(**given: npt.ArrayLike | None) -> tuple[str, Floats]:
    """Return the one prediction that is given: its scale and its values."""
    name, values = one_scale(**given)
    prediction = as_floats(values, name)
    if name == "probs":
        prediction = proportions(prediction, name, "did you pass logits? expit turns log-odds into probabilities")
    if name == "log_probs":
        require_within(prediction, name, -np.inf, 0, "did you pass logits? log_expit turns them into log-probabilities")
    return name, prediction


def binary_targets(
    target: npt.ArrayLike, prediction: Floats, weight: npt.ArrayLike | None, pos_weight: npt.ArrayLike | None
) -> list[Floats]:
    """Return the four operands of a binary loss: prediction, target, weight and pos_weight."""
    targets = as_floats(target, "target")
    require_same_shape(targets, "target", prediction, "the prediction")
    targets = proportions(
        targets, "target", "it is the probability of the positive class, not a label of -1 or 2, nor a logit"
    )
    factors = (_factor(weight, "weight", prediction.shape), _factor(pos_weight, "pos_weight", prediction.shape))
    return [prediction, targets, *factors]


def _class_weights(weight: npt.ArrayLike, classes: int) -> Float64s:
    weights = _weights(weight, "weight")
    if weights.shape != (classes,):
        raise ValueError(
            f"weight must hold one weight for each of the {classes} classes, but has shape {weights.shape}"
        )
    return weights


def _factor(weight: npt.ArrayLike | None, name: str, shape: tuple[int, ...]) -> Float64s:
    if weight is None:
        return np.ones(())
    weights = _weights(weight, name)
    try:
        fits = np.broadcast_shapes(weights.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name} must broadcast to the shape of the prediction, {shape}, but has {weights.shape}")
    return weights


def _weights(weight: npt.ArrayLike, name: str) -> Float64s:
    weights = as_floats(weight, name).astype(np.float64)
    # Far beyond any use the products with a weight would overflow.
    require(
        (weights >= 0) & (weights <= 1e100), weights, name, "lie in [0, 1e+100]", "a weight is a relative importance"
    )
    return weights


def share(value: float, name: str) -> float:
    """Return `value`, one number in [0, 1]."""
    number = scalar(value, name)
    require(np.asarray(0 <= float(number) <= 1), number, name, "lie in [0, 1]", "it is a share of the whole")
    return float(number)


def scalar(value: float, name: str) -> Floats:
    """Return `value` as a float64 array without dimensions."""
    number = as_floats(value, name)
    if number.ndim:
        raise TypeError(f"{name} must be one number, but has shape {number.shape}")
    return number.astype(np.float64)


def divisor_for(total: float, reduction: Reduction) -> float:
    """Return what the sum of the losses is divided by; `total` is the number of losses, or their total weight."""
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f"reduction must be 'none', 'sum' or 'mean', not {reduction!r}")
    if reduction != "mean":
        return 1.0
    if total == 0:
        raise ValueError("reduction 'mean' has nothing to average: no row, or no weight, is left; 'sum' gives 0")
    return float(total)


def require_layer_options(softcap: float | None, z_loss: float) -> None:
    """Raise unless logits can be capped, and squares priced, by these."""
    if softcap is not None and not 0 < softcap < np.inf:
        raise ValueError(f"softcap must be a positive number, but is {softcap}; None leaves the logits as they are")
    if not 0 <= z_loss < np.inf:
        raise ValueError(f"z_loss must be a number from 0 on, but is {z_loss}; it is the price of logsumexp squared")


@np.errstate(all="ignore")
def reduce(losses: Float64s, divisor: float, reduction: Reduction, dtype: npt.DTypeLike) -> Any:
    """Return the losses, their sum or their mean, rounded once to `dtype`."""
    return (losses if reduction == "none" else losses.sum() / divisor).astype(dtype)[()]
