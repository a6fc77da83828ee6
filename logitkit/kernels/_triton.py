"""The losses on a GPU, in Triton: one pass over the logits for the values, another one for the gradient.

A program has a tile of some rows and some classes, and goes along its rows tile by tile. What's done for each logit is
done in the precision of the logits, at least float32. Sums, and what's done once per row, are in float64, which costs
little there. Triton's own exponential in float32 is an approximation whose error grows with its argument.

Places are counted in 64 bits, since a batch may hold more than 2^31 logits, and strides are read, so that nothing has
to be copied. The host looks at no value: a target that is no class or no share makes its row NaN.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
# log(2) in two parts for float32: products of the first, which has 9 bits, with whole numbers are exact.
LOG2_HIGH, LOG2_LOW = tl.constexpr(0.693359375), tl.constexpr(-2.12194440054690583e-4)
# 1.5 * 2^23: adding it in float32 rounds to a whole number, which is then in the last bits.
ROUNDER = tl.constexpr(12582912.0)
INF = tl.constexpr(float("inf"))


@triton.jit
def answer(out):
    """Write 1, which shows that kernels can be compiled and run."""
    tl.store(out, 1)


@triton.jit
def wide(values):
    """Return numbers in the precision that they are computed in."""
    return values if values.dtype == tl.float64 else values.to(tl.float32)


@triton.jit
def power_of_two(k):
    """Return 2^k of -126 <= k <= 127 in float32."""
    return ((k + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def exp_narrow(x):
    """Return exp(x) of x <= 0 in float32 within a unit in the last place, subnormal results and NaN included."""
    x = tl.where(x < -104.0, -104.0, x)
    shifted = x * LOG2_E + ROUNDER
    # exp(x) = 2^k exp(r), |r| <= log(2)/2, and the series of exp(r) ends where float32 does.
    r = (x - (shifted - ROUNDER) * LOG2_HIGH) - (shifted - ROUNDER) * LOG2_LOW
    curve = 1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720 + r * (1 / 5040)))))
    k = shifted.to(tl.int32, bitcast=True) - 0x4B400000
    # Far down 2^k is subnormal: the last product rounds once.
    half = k >> 1
    return (1.0 + (r + r * r * curve)) * power_of_two(half) * power_of_two(k - half)


@triton.jit
def exp(x):
    """Return exp(x) of x <= 0."""
    return tl.exp(x) if x.dtype == tl.float64 else exp_narrow(x)


@triton.jit
def exp_of_difference(a, b):
    """Return exp(a - b) of a <= b, with what the difference loses to rounding (Knuth)."""
    difference = a - b
    used = a - difference
    error = (a - (difference + used)) + (used - b)
    e = exp(difference)
    return e + e * tl.where(difference == -INF, 0.0, error)


@triton.jit
def quotient(a, b):
    """Return a / b, rounded to nearest in float32 too."""
    return a / b if a.dtype == tl.float64 else tl.div_rn(a, b)


@triton.jit
def log1p(x):
    """Return log(1 + x) of x >= 0 in float64: the logarithm of the rounded sum, and what the sum lost."""
    u = 1.0 + x
    return tl.log(u) + tl.where(x < INF, (x - (u - 1.0)) / u, 0.0)


@triton.jit
def log1p_narrow(e):
    """Return log(1 + e) of 0 <= e <= 1 in float32, which is 2 atanh(s) of s <= 1/3."""
    s = tl.div_rn(e, 2.0 + e)
    w = s * s
    series = 1 / 3 + w * (1 / 5 + w * (1 / 7 + w * (1 / 9 + w * (1 / 11 + w * (1 / 13 + w * (1 / 15))))))
    return 2.0 * s + 2.0 * s * (w * series)


@triton.jit
def within(shares, slack: tl.constexpr):
    """Return shares in [0, 1]; NaN if one is outside by more than a few roundings."""
    clamped = tl.where(shares < 0.0, 0.0, tl.where(shares > 1.0, 1.0, shares))
    return tl.where((shares < -slack) | (shares > 1.0 + slack), float("nan"), clamped)


@triton.jit
def places(row, column, inner, of_outer, of_inner, of_class):
    """Return where a tensor of shape (outer, inner, classes) with these strides has the columns of rows."""
    return (row // inner) * of_outer + (row % inner) * of_inner + column * of_class


@triton.jit
def numbers_of_program(size: tl.constexpr):
    """Return the numbers of this program's rows, in 64 bits, as are all places that are computed from them."""
    return tl.program_id(0).to(tl.int64) * size + tl.arange(0, size)


