"""Values at which a loss stops, each with what it means, a test that would confirm it, and the way out.

Every value is computed from its formula. A tell is a *floor* if a loss can come near it only from above, a *ceiling* if
only from below, and a *level* if it is met from both sides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PAGES = "https://logitkit.github.io/logitkit/chapters/"

# Numbers of classes worth a try when nobody says how many there are: small ones, and those of well-known data sets and
# vocabularies (CIFAR, ADE20K, COCO, ImageNet, BERT, T5, Llama, GPT-2, and so on).
USUAL_CLASSES = (2, 3, 4, 5, 10, 100, 1000)
KNOWN_CLASSES: tuple[int, ...] = (
    6,
    7,
    8,
    9,
    11,
    12,
    14,
    15,
    16,
    19,
    20,
    21,
    26,
    27,
    47,
    50,
    80,
    81,
    91,
    101,
    102,
    120,
    150,
    200,
)
KNOWN_CLASSES += (
    256,
    365,
    400,
    527,
    600,
    1001,
    8192,
    21843,
    28996,
    30522,
    32000,
    32128,
    50257,
    50265,
    50304,
    128256,
    151936,
)
SMOOTHINGS = (0.1, 0.05, 0.2, 0.01, 0.15, 0.3)


@dataclass(frozen=True)
class Cause:
    """What a value means, a line that is true if so, the way out, and where to read on."""

    title: str
    confirm: str
    fix: str
    page: str


CAUSES = {
    "chance": Cause(
        "chance: every class gets the same probability",
        "(outputs.softmax(1).std(0) < 1e-3).all()",
        "Fine at the first step. Later no gradient arrives, or the labels don't belong to the inputs: try to learn "
        "twelve examples by heart.",
        "traps.html#traps-not-bugs",
    ),
    "class entropy": Cause(
        "the same prediction for every example: the entropy of the class shares",
        "outputs.std(0).max() < 1e-3 or outputs.shape != target.shape",
        "The model ignores its input. In a binary loss written by hand, first look for shapes (n, 1) and (n,) that "
        "broadcast.",
        "traps.html#traps-broadcast",
    ),
    "double softmax": Cause(
        "probabilities into a loss that applies softmax",
        "0 <= outputs.min() and outputs.max() <= 1",
        "Return logits from the model, and apply softmax where somebody reads a probability.",
        "traps.html#traps-softmax-twice",
    ),
    "double softmax, always wrong": Cause(
        "probabilities into a loss that applies softmax, confident and always wrong",
        "0 <= outputs.min() and outputs.max() <= 1",
        "Return logits from the model, then look at the labels: nearly all predictions are wrong.",
        "traps.html#traps-softmax-twice",
    ),
    "triple softmax": Cause(
        "softmax three times: twice before a loss that applies it",
        "(outputs.sum(1) - 1).abs().max() < 1e-3 and outputs.max() < 0.8",
        "Return logits from the model; look for a wrapper that adds a softmax of its own.",
        "traps.html#ex-traps-triple",
    ),
    "double sigmoid": Cause(
        "probabilities into a binary loss that applies sigmoid",
        "0 <= outputs.min() and outputs.max() <= 1",
        "Take the sigmoid (or softmax) out of the model and keep the loss of logits.",
        "traps.html#traps-sigmoid-twice",
    ),
    "label smoothing": Cause(
        "no mistake: the floor of label smoothing",
        "criterion.label_smoothing > 0",
        "None needed: a smoothed loss can't go below the entropy of its target. Report the loss without smoothing.",
        "traps.html#traps-not-bugs",
    ),
    "clamp at 100": Cause(
        "PyTorch's BCELoss clamps each logarithm at -100",
        "(losses == 100).any()",
        "Pass logits to BCEWithLogitsLoss: beyond the clamp there's no gradient.",
        "traps.html#traps-bce-clamp",
    ),
    "clip at 1e-7": Cause(
        "a clip or epsilon of 1e-7, as in Keras: usually logits read as probabilities",
        "outputs.min() < 0 or outputs.max() > 1",
        "Set from_logits=True on the loss, and on the metric as well.",
        "traps.html#traps-keras",
    ),
    "epsilon": Cause(
        "an epsilon inside the logarithm, or a clip of probabilities",
        "abs(losses.max() + math.log(epsilon)) < 1e-3",
        "Use a loss of logits, which needs no epsilon: at the ceiling there's no gradient.",
        "traps.html#traps-epsilon",
    ),
    "exactly right in Keras": Cause(
        "Keras's clip seen from the other side: a probability of 1 - 1e-7, usually logits read as probabilities",
        "outputs.min() < 0 or outputs.max() > 1",
        "Set from_logits=True on the loss.",
        "traps.html#traps-keras",
    ),
    "probabilities into NLLLoss": Cause(
        "probabilities into NLLLoss or KLDivLoss, which want log-probabilities",
        "0 <= outputs.min() and outputs.max() <= 1",
        "Use log_softmax in front of it, or CrossEntropyLoss on logits.",
        "traps.html#traps-nll-probs",
    ),
    "logits into NLLLoss": Cause(
        "raw logits into NLLLoss: the loss has no lower bound",
        "outputs.max() > 0",
        "Use log_softmax in front of it, or CrossEntropyLoss on logits.",
        "traps.html#traps-nll-logits",
    ),
    "target outside [0, 1]": Cause(
        "a target outside [0, 1] in a binary loss, or swapped arguments",
        "target.min() < 0 or target.max() > 1",
        "Use target / 255 or (target + 1) / 2; pass input and target by keyword.",
        "traps.html#traps-target-range",
    ),
    "one column": Cause(
        "a softmax over a single output column, whose loss is always 0",
        "outputs.shape[1] == 1",
        "Use BCEWithLogitsLoss for one column, or two columns with CrossEntropyLoss.",
        "traps.html#traps-one-column",
    ),
    "lost digits": Cause(
        "a loss in float32 that rounds to 0 beyond a margin of about 17, or one label for all examples",
        "(losses == 0).any()",
        "Check the labels first. Then use a loss that keeps its digits, such as logitkit.torch.cross_entropy.",
        "fused-losses.html#fused-losses-zeros",
    ),
    "infinite": Cause(
        "the logarithm of a probability that rounds to 0",
        "(outputs.softmax(1) == 0).any()",
        "Use log_softmax, or a loss of logits, in place of log(softmax).",
        "traps.html#traps-log-softmax",
    ),
    "nothing to average": Cause(
        "a batch in which every target is ignored",
        "not (target != -100).any()",
        "Skip such batches, or divide a sum by the number of targets that count.",
        "traps.html#traps-padding",
    ),
    "not a number": Cause(
        "NaN in the inputs or the weights, or 0 times infinity in the loss",
        "not torch.isfinite(outputs).all()",
        "Look for the first NaN: inputs, then weights after each step. If the loss was infinite one step before, it's "
        "the logarithm of a softmax.",
        "traps.html#traps-log-softmax",
    ),
}


@dataclass(frozen=True)
class Tell:
    """A value that gives a cause away. A larger `weight` makes it a less common one."""

    cause: str
    value: float
    formula: str
    kind: str
    given: str = ""
    classes: int | None = None
    weight: float = 1.0


def double_softmax(classes: int) -> float:
    """log(1 + (C - 1) / e): the least cross entropy of scores that differ by at most 1."""
    return math.log1p((classes - 1) / math.e)


def triple_softmax(classes: int) -> float:
    """The least cross entropy of scores that differ by no more than what a softmax makes of scores in [0, 1]."""
    spread = math.expm1(1) / (math.e + classes - 1)
    return math.log1p((classes - 1) * math.exp(-spread))


def double_sigmoid(positive_rate: float) -> float:
    """Floor of a binary loss of logits in [0, 1]: log(1 + 1/e) per positive, log 2 per negative."""
    return positive_rate * math.log1p(1 / math.e) + (1 - positive_rate) * math.log(2)


def entropy(shares: Sequence[float]) -> float:
    """Entropy in nats."""
    return -math.fsum(share * math.log(share) for share in shares if share)


def smoothing_floor(smoothing: float, classes: int) -> float:
    """Entropy of a label that gives away a share, spread evenly over all classes."""
    rest = smoothing / classes
    return entropy([1 - smoothing + rest]) + (classes - 1) * entropy([rest])


def tells(classes: int | None, shares: Sequence[float] | None) -> Iterator[Tell]:
    """All values that are tried: for a number of classes or for the usual ones, and for class shares if given."""
    if classes:
        yield from of_classes(classes, 1.0)
    else:
        for count in (*USUAL_CLASSES, *KNOWN_CLASSES):
            yield from of_classes(count, 1.0 if count in USUAL_CLASSES else 3.0)
    if classes in (None, 2):
        yield from of_positive_rate(shares[1] if shares else None)
    if shares:
        yield Tell("class entropy", entropy(shares), "-sum of q log q over the class shares q", "level")
    yield from constants(classes)


def of_classes(count: int, weight: float) -> Iterator[Tell]:
    """Chance, floors and ceilings for a number of classes."""
    given = f"{count:,} classes"

    def tell(cause: str, value: float, formula: str, kind: str, rarer: float = 1.0) -> Tell:
        return Tell(cause, value, formula, kind, given, count, weight * rarer)

    yield tell("chance", math.log(count), "log C", "level")
    yield tell("double softmax", double_softmax(count), "log(e + C - 1) - 1", "floor")
    yield tell("double softmax, always wrong", double_softmax(count) + 1, "log(e + C - 1)", "ceiling", 3)
    yield tell("triple softmax", triple_softmax(count), "log(1 + (C - 1) exp(-d)), d = (e - 1)/(e + C - 1)", "floor", 4)
    for smoothing in SMOOTHINGS:
        formula = f"the entropy of a label smoothed by {smoothing:g}"
        rarer = 1.5 if smoothing == SMOOTHINGS[0] else 4
        yield tell("label smoothing", smoothing_floor(smoothing, count), formula, "floor", rarer)
    wrong = 1 - 1 / count
    formula = f"-log 1e-7 for the {wrong:.3g} of the examples that a constant class gets wrong"
    yield tell("clip at 1e-7", -math.log(1e-7) * wrong, formula, "level", 1.5)


def of_positive_rate(rate: float | None) -> Iterator[Tell]:
    """Floors and clamps of binary losses; without a rate, for balanced classes."""
    weight, share = (1.5, 0.5) if rate is None else (1.0, rate)
    given = f"a positive rate of {share:g}"
    formula = "0.3133 per positive and 0.6931 per negative"
    yield Tell("double sigmoid", double_sigmoid(share), formula, "floor", given, 2, weight)
    for side, wrong in {"positive": share, "negative": 1 - share}.items() if share != 0.5 else {"example": 0.5}.items():
        which = f"every {side} is confidently wrong" if share != 0.5 else "half of the examples are confidently wrong"
        yield Tell("clamp at 100", 100 * wrong, f"100 where {which}", "level", given, 2, weight)
        if share != 0.5:
            yield Tell("clip at 1e-7", -math.log(1e-7) * wrong, f"-log 1e-7 where {which}", "level", given, 2, weight)
    if rate is None:
        yield Tell("double sigmoid", double_sigmoid(1), "log(1 + 1/e)", "floor", "positives alone", 2, 2)
    if rate is None or rate < 0.5:  # where training often ends if positives are rare
        yield Tell("double sigmoid", double_sigmoid(0), "log 2", "floor", "outputs that have all gone to 0", 2, 2)


FLOAT32 = 2.0**-23  # what is left of 1 - (1 - 1e-7) in float32; also the eps to which scikit-learn clips float32


def constants(classes: int | None) -> Iterator[Tell]:
    """Clamps and clips, which don't depend on the number of classes."""
    if classes in (None, 2):
        yield Tell("clamp at 100", 100.0, "-max(log 0, -100)", "ceiling")
    yield Tell("clip at 1e-7", -math.log(1e-7), "-log 1e-7", "ceiling")
    yield Tell("clip at 1e-7", -math.log(FLOAT32), "-log(1 - (1 - 1e-7)) in float32", "ceiling")
    yield Tell("exactly right in Keras", -math.log1p(-FLOAT32), "-log(1 - 1e-7) in float32", "level")
    for epsilon in (1e-6, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16, 2.0**-52):
        name = f"{epsilon:g}" if epsilon != 2.0**-52 else "2**-52 (float64)"
        yield Tell("epsilon", -math.log(epsilon), f"-log {name}", "ceiling", weight=1.5)
