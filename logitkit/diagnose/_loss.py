"""Which tell-tale values a loss, or a log of losses, matches, and how surprising the match is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise

from logitkit.diagnose._findings import Diagnosis, Finding
from logitkit.diagnose._tells import CAUSES, PAGES, Tell, double_softmax, tells

TOO_COMMON = 0.3  # a match that so many random numbers have is none


def diagnose_loss(
    loss: float, classes: int | None = None, positive_rate: float | None = None, shares: Sequence[float] | None = None
) -> Diagnosis:
    """Say what a loss could mean; see `logitkit.diagnose.diagnose`."""
    classes, shares = _checked(classes, positive_rate, shares)
    loss = float(loss)
    subject = _subject(f"a loss of {loss:.6g}", classes, shares)
    if not math.isfinite(loss) or loss <= 0:
        return Diagnosis.of(subject, _beyond(loss))
    rounding = _rounding(loss)
    findings = _matches(loss, rounding, classes, shares)
    return Diagnosis.of(subject, findings, _ruled_out(loss, rounding, classes))


def diagnose_log(
    losses: Sequence[float],
    classes: int | None = None,
    positive_rate: float | None = None,
    shares: Sequence[float] | None = None,
    name: str = "the log",
) -> Diagnosis:
    """Say what the course of a loss could mean: where it stops, and what happened on the way.

    The last third of the log (five values at least) is a plateau if the medians of its two halves differ by no more
    than 1 % of the fall from the first value, plus twice the standard error of their difference. Only the level of a
    plateau is compared with the tell-tale values: a loss that is still falling passes by many of them. A floor is ruled
    out by any single value of the log that lies below it.

    Parameters
    ----------
    losses : sequence of float
        The losses in order, in nats.
    classes, positive_rate, shares
        As for `diagnose`.
    name : str
        What to call it.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ValueError
        If there are no losses, or `classes` or rates are out of range.

    Examples
    --------
    >>> from logitkit.diagnose import diagnose_log
    >>> log = [2.30, 2.10, 1.80, 1.60, 1.50, 1.4660, 1.4650, 1.4645, 1.4641, 1.4639, 1.4637, 1.4635, 1.4634]
    >>> finding = diagnose_log(log).findings[0]
    >>> finding.title, finding.classes
    ('probabilities into a loss that applies softmax', 10)
    """
    classes, shares = _checked(classes, positive_rate, shares)
    losses = [float(loss) for loss in losses]
    if not losses:
        raise ValueError("losses must hold at least one number")
    if len(losses) == 1:
        return diagnose_loss(losses[0], classes, shares=shares)
    subject = _subject(f"{name}: {len(losses)} losses from {losses[0]:.4g} to {losses[-1]:.4g}", classes, shares)
    findings, notes = _events(losses), []
    finite = [loss for loss in losses if math.isfinite(loss)]
    plateau = _plateau(finite)
    if plateau is None:
        if finite and not findings:
            notes.append("There's no plateau at the end, so the last values are passing by: let it train on.")
    elif plateau.level > 0:
        notes.append(f"It's on a plateau at {plateau.level:.4f}: {plateau.how}.")
        lowest, first = min(finite), finite[0]
        for found in _matches(plateau.level, plateau.uncertainty, classes, shares, lowest):
            findings.append(_with_start(found, first) if classes is None else found)
        notes += _ruled_out(lowest, _rounding(lowest), classes)
    if classes and finite and finite[0] > 2 * math.log(classes):
        notes.append(
            f"It starts at {finite[0]:.4g}, far above chance (log C = {math.log(classes):.4f}): logits that are large "
            "before anything is learned, from inputs that nobody scaled or weights that start too large."
        )
    return Diagnosis.of(subject, findings, notes)


def _checked(
    classes: int | None, positive_rate: float | None, shares: Sequence[float] | None
) -> tuple[int | None, Sequence[float] | None]:
    if classes is not None and (classes != int(classes) or classes < 2):
        raise ValueError(f"classes must be a whole number of at least 2, not {classes!r}; a yes or no has 2")
    if positive_rate is not None:
        if not 0 < positive_rate < 1:
            raise ValueError(f"positive_rate must lie between 0 and 1, not {positive_rate!r}; 30 % is 0.3")
        if shares is not None:
            raise ValueError("give positive_rate or shares, not both")
        if classes not in (None, 2):
            raise ValueError(f"positive_rate is for 2 classes, not {classes}; give shares")
        shares = (1 - positive_rate, positive_rate)
    if shares is not None:
        if min(shares) < 0 or abs(math.fsum(shares) - 1) > 0.01:
            raise ValueError(f"shares must be at least 0 and sum to 1, not {list(shares)}")
        if classes not in (None, len(shares)):
            raise ValueError(f"there are {len(shares)} shares for {classes} classes")
        classes = len(shares)
    return classes, shares


def _subject(what: str, classes: int | None, shares: Sequence[float] | None) -> str:
    if shares and len(shares) == 2:
        return f"{what}, with a positive rate of {shares[1]:g}"
    return f"{what}, with {classes:,} classes" if classes else what


def _rounding(loss: float) -> float:
    """A unit of the last decimal with which a number is written, since people round and cut off."""
    exponent = Decimal(repr(loss)).as_tuple().exponent
    assert isinstance(exponent, int)
    return max(10.0**exponent, 1e-7 * abs(loss))


def _distance(loss: float, tell: Tell, rounding: float, lowest: float | None = None) -> float:
    """How far off, at least the rounding; infinite on the side from which a floor or a ceiling can't be met."""
    above = loss - tell.value
    if tell.kind == "floor" and min(above, (loss if lowest is None else lowest) - tell.value) < -rounding:
        return math.inf
    if tell.kind == "ceiling" and above > rounding:
        return math.inf
    return max(abs(above), rounding)