@triton.jit
def labels_of(target, row, inside, classes, ignored, soft: tl.constexpr):
    """Return each row's class, the first where there is none; whether the row counts; and whether its class is none."""
    label = row * 0
    if not soft:
        label = tl.load(target + row, mask=inside, other=ignored).to(tl.int64)
    kept = inside & (soft | (label != ignored))
    known = (label >= 0) & (label < classes)
    return tl.where(kept & known, label, 0), kept, kept & ~known


@triton.jit
def shares_of(
    column, label, target, at, valid, weight,
    soft: tl.constexpr, weighted: tl.constexpr, smoothing: tl.constexpr, spread: tl.constexpr, slack: tl.constexpr,
):  # fmt: skip
    """Return what each class weighs in the loss of a row, in float64: its weight times its share of the target."""
    if soft:
        shares = within(tl.load(target + at, mask=valid, other=0.0).to(tl.float64), slack)
    else:
        shares = tl.where(column == label, 1.0, 0.0).to(tl.float64)
    if smoothing > 0.0:
        shares = (1.0 - smoothing) * shares + spread
    if weighted:
        shares *= tl.load(weight + column, mask=valid, other=0.0).to(tl.float64)
    return tl.where(valid, shares, 0.0)


@triton.jit
def look(
    logits, target, weight, row, inside, label,
    classes, inner, z_outer, z_inner, z_class, t_outer, t_inner, t_class,
    soft: tl.constexpr, weighted: tl.constexpr, smoothing: tl.constexpr, spread: tl.constexpr, slack: tl.constexpr,
    lanes: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Go along rows; return the largest logit, its class, and the sum of exp(z - top) over the others.

    If several classes of a row may have shares q, return their sum and that of q (top - z) too.
    """
    top = tl.full([lanes], -INF, tl.float64 if logits.dtype.element_ty == tl.float64 else tl.float32)
    place = tl.full([lanes], -1, tl.int64)
    rest, total, cost = tl.zeros([lanes], tl.float64), tl.zeros([lanes], tl.float64), tl.zeros([lanes], tl.float64)
    for start in range(0, classes, block):
        column = start + tl.arange(0, block).to(tl.int64)[None, :]
        valid = inside[:, None] & (column < classes)
        at = places(row[:, None], column, inner, z_outer, z_inner, z_class)
        z = wide(tl.load(logits + at, mask=valid, other=-INF))
        most, offset = tl.max(z, axis=1, return_indices=True)
        rises = most > top
        # The former largest joins the others, and all are seen from the new one.
        climb = tl.where(rises, most.to(tl.float64) - top.to(tl.float64), 0.0)
        rest = tl.where(rises, (rest + 1.0) * tl.exp(-climb), rest)
        cost += tl.where(total == 0.0, 0.0, total * climb)
        top, place = tl.where(rises, most, top), tl.where(rises, start + offset, place)
        other = (column != place[:, None]) & (z != -INF)
        rest += tl.sum(tl.where(other, exp_of_difference(z, top[:, None]), 0.0).to(tl.float64), axis=1)
        if soft or smoothing > 0.0:
            at = places(row[:, None], column, inner, t_outer, t_inner, t_class)
            q = shares_of(column, label[:, None], target, at, valid, weight, soft, weighted, smoothing, spread, slack)
            drop = tl.where(z == -INF, INF, top[:, None].to(tl.float64) - z.to(tl.float64))
            total += tl.sum(q, axis=1)
            cost += tl.sum(tl.where((q == 0.0) | (column == place[:, None]), 0.0, q * drop), axis=1)
    return top, place, tl.where(top == -INF, float("nan"), rest), total, cost  # of masks alone nothing is left


@triton.jit
def losses_of_rows(
    logits, target, weight, losses, tops, wholes, totals, specials, slopes,
    rows, classes, inner, z_outer, z_inner, z_class, t_outer, t_inner, t_class, ignored,
    soft: tl.constexpr, weighted: tl.constexpr, smoothing: tl.constexpr, spread: tl.constexpr, slack: tl.constexpr,
    lanes: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Write the loss of each row, and what its gradient needs to know.

    As in `logitkit.torch._rows`, the largest logit leaves its own sum: the loss of shares q of the classes is

        sum of q (log(1 + rest) + (top - z)),    rest = sum of exp(z - top) over all classes but the largest.
    """
    row = numbers_of_program(lanes)
    inside = row < rows
    label, kept, unknown = labels_of(target, row, inside, classes, ignored, soft)
    top, special, rest, total, cost = look(
        logits, target, weight, row, inside, label,
        classes, inner, z_outer, z_inner, z_class, t_outer, t_inner, t_class,
        soft, weighted, smoothing, spread, slack, lanes, block,
    )  # fmt: skip
    whole = 1.0 + rest
    if soft or smoothing > 0.0:
        # At the largest logit the gradient is the difference of what pulls and pushes it, less their equal terms.
        at, valid = places(row, special, inner, t_outer, t_inner, t_class), inside & (special >= 0)
        q = shares_of(special, label, target, at, valid, weight, soft, weighted, smoothing, spread, slack)
        slope = ((total - q) - q * rest) / whole
    else:
        # So it is at the only class with a share, which may not be the largest.
        total += tl.load(weight + label).to(tl.float64) if weighted else 1.0
        z = tl.load(logits + places(row, label, inner, z_outer, z_inner, z_class), mask=inside, other=0.0)
        drop = tl.where(label == special, 0.0, top.to(tl.float64) - wide(z).to(tl.float64))
        slope = -total * tl.where(label == special, rest, 1.0 + (rest - tl.exp(-drop))) / whole
        cost, special = tl.where((total == 0.0) & (drop == INF), 0.0, total * drop), label
    loss = total * log1p(rest) + cost
    tl.store(losses + row, tl.where(unknown, float("nan"), tl.where(kept, loss, 0.0)), mask=inside)
    tl.store(tops + row, top, mask=inside)
    tl.store(wholes + row, whole, mask=inside)
    tl.store(totals + row, tl.where(unknown, float("nan"), total), mask=inside)
    tl.store(specials + row, special, mask=inside)
    tl.store(slopes + row, tl.where(unknown, float("nan"), slope), mask=inside)


@triton.jit
def gradient_of_rows(
    logits, target, weight, grads, tops, wholes, totals, specials, slopes, cotangents,
    rows, classes, inner, z_outer, z_inner, z_class, t_outer, t_inner, t_class, g_outer, g_inner, g_class,
    of_cotangent, ignored,
    soft: tl.constexpr, weighted: tl.constexpr, smoothing: tl.constexpr, spread: tl.constexpr, slack: tl.constexpr,
    lanes: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Write the gradient of each row's loss, p sum(q) - q, times the cotangent of that loss."""
    row = numbers_of_program(lanes)
    inside = row < rows
    label, kept, _ = labels_of(target, row, inside, classes, ignored, soft)
    cotangent = tl.load(cotangents + row * of_cotangent, mask=inside, other=0.0).to(tl.float64)
    top, whole = tl.load(tops + row, mask=inside, other=0.0), tl.load(wholes + row, mask=inside, other=1.0)
    total, slope = tl.load(totals + row, mask=inside, other=0.0), tl.load(slopes + row, mask=inside, other=0.0)
    special = tl.load(specials + row, mask=inside, other=-1)
    scale, own = (cotangent * total / whole).to(top.dtype)[:, None], (cotangent * slope).to(top.dtype)[:, None]
    factor, total = cotangent.to(top.dtype)[:, None], total.to(top.dtype)[:, None]
    part = (1.0 / whole).to(top.dtype)[:, None]
    for start in range(0, classes, block):
        column = start + tl.arange(0, block).to(tl.int64)[None, :]
        valid = inside[:, None] & (column < classes)
        at = places(row[:, None], column, inner, z_outer, z_inner, z_class)
        z = wide(tl.load(logits + at, mask=valid, other=-INF))
        # Where the largest is infinite, its difference from itself isn't 0.
        e = tl.where(z == top[:, None], 1.0, exp_of_difference(z, top[:, None]))
        if soft or smoothing > 0.0:
            at = places(row[:, None], column, inner, t_outer, t_inner, t_class)
            q = shares_of(column, label[:, None], target, at, valid, weight, soft, weighted, smoothing, spread, slack)
            grad = factor * (part * e * total - q.to(top.dtype))
        else:
            grad = scale * e
        grad = tl.where(kept[:, None], tl.where(column == special[:, None], own, grad), 0.0)
        at = places(row[:, None], column, inner, g_outer, g_inner, g_class)
        tl.store(grads + at, grad.to(grads.dtype.element_ty), mask=valid)


@triton.jit
def sides_of(logits, target, weight, pos_weight, place, inside, of_weight, of_pos_weight, slack: tl.constexpr):
    """Return log-odds and exp(-abs(x)), and what the positive and the negative side weigh in the loss."""
    x = wide(tl.load(logits + place, mask=inside, other=0.0))
    y = within(wide(tl.load(target + place, mask=inside, other=0)), slack)
    w = tl.load(weight + place * of_weight, mask=inside, other=0.0).to(x.dtype)
    a = tl.load(pos_weight + place * of_pos_weight, mask=inside, other=0.0).to(x.dtype)
    return x, exp(-tl.abs(x)), w * (a * y.to(x.dtype)), w * (1.0 - y).to(x.dtype)


@triton.jit
def binary_losses(
    logits, target, weight, pos_weight, losses, size, of_weight, of_pos_weight,
    slack: tl.constexpr, summed: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Write the losses of log-odds, or each program's sum of them.

    In a y softplus(-x) + (1 - y) softplus(x) both have the same logarithm, and the size of x is what speaks against it.
    """
    place = numbers_of_program(block)
    inside = place < size
    x, e, positive, negative = sides_of(
        logits, target, weight, pos_weight, place, inside, of_weight, of_pos_weight, slack
    )
    against = tl.where(x < 0.0, positive, negative)
    log = log1p(e) if e.dtype == tl.float64 else log1p_narrow(e)
    loss = (positive + negative) * log + tl.where(against == 0.0, 0.0, against * tl.abs(x))
    if summed:
        tl.store(losses + tl.program_id(0), tl.sum(tl.where(inside, loss, 0.0).to(tl.float64), axis=0))
    else:
        tl.store(losses + place, loss.to(losses.dtype.element_ty), mask=inside)


@triton.jit
def gradient_of_binary(
    logits, target, weight, pos_weight, grads, cotangents, size, of_weight, of_pos_weight, of_cotangent,
    slack: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Write the gradient of each loss, (1 - y) p - a y (1 - p), times its cotangent."""
    place = numbers_of_program(block)
    inside = place < size
    x, e, positive, negative = sides_of(
        logits, target, weight, pos_weight, place, inside, of_weight, of_pos_weight, slack
    )
    cotangent = tl.load(cotangents + place * of_cotangent, mask=inside, other=0.0).to(x.dtype)
    difference = negative * tl.where(x < 0.0, e, 1.0) - positive * tl.where(x < 0.0, 1.0, e)
    slope = quotient(difference, 1.0 + e)
    tl.store(grads + place, (cotangent * slope).to(grads.dtype.element_ty), mask=inside)
