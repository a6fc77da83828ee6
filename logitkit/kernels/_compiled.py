"""The formulas as scalar loops. One file, since the cache on disk only notices a change to the file of the kernel.

The work is done in tiles of LANES columns: of short rows each lane holds one, of long rows all lanes hold one. Either
way a step treats all lanes alike, so that a compiler vectorizes it without leave to reorder sums. A result depends
neither on the width of the processor's vectors nor on the number of threads.

`left` marks the rows that a kernel leaves to the formulas for NumPy or PyTorch: those that hold NaN, certainty or
nothing but masks, and in float64 those whose loss or gradient would be subnormal. Every kernel takes the first and the
last of the rows that it works on.
"""

from __future__ import annotations

import math

import numpy as np

from logitkit.formulas.double_double import LOG2_HIGH, LOG2_LOW
from logitkit.kernels._compiler import compiled

# Numbers that a step treats alike, and classes up to which each lane has a row of its own.
LANES, SHORT = 64, 64
# 1.5 * 2^52: adding it rounds to a whole number, which is then in the last bits.
ROUNDER = 6755399441055744.0
LOG2_E = 1.4426950408889634
# Down to here a sum doesn't feel that terms below 2^-1022 have fewer digits.
SUBNORMAL_SUM = 2.0**-960


@compiled
def two_sum(a, b):
    """Return the rounded sum and its rounding error."""
    total = a + b
    b_used = total - a
    return total, (a - (total - b_used)) + (b - b_used)


@compiled
def power_of_two(shifted):
    """Return 2^k of ROUNDER + k: the last bits of a sum, put in the place of an exponent."""
    bits = np.float64(shifted).view(np.int64) << np.int64(52)
    return np.int64(bits + np.int64(1023 << 52)).view(np.float64)


@compiled
def exp(x):
    """Return exp(x) of x <= 0 within 0.6 units in the last place, subnormal results and NaN included."""
    x = -746.0 if x < -746.0 else x
    shifted = x * LOG2_E + ROUNDER
    k = shifted - ROUNDER
    # exp(x) = 2^k exp(r), |r| <= log(2)/2. The first difference is exact, the second's error is kept.
    a = x - k * LOG2_HIGH
    b = k * LOG2_LOW
    r = a - b
    r2 = r * r
    low = (0.5000000000000001 + 0.16666666666666669 * r) + (0.04166666666662413 + 0.008333333333330062 * r) * r2
    high = (0.0013888888917213717 + 0.00019841269863053618 * r) + (
        2.4801521295954376e-05 + 2.7557268459997064e-06 * r
    ) * r2
    top = 2.7620088445409746e-07 + 2.510038549551032e-08 * r
    curve = r2 * (low + (r2 * r2) * (high + (r2 * r2) * top))
    line = 1.0 + r
    e = line + ((r - (line - 1.0)) + (((a - r) - b) + curve))
    # Far down 2^k is subnormal: the last product rounds once.
    deep = x < -700.0
    return e * power_of_two(shifted + (128.0 if deep else 0.0)) * (2.0**-128 if deep else 1.0)


@compiled
def exp_narrow(x):
    """Return exp(x) of x <= 0 within 2.3e-10 of itself, for results in float32, where nothing is left below -708."""
    x = -708.0 if x < -708.0 else x
    shifted = x * LOG2_E + ROUNDER
    r = x - (shifted - ROUNDER) * (LOG2_HIGH + LOG2_LOW)
    r2 = r * r
    low = (1.0 + r) + (0.500000001346581 + 0.16666666681623232 * r) * r2
    high = (0.041666464925285904 + 0.0083333109254809 * r) + (0.0013933649996309251 + 0.00019890990824673654 * r) * r2
    return (low + (r2 * r2) * high) * power_of_two(shifted)


@compiled
def rows_of_tile(classes):
    """Return how many rows a tile has: of short rows each lane holds one, of long rows all lanes hold one."""
    return LANES if classes <= SHORT else 1


@compiled
def steps_of_tile(classes):
    """Return how many numbers there are in each lane."""
    return classes if classes <= SHORT else (classes + LANES - 1) // LANES


@compiled
def place_in_tile(row, label, classes):
    """Return where the tile holds a class of a row."""
    return label * LANES + row if classes <= SHORT else label


@compiled
def load(z, classes, start, rows, tile):
    """Copy rows into a tile; what is left of it are masked classes of a long row, or rows of zeros."""
    origin = start * classes
    if classes <= SHORT:
        tile[: classes * LANES] = 0.0
        for row in range(rows):
            for j in range(classes):
                tile[j * LANES + row] = z[origin + row * classes + j]
    else:
        for j in range(classes):
            tile[j] = z[origin + j]
        tile[classes:] = -np.inf