def _coincidence(loss: float, score: float, pool: Sequence[Tell]) -> float:
    """The share of the numbers from half to twice the loss, uniform in their logarithm, that match anything as well.

    A tell that is tried only because many are tried gets a narrower interval: its score is its distance times its
    weight. The intervals of all tells are united, so that a long list of candidates is paid for.
    """
    low, high = loss / 2, loss * 2
    intervals = []
    for tell in pool:
        width = score / tell.weight
        start = tell.value - (0 if tell.kind == "floor" else width)
        end = tell.value + (0 if tell.kind == "ceiling" else width)
        if end > low and start < high:
            intervals.append((max(start, low), min(end, high)))
    covered, reached = 0.0, low
    for start, end in sorted(intervals):
        start = max(start, reached)
        if end > start:
            covered += math.log(end / start)
            reached = end
    return covered / math.log(high / low)


def _matches(
    loss: float, rounding: float, classes: int | None, shares: Sequence[float] | None, lowest: float | None = None
) -> list[Finding]:
    pool = list(tells(classes, shares))
    scored = sorted(((_distance(loss, tell, rounding, lowest) * tell.weight, tell) for tell in pool), key=_first)
    found: dict[str, Finding] = {}
    for score, tell in scored:
        if tell.cause in found:  # with a better number of classes
            continue
        coincidence = _coincidence(loss, score, pool) if math.isfinite(score) else 1.0
        if coincidence > TOO_COMMON:
            break
        found[tell.cause] = _finding(tell, loss, coincidence)
    return list(found.values())[:5]


def _first(pair: tuple[float, Tell]) -> float:
    return pair[0]


def _finding(tell: Tell, loss: float, coincidence: float) -> Finding:
    gap = loss - tell.value
    given = f" for {tell.given}" if tell.given else ""
    where = "on it" if abs(gap) < 5e-6 * max(1, loss) else f"{abs(gap):.2g} {'above' if gap > 0 else 'below'} it"
    evidence = f"{tell.formula} = {tell.value:.7g}{given}, and this is {where}"
    if tell.cause == "double softmax" and gap > 0.005:
        evidence += f"; each confident mistake costs 1 more, so expect an accuracy near {1 - gap:.2f}"
    return _of_cause(tell.cause, evidence, coincidence, tell.classes, tell.value)


def _of_cause(
    cause: str, evidence: str, coincidence: float | None = None, classes: int | None = None, value: float | None = None
) -> Finding:
    of = CAUSES[cause]
    return Finding(of.title, evidence, coincidence, of.confirm, of.fix, PAGES + of.page, classes, value)