@compiled
def store(tile, scales, classes, start, rows, out):
    """Write a tile, each row of it times its scale, to rows."""
    origin = start * classes
    if classes <= SHORT:
        for row in range(rows):
            for j in range(classes):
                out[origin + row * classes + j] = tile[j * LANES + row] * scales[row]
    else:
        scale = scales[0]
        for j in range(classes):
            out[origin + j] = tile[j] * scale


@compiled
def find_tops(tile, classes, tops):
    """Write the largest logit of each lane's row; NaN is passed over, to show in a sum."""
    tops[:] = -np.inf
    for step in range(steps_of_tile(classes)):
        for lane in range(tops.size):
            a, b = tile[step * LANES + lane], tops[lane]
            tops[lane] = a if a > b else b
    if classes > SHORT:
        tops[:] = tops.max()


@compiled
def exponentiate(tile, tops, classes, exact, errors):
    """Turn logits z into exp(z - top); where that's wanted, write what rounding took from each difference."""
    steps = steps_of_tile(classes)
    if exact:
        for step in range(steps):
            for lane in range(tops.size):
                j = step * LANES + lane
                difference, error = two_sum(tile[j], -tops[lane])
                tile[j], errors[j] = difference, 0.0 if difference == -np.inf else error
        for j in range(steps * LANES):
            tile[j] = exp(tile[j])
    else:
        for step in range(steps):
            for lane in range(tops.size):
                tile[step * LANES + lane] -= tops[lane]
        for j in range(steps * LANES):
            tile[j] = exp_narrow(tile[j])


@compiled
def add_up(tile, classes, exact, errors, sums, lows):
    """Write the sum of each lane's row; where that's wanted, of exps * (1 + errors), as if added exactly."""
    sums[:] = 0.0
    lows[:] = 0.0
    for step in range(steps_of_tile(classes)):
        if exact:
            for lane in range(sums.size):
                j = step * LANES + lane
                sums[lane], error = two_sum(sums[lane], tile[j])
                lows[lane] += tile[j] * errors[j] + error
        else:
            for lane in range(sums.size):
                sums[lane] += tile[step * LANES + lane]
    if classes > SHORT:
        for lane in range(1, LANES):
            sums[0], error = two_sum(sums[0], sums[lane])
            lows[0] += lows[lane] + error
    for lane in range(sums.size):
        sums[lane] += lows[lane]


@compiled
def cross_entropy(first, last, z, classes, labels, factors, losses, grad, left):
    """Write the loss of each row's class, 0 where that is below 0, and if asked for its gradient times a factor."""
    exact, most, size = z.itemsize == 8, rows_of_tile(classes), steps_of_tile(classes) * LANES
    tile, errors = np.empty(size), np.empty(size if exact else 0)
    # One allocation each: of parts of one array a compiler can't tell that they don't overlap.
    places, tops, rests, lows = np.empty(LANES, np.intp), np.empty(LANES), np.empty(LANES), np.empty(LANES)
    differences, owns, scales = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    for start in range(first, last, most):
        rows = min(most, last - start)
        load(z, classes, start, rows, tile)
        find_tops(tile, classes, tops)
        for row in range(rows):
            places[row] = place_in_tile(row, max(0, labels[start + row]), classes)
            differences[row] = tile[places[row]] - tops[row]
        exponentiate(tile, tops, classes, exact, errors)
        for row in range(rows):
            owns[row] = tile[places[row]]
            tile[places[row]] = 0.0
        add_up(tile, classes, exact, errors, rests, lows)
        for row in range(rows):
            i, place, rest, own = start + row, places[row], rests[row], owns[row]
            error = errors[place] if exact else 0.0
            whole = rest + (own + own * error)
            left[i] = not (abs(tops[row]) < np.inf and whole < np.inf) or (exact and rest < SUBNORMAL_SUM)
            # All terms are positive: of a largest logit only the others count, of another the sum is above one.
            if differences[row] == 0.0:
                losses[i] = math.log1p(rest)
            else:
                losses[i] = (math.log(whole) - differences[row]) - error
            scales[row] = factors[i] / whole
        if grad.size:
            if exact:
                for j in range(size):
                    tile[j] += tile[j] * errors[j]
            for row in range(rows):
                tile[places[row]] = -rests[row]
            store(tile, scales, classes, start, rows, grad)
        for row in range(rows):
            i = start + row
            if labels[i] < 0:
                losses[i], left[i] = 0.0, not abs(tops[row]) < np.inf  # it must be a row of logits all the same
                if grad.size:
                    grad[i * classes : (i + 1) * classes] = 0.0