def _beyond(loss: float) -> list[Finding]:
    """Values that no correct cross entropy of a finite model has, or that it has in one case only."""
    if math.isnan(loss):
        return [
            _of_cause("nothing to average", "0 / 0, if it's NaN in some batches only"),
            _of_cause("not a number", "if it's NaN from some step on, and ever after"),
        ]
    if math.isinf(loss):
        return [_of_cause("infinite", "-log 0 is infinite, and the next step makes NaN of it")]
    if loss == 0:
        return [
            _of_cause("one column", "-log 1 = 0, if it's 0 from the first step on"),
            _of_cause("lost digits", "log(1 + x) = 0 for x below 6e-8 in float32, if it fell to 0"),
        ]
    negative = f"a cross entropy is never negative, and this is {loss:.4g}"
    causes = ["logits into NLLLoss", "target outside [0, 1]"]
    if loss >= -1:
        causes.insert(0, "probabilities into NLLLoss")
    return [_of_cause(cause, negative) for cause in causes]


def _ruled_out(lowest: float, rounding: float, classes: int | None) -> list[str]:
    if classes and 0 < lowest < double_softmax(classes) - rounding:
        floor = f"{double_softmax(classes):.4f}"
        return [f"A softmax applied twice is ruled out: with {classes:,} classes its loss can't go below {floor}."]
    return []


@dataclass(frozen=True)
class _Plateau:
    level: float
    uncertainty: float
    how: str


def _plateau(losses: Sequence[float]) -> _Plateau | None:
    """The level at which a log ends; see `diagnose_log` for what counts as one."""
    tail = losses[-max(5, len(losses) // 3) :]
    if len(tail) < 4:
        return None
    half = len(tail) // 2
    early, late = statistics.median(tail[:half]), statistics.median(tail[half:])
    # The noise is read off the differences of neighbors, so that a slope doesn't count as noise.
    steps = [abs(after - before) for before, after in pairwise(tail)]
    noise = 1.4826 * statistics.median(steps) / math.sqrt(2)
    error = 1.2533 * noise * math.sqrt(2 / half)
    tolerance = 0.01 * abs(losses[0] - late) + 2 * error + _rounding(losses[-1])
    if abs(late - early) > tolerance:
        return None
    how = f"the medians of the two halves of the last {len(tail)} values differ by {abs(late - early):.2g}, "
    how += f"and {tolerance:.2g} is allowed"
    return _Plateau(late, max(error / math.sqrt(2), _rounding(losses[-1])), how)


def _events(losses: Sequence[float]) -> list[Finding]:
    """What a single value of a log proves."""
    found: list[Finding] = []
    wrong = next((place for place, loss in enumerate(losses) if not math.isfinite(loss)), None)
    if wrong is not None:
        where = f"the first value that isn't finite is number {wrong + 1}, {losses[wrong]}"
        if math.isinf(losses[wrong]):
            found.append(_of_cause("infinite", f"{where}, after which the weights are NaN"))
        elif any(math.isfinite(loss) for loss in losses[wrong:]):
            found.append(_of_cause("nothing to average", f"{where}, and finite losses follow"))
        else:
            found.append(_of_cause("not a number", f"{where}, and so are all after it"))
    least = min((loss for loss in losses if math.isfinite(loss)), default=1.0)
    if least < 0:
        found += _beyond(least)
    elif least == 0:
        always = not any(losses)
        evidence = "every value is exactly 0" if always else f"value {losses.index(0) + 1} is exactly 0"
        found.append(_of_cause("one column" if always else "lost digits", evidence))
    return found


def _with_start(finding: Finding, first: float) -> Finding:
    """A log that begins at chance says how many classes there are: a second match, which multiplies the odds."""
    if not finding.classes or not finding.coincidence or finding.title == CAUSES["chance"].title:
        return finding
    chance = math.log(finding.classes)
    off = max(abs(first - chance), 0.002 * chance)
    if off > 0.03 * chance:
        return finding
    evidence = f"{finding.evidence}; the log starts at {first:.4g}, where chance is {chance:.4f}"
    coincidence = finding.coincidence * 2 * off / chance / math.log(4)
    return replace(finding, evidence=evidence, coincidence=coincidence)
