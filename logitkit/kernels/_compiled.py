"""The formulas as scalar loops. One file, since the cache on disk only notices a change to the file of the kernel.

The work is done in tiles of LANES columns: of short rows each lane holds one, of long rows all lanes hold a part of
one. Either way a step treats all lanes alike, so that a compiler vectorizes it without leave to reorder sums. A result
depends neither on the width of the processor's vectors nor on the number of threads.

`left` marks the rows that a kernel leaves to the formulas for NumPy or PyTorch: those that hold NaN, certainty or
nothing but masks, probabilities that don't add up to one, and in float64 those whose loss or gradient would be
subnormal. Every kernel takes the first and the last of the rows that it works on.
"""

from __future__ import annotations

import numpy as np

from logitkit.formulas.double_double import LOG2_HIGH, LOG2_LOW
from logitkit.kernels._compiler import compiled, inlined

# Numbers that a step treats alike, and classes up to which each lane has a row of its own.
LANES, SHORT = 64, 64
# Numbers whose buffers stay in the fastest cache, and those of a long row, which needs fewer.
CHUNK, PART = 512, 1024
# 1.5 * 2^52: adding it rounds to a whole number, which is then in the last bits.
ROUNDER = 6755399441055744.0
LOG2, LOG2_E = 0.6931471805599453, 1.4426950408889634
# The scales of a distribution, and their numbers.
LOGITS, PROBS, LOG_PROBS = 0, 1, 2
# Down to here a sum doesn't feel that terms below 2^-1022 have fewer digits.
SUBNORMAL_SUM = 2.0**-960


@inlined
def two_sum(a, b):
    """Return the rounded sum and its rounding error."""
    total = a + b
    b_used = total - a
    return total, (a - (total - b_used)) + (b - b_used)


@inlined
def power_of_two(shifted):
    """Return 2^k of ROUNDER + k: the last bits of a sum, put in the place of an exponent."""
    bits = np.float64(shifted).view(np.int64) << np.int64(52)
    return np.int64(bits + np.int64(1023 << 52)).view(np.float64)


@inlined
def exp(x):
    """Return exp(x) of x <= 0 within 0.9 units in the last place, subnormal results and NaN included."""
    return exp_of_sum(x, 0.0)


@inlined
def exp_of_sum(x, error):
    """Return exp(x + error) as exactly, of an error of at most half a unit in the last place of x."""
    x = -746.0 if x < -746.0 else x
    # Far down 2^k is subnormal: times 2^128 it isn't, and the last product rounds once.
    shifted = x * LOG2_E + (ROUNDER + 128.0)
    k = shifted - (ROUNDER + 128.0)
    # exp(x) = 2^k exp(r), |r| <= log(2)/2. The first difference is exact, the second's error is kept.
    a = x - k * LOG2_HIGH
    b = k * LOG2_LOW - error
    r = a - b
    r2 = r * r
    low = (0.5000000000000001 + 0.16666666666666669 * r) + (0.04166666666662413 + 0.008333333333330062 * r) * r2
    high = (0.0013888888917213717 + 0.00019841269863053618 * r) + (
        2.4801521295954376e-05 + 2.7557268459997064e-06 * r
    ) * r2
    top = 2.7620088445409746e-07 + 2.510038549551032e-08 * r
    curve = r2 * (low + (r2 * r2) * (high + (r2 * r2) * top))
    e = 1.0 + (r + (((a - r) - b) + curve))
    return e * power_of_two(shifted) * 2.0**-128


@inlined
def exp_narrow(x):
    """Return exp(x) of x <= 707 within 2.4e-10 of itself, for results in float32, where nothing is left below -707."""
    y = x * LOG2_E
    y = -1021.0 if y < -1021.0 else y
    shifted = y + ROUNDER
    r = y - (shifted - ROUNDER)
    r2 = r * r
    low, middle = 1.0 + 0.6931471838169052 * r, 0.24022650920784555 + 0.05550400375180382 * r
    high, top = 0.00961805691909896 + 0.0013341951116775809 * r, 0.00015461367722169576 + 1.3359805043672711e-05 * r
    curve = low + r2 * (middle + r2 * (high + r2 * top))
    # Times 2^k: k is added to the exponent.
    bits = np.float64(curve).view(np.int64) + (np.float64(shifted).view(np.int64) << np.int64(52))
    return np.int64(bits).view(np.float64)


@inlined
def exponential(x, exact):
    """Return exp(x) of x <= 0, for a result in float64 or in float32."""
    return exp(x) if exact else exp_narrow(x)


@inlined
def two_atanh(s, exact):
    """Return 2 atanh(s) - 2 s of |s| <= 0.2025, as a share of s."""
    w = s * s
    w2 = w * w
    if exact:
        low = (0.6666666666666666 + 0.40000000000009306 * w) + (0.2857142856666864 + 0.22222223148322984 * w) * w2
        high = (0.18181729869745253 + 0.15389174135906675 * w) + (0.1320375159044889 + 0.1365426141372305 * w) * w2
        return w * (low + high * (w2 * w2))
    return w * ((0.666666662360088 + 0.40000335758185385 * w) + (0.28530722517673707 + 0.2378736000653261 * w) * w2)


@inlined
def log1p_near(f, exact):
    """Return log(1 + f) of -1/4 <= f <= 1/2."""
    half, s = 0.5 * f * f, f / (2.0 + f)
    return f - (half - s * (half + two_atanh(s, exact)))


@inlined
def log1p(x, exact):
    """Return log(1 + x) of 0 <= x <= 1."""
    # Above one half it is log(2) + log(1 + (x - 1) / 2).
    far = x > 0.5
    near = log1p_near(0.5 * (x - 1.0) if far else x, exact)
    return (near + (LOG2_LOW if far else 0.0)) + (LOG2_HIGH if far else 0.0)


@inlined
def rounded_log2(a, b):
    """Return about log2(a / b) of a >= b > 0 as ROUNDER + k: the bits of a number are about its logarithm."""
    distance = np.float64(a).view(np.uint64) - np.float64(b).view(np.uint64)
    k = (distance + np.uint64(1 << 51)) >> np.uint64(52)
    return np.uint64(k | np.float64(ROUNDER).view(np.uint64)).view(np.float64)


@inlined
def log1p_in_two(x):
    """Return log(1 + x) of 0 <= x < 2^1000 as an exact multiple of a short log(2), and what remains."""
    shifted = rounded_log2(1.0 + x, 1.0)
    k, scale = shifted - ROUNDER, power_of_two(2.0 * ROUNDER - shifted)
    near = log1p_near(x * scale - (1.0 - scale), True)
    return k * LOG2_HIGH, near + k * LOG2_LOW


@inlined
def log1p_of_sum(x):
    """Return log(1 + x) of 0 <= x < 2^1000."""
    high, low = log1p_in_two(x)
    return low + high


@inlined
def log_of_odds(q, exact):
    """Return log((1 - q) / q) of 0 < q <= 1/2, exactly 0 at 1/2."""
    deep = exact & (q < 2.0**-900)
    b = q * (2.0**128 if deep else 1.0)
    a = 1.0 - q
    shifted = rounded_log2(a, b)  # 2^k q is about 1 - q
    k = (shifted - ROUNDER) + (128.0 if deep else 0.0)
    b *= power_of_two(shifted)
    s = ((a - b) + ((1.0 - a) - q)) / (a + b)  # the numerator is exact
    return ((s * two_atanh(s, exact) + k * LOG2_LOW) + 2.0 * s) + k * LOG2_HIGH


@inlined
def holds_float64(values):
    """Return whether numbers are float64 rather than float32, which a compiler knows beforehand."""
    return values.dtype.type(1.0 + 2.0**-40) != 1.0


@inlined
def expit_of(x, exact):
    """Return the probability of log-odds."""
    if not exact:  # rounded to float32, the result doesn't show the rounding errors of the sum and the quotient
        return 1.0 / (1.0 + exp_narrow(700.0 if x < -700.0 else -x))
    e = exp(-abs(x))
    smaller = e / (1.0 + e)
    return e - e * smaller if x < 0.0 else 1.0 - smaller


@inlined
def softplus_of(x, exact):
    """Return log(1 + exp(x))."""
    return log1p(exponential(-abs(x), exact), exact) + (x if x > 0.0 else 0.0)


@compiled
def expit(first, last, x, out, slopes):
    """Write the probabilities of log-odds."""
    x, out = x[first:last], out[first:last]  # from 0 on, where a compiler sees that no index is negative
    for i in range(x.size):
        out[i] = expit_of(np.float64(x[i]), holds_float64(x))


@compiled
def softplus(first, last, x, out, slopes):
    """Write log(1 + exp(x)), and if asked for its derivative."""
    x, out, slopes = x[first:last], out[first:last], slopes[first:last]
    for i in range(x.size):
        out[i] = softplus_of(np.float64(x[i]), holds_float64(x))
    for i in range(slopes.size):
        slopes[i] = expit_of(np.float64(x[i]), holds_float64(x))


@compiled
def log_expit(first, last, x, out, slopes):
    """Write the log-probabilities of log-odds."""
    x, out = x[first:last], out[first:last]
    for i in range(x.size):
        out[i] = -softplus_of(-np.float64(x[i]), holds_float64(x))


@compiled
def logit(first, last, x, out, slopes):
    """Write the log-odds of probabilities, NaN for other numbers, and if asked for their derivative."""
    x, out, slopes = x[first:last], out[first:last], slopes[first:last]
    for i in range(x.size):
        p = np.float64(x[i])
        q = 1.0 - p
        q = p if p < q else q
        up = np.inf if q == 0.0 else np.nan if q < 0.0 else log_of_odds(q, holds_float64(x))
        out[i] = -up if p < 0.5 else up
    for i in range(slopes.size):
        p = np.float64(x[i])
        slope = 1.0 / (p * (1.0 - p))
        slopes[i] = abs(slope) if 0.0 <= p <= 1.0 else np.nan


@inlined
def is_small(pull, push, limit):
    """Whether a difference has lost too many digits of its operands."""
    return abs(pull - push) < limit * (pull if pull > push else push)


@inlined
def copy(values, out):
    """Copy numbers one by one: to an assignment of slices Numba adds seconds of compiling what it may have to say."""
    for i in range(values.size):
        out[i] = values[i]


@inlined
def sum_by_halves(values):
    """Return the sum of a chunk, which is overwritten, in an order that doesn't depend on the processor."""
    half = CHUNK // 2
    while half:
        for i in range(half):
            values[i] += values[i + half]
        half //= 2
    return values[0]


@compiled
def exps_of_sizes(x, exact, e):
    """Write exp(-abs(x))."""
    if exact:
        for i in range(x.size):
            e[i] = exp(-abs(np.float64(x[i])))
    else:
        for i in range(x.size):
            e[i] = exp_narrow(-abs(np.float64(x[i])))


@compiled
def binary_cross_entropy(first, last, x, y, weight, pos_weight, limit, losses, sums, factor, grad, left):
    """Write the losses of log-odds or each chunk's sum, and if asked for their gradient times a factor.

    What is left are numbers whose gradient is below that share of its operands.
    """
    exact = holds_float64(x)
    careful = exact or limit > 0.0
    w, a = np.empty(CHUNK), np.empty(CHUNK)
    w[:], a[:] = weight[0], pos_weight[0]
    e, loss, cancelled = np.empty(CHUNK), np.empty(CHUNK), np.empty(CHUNK)
    for chunk in range(first, last):
        start, stop = chunk * CHUNK, min(x.size, (chunk + 1) * CHUNK)
        size, xs, ys = stop - start, x[start:stop], y[start:stop]
        if weight.size > 1:
            copy(weight[start:stop], w)
        if pos_weight.size > 1:
            copy(pos_weight[start:stop], a)
        exps_of_sizes(xs, careful, e)
        for i in range(size):
            z, t = np.float64(xs[i]), np.float64(ys[i])
            positive, negative = w[i] * (a[i] * t), w[i] * (1.0 - t)
            against = positive if z < 0.0 else negative
            # Where nothing speaks against it, log-odds may be infinite.
            loss[i] = (positive + negative) * log1p(e[i], exact) + (0.0 if against == 0.0 else against * abs(z))
        if losses.size:
            copy(loss[:size], losses[start:stop])
        else:
            loss[size:] = 0.0
            sums[chunk] = sum_by_halves(loss)
        if grad.size:
            slopes = grad[start:stop]
            for i in range(size):
                z, t = np.float64(xs[i]), np.float64(ys[i])
                pull = w[i] * (1.0 - t) * (e[i] if z < 0.0 else 1.0)
                push = w[i] * (a[i] * t) * (1.0 if z < 0.0 else e[i])
                difference, total = pull - push, 1.0 + e[i]
                cancelled[i] = 1.0 if is_small(pull, push, limit) else 0.0
                slope = difference / total
                # The rounding error of the sum is known, so its share of the quotient is taken back.
                slopes[i] = factor * (slope - slope * ((e[i] - (total - 1.0)) / total))
            if limit > 0.0:
                for i in range(size):
                    left[start + i] = cancelled[i] > 0.0


@inlined
def is_short(classes):
    """Whether each lane of a tile holds a row of its own."""
    return classes <= SHORT


@inlined
def rows_of_tile(classes):
    """Return how many rows a tile has."""
    return LANES if is_short(classes) else 1


@inlined
def padded(size):
    """Return the room for numbers that fill all lanes."""
    return -(-size // LANES) * LANES


@inlined
def size_of_tile(classes):
    """Return how many numbers a tile has."""
    return classes * LANES if is_short(classes) else padded(classes)


@inlined
def place_in_tile(row, label, classes):
    """Return where the tile holds a class of a row."""
    return label * LANES + row if is_short(classes) else label


@compiled
def load(values, classes, start, rows, padding, tile):
    """Copy rows into a tile; where it has room for more, it holds the padding."""
    if not is_short(classes):
        copy(values[start * classes : (start + 1) * classes], tile)
        for j in range(classes, tile.size):
            tile[j] = padding
        return
    if rows < LANES:
        tile[:] = padding
    for row in range(rows):
        own = values[(start + row) * classes : (start + row + 1) * classes]
        for j in range(classes):
            tile[j * LANES + row] = own[j]


@compiled
def store(tile, scales, classes, start, rows, out):
    """Write a tile, each row of it times its scale, to rows."""
    for row in range(rows):
        scale, own = scales[row], out[(start + row) * classes : (start + row + 1) * classes]
        if is_short(classes):
            for j in range(classes):
                own[j] = tile[j * LANES + row] * scale
        else:
            for j in range(classes):
                own[j] = tile[j] * scale


@inlined
def in_order(bits, most):
    """Return a number's bits as an integer that's larger the larger the number, NaN above all; or the bits again."""
    return bits ^ most if bits < 0 else bits


@compiled
def largest_of(z):
    """Return the largest number, or NaN: integers are compared without a thought of NaN."""
    if holds_float64(z):
        most, largest = np.int64(2**63 - 1), np.int64(-(2**63))
        for i in range(z.size):
            place = in_order(np.float64(z[i]).view(np.int64), most)
            largest = place if place > largest else largest
        return np.int64(in_order(largest, most)).view(np.float64)
    narrow_most, narrow_largest = np.int32(2**31 - 1), np.int32(-(2**31))
    for i in range(z.size):
        narrow = np.int32(in_order(np.float32(z[i]).view(np.int32), narrow_most))
        narrow_largest = narrow if narrow > narrow_largest else narrow_largest
    return np.float64(np.int32(in_order(narrow_largest, narrow_most)).view(np.float32))


@compiled
def find_tops(z, tops):
    """Write the largest logit of each lane's row; NaN may be passed over, to show in a sum."""
    tops[:] = -np.inf
    for j in range(0, z.size, LANES):
        for lane in range(LANES):
            a, b = np.float64(z[j + lane]), tops[lane]
            tops[lane] = a if a > b else b


@compiled
def find_place(z, top):
    """Return where the largest number is."""
    largest = z.dtype.type(top)
    for begin in range(0, z.size, LANES):
        part, hits = z[begin : begin + LANES], np.int32(0)
        for j in range(part.size):  # a loop with a way out wouldn't be vectorized
            hits |= np.int32(part[j] == largest)
        if hits:
            for j in range(part.size):
                if part[j] == largest:
                    return begin + j
    return 0


@compiled
def find_places(z, tops, rows, places):
    """Write where a tile of short rows holds the largest logit of each."""
    for row in range(rows):
        places[row] = row
        for j in range(row, z.size, LANES):
            if z[j] == tops[row]:
                places[row] = j
                break


@inlined
def exp_of_difference(z, top, exact, careful):
    """Return exp(z - top) of z <= top; in float64 the difference's rounding error counts."""
    if exact:
        difference, error = two_sum(np.float64(z), -top)
        return exp_of_sum(difference, 0.0 if difference < -746.0 else error)
    return exp(z - top) if careful else exp_narrow(z - top)


@compiled
def exponentiate(z, tops, exact, careful, exps):
    """Write exp(z - top) of a tile of short rows."""
    for j in range(0, z.size, LANES):
        values, e = z[j : j + LANES], exps[j : j + LANES]
        if exact:
            for lane in range(values.size):
                e[lane] = exp_of_difference(values[lane], tops[lane], True, True)
        elif careful:
            for lane in range(values.size):
                e[lane] = exp_of_difference(values[lane], tops[lane], False, True)
        else:
            for lane in range(values.size):
                e[lane] = exp_of_difference(values[lane], tops[lane], False, False)


@compiled
def exps_of_row(z, top, careful, exps):
    """Write exp(z - top) of a long row or of a part of it, and 0 where there's room for more."""
    if holds_float64(z):
        for j in range(z.size):
            exps[j] = exp_of_difference(z[j], top, True, True)
    elif careful:
        for j in range(z.size):
            exps[j] = exp_of_difference(z[j], top, False, True)
    else:
        for j in range(z.size):
            exps[j] = exp_of_difference(z[j], top, False, False)
    for j in range(z.size, exps.size):
        exps[j] = 0.0


@compiled
def add(tile, exact, sums, lows):
    """Add a tile to the sums of its lanes; if exact, what these lose to rounding goes to the lows."""
    # Four steps at a time, each sum goes to memory and back a quarter as often.
    even = tile.size - tile.size % (4 * LANES)
    for j in range(0, even, 4 * LANES):
        a, b, c, d = tile[j:], tile[j + LANES :], tile[j + 2 * LANES :], tile[j + 3 * LANES :]
        if exact:
            for lane in range(LANES):
                total, error = two_sum(sums[lane], a[lane])
                total, second = two_sum(total, b[lane])
                total, third = two_sum(total, c[lane])
                sums[lane], fourth = two_sum(total, d[lane])
                lows[lane] += (error + second) + (third + fourth)
        else:
            for lane in range(LANES):
                sums[lane] += (a[lane] + b[lane]) + (c[lane] + d[lane])
    for j in range(even, tile.size, LANES):
        values = tile[j : j + LANES]
        if exact:
            for lane in range(values.size):
                sums[lane], error = two_sum(sums[lane], values[lane])
                lows[lane] += error
        else:
            for lane in range(values.size):
                sums[lane] += values[lane]


@compiled
def total_of(sums, lows, exact):
    """Return the sum of all lanes, which are overwritten."""
    half = LANES // 2
    while half:  # one by one, each sum would wait for the one before
        if exact:
            for lane in range(half):
                sums[lane], error = two_sum(sums[lane], sums[lane + half])
                lows[lane] += lows[lane + half] + error
        else:
            for lane in range(half):
                sums[lane] += sums[lane + half]
        half //= 2
    return with_low(sums[0], lows[0], exact)


@inlined
def with_low(total, low, exact):
    """Return a sum and what it has lost, of which nothing is known if it's infinite."""
    return total + (low if exact & (abs(total) < np.inf) else 0.0)


@compiled
def add_up(tile, exact, classes, sums, lows):
    """Write the sum of each row of a tile; if exact, as if added exactly."""
    sums[:] = 0.0
    lows[:] = 0.0
    add(tile, exact, sums, lows)
    if not is_short(classes):
        sums[0] = total_of(sums, lows, exact)
        return
    for lane in range(LANES):
        sums[lane] = with_low(sums[lane], lows[lane], exact)


@compiled
def split(z, top, place, careful, exps, sums, lows):
    """Write exp(z - top) of a long row, all or the last part; return one, written as 0, and the sum of the others."""
    own, exact = 0.0, holds_float64(z)
    sums[:] = 0.0
    lows[:] = 0.0
    for begin in range(0, z.size, PART):
        part = z[begin : begin + PART]
        here = begin if exps.size > PART else 0
        e = exps[here : here + padded(part.size)]
        exps_of_row(part, top, careful, e)
        if begin <= place < begin + part.size:
            own, e[place - begin] = e[place - begin], 0.0
        add(e, exact, sums, lows)
    return own, total_of(sums, lows, exact)


@compiled
def cross_entropy(first, last, z, classes, labels, ignored, weights, divisor, losses, grad, left):
    """Write the loss of each row's class, 0 where that is the ignored one, and if asked for its gradient."""
    exact, short, factor = holds_float64(z), is_short(classes), 1.0 / divisor
    exps = np.empty(size_of_tile(classes) if short or grad.size else PART)
    tile = np.empty(exps.size if short else 0)
    # One allocation each: of parts of one array a compiler can't tell that they don't overlap.
    own_classes, tops, rests = np.empty(LANES, np.intp), np.empty(LANES), np.empty(LANES)
    lows, owns, sums = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    scales, factors = np.empty(LANES), np.empty(LANES)
    for start in range(first, last, LANES):
        rows = min(LANES, last - start)
        for row in range(rows):
            label = labels[start + row]
            inside = 0 <= label < classes
            left[start + row] = not inside and label != ignored
            own_classes[row] = label if inside else 0
            weight = weights[own_classes[row]] if weights.size else 1.0
            scales[row] = weight if inside and label != ignored else 0.0
            # The mean of nothing is NaN, its gradient 0.
            factors[row] = weight * factor if inside and label != ignored else 0.0
        if short:
            load(z, classes, start, rows, 0.0, tile)
            find_tops(tile, tops)
            exponentiate(tile, tops, exact, False, exps)
            for row in range(rows):
                place = own_classes[row] * LANES + row
                owns[row], exps[place] = exps[place], 0.0
            add_up(exps, exact, classes, rests, lows)
            for row in range(rows):
                exps[own_classes[row] * LANES + row] = -rests[row]
                lows[row] = factors[row] / (rests[row] + owns[row])
            if grad.size:
                store(exps, lows, classes, start, rows, grad)
        else:
            for row in range(rows):
                values, own_class = z[(start + row) * classes : (start + row + 1) * classes], own_classes[row]
                tops[row] = largest_of(values)
                owns[row], rests[row] = split(values, tops[row], own_class, False, exps, sums, lows)
                if grad.size:
                    exps[own_class], lows[0] = -rests[row], factors[row] / (rests[row] + owns[row])
                    store(exps, lows, classes, start + row, 1, grad)
        for row in range(rows):
            # All terms are positive: of a largest logit only the others count, of another the sum is above one.
            lows[row] = rests[row] if owns[row] == 1.0 else (rests[row] - 1.0) + owns[row]
        for row in range(rows):
            lows[row] = log1p_of_sum(lows[row])
        for row in range(rows):
            i, rest, whole = start + row, rests[row], rests[row] + owns[row]
            difference, error = two_sum(np.float64(z[i * classes + own_classes[row]]), -tops[row])
            loss = (lows[row] - difference) - (error if exact and difference > -np.inf else 0.0)
            losses[i] = scales[row] * loss if scales[row] != 0.0 else 0.0
            left[i] |= not (abs(tops[row]) < np.inf and whole < np.inf) or (exact and rest < SUBNORMAL_SUM)


@compiled
def mean_cross_entropy(z, classes, labels, ignored, mean, grad):
    """Write the mean loss of the rows that count, and if asked for its gradient; return whether a row is left."""
    losses, left, kept = np.empty(labels.size), np.empty(labels.size, np.bool_), 0
    for label in labels:
        kept += label != ignored
    divisor = float(kept) if kept else np.nan
    first = np.int64(0)  # not a literal, for which the whole kernel would be compiled anew
    cross_entropy(first, labels.size, z, classes, labels, ignored, np.empty(0), divisor, losses, grad, left)
    total, low = 0.0, 0.0
    for loss in losses:
        total, error = two_sum(total, loss)
        low += error
    mean[()] = with_low(total, low, True) / divisor
    return left.any()


@compiled
def look(z, classes, start, rows, careful, tile, exps, tops, places, rests, logs, left):
    """Load rows; write their largest logits, the exponentials and sum of the others, and log(1 + that sum).

    The largest logit's own exponential, which is 1, is 0 among the others. Of a long row, only what there's room for is
    loaded and kept.
    """
    exact = holds_float64(z)
    if is_short(classes):
        load(z, classes, start, rows, 0.0, tile)
        find_tops(tile, tops)
        find_places(tile, tops, rows, places)
        exponentiate(tile, tops, exact, careful, exps)
        for row in range(rows):
            exps[places[row]] = 0.0
        add_up(exps, exact, classes, rests, logs)
    else:
        if tile.size:
            load(z, classes, start, rows, -np.inf, tile)
        values = z[start * classes : (start + 1) * classes]
        tops[0] = largest_of(values)
        places[0] = find_place(values, tops[0])
        rests[0] = split(values, tops[0], places[0], careful, exps, rests, logs)[1]
    for row in range(rows):
        left[start + row] = not (abs(tops[row]) < np.inf and rests[row] < np.inf)
        left[start + row] |= exact and rests[row] < SUBNORMAL_SUM
        rests[row] = 0.0 if rests[row] < SUBNORMAL_SUM else rests[row]  # of masks alone it may be tiny in float32
    for row in range(rows):
        logs[row] = log1p_of_sum(rests[row])


@compiled
def softmax(first, last, z, classes, out, left):
    """Write the probabilities of the classes of each row."""
    most, exps = rows_of_tile(classes), np.empty(size_of_tile(classes))
    tile = np.empty(exps.size if is_short(classes) else 0)
    places, tops, rests = np.empty(LANES, np.intp), np.empty(LANES), np.empty(LANES)
    logs, scales = np.empty(LANES), np.empty(LANES)
    for start in range(first, last, most):
        rows = min(most, last - start)
        look(z, classes, start, rows, False, tile, exps, tops, places, rests, logs, left)
        for row in range(rows):
            exps[places[row]], scales[row] = 1.0, 1.0 / (1.0 + rests[row])
        store(exps, scales, classes, start, rows, out)


@compiled
def log_softmax(first, last, z, classes, out, left):
    """Write the log-probabilities of the classes of each row."""
    most, exps = rows_of_tile(classes), np.empty(size_of_tile(classes))
    tile = np.empty(exps.size if is_short(classes) else 0)
    places, tops, rests = np.empty(LANES, np.intp), np.empty(LANES), np.empty(LANES)
    logs = np.empty(LANES)
    for start in range(first, last, most):
        rows = min(most, last - start)
        look(z, classes, start, rows, False, tile, exps, tops, places, rests, logs, left)
        for row in range(rows):
            begin, end = (start + row) * classes, (start + row + 1) * classes
            values, own, top, log = z[begin:end], out[begin:end], tops[row], logs[row]
            for j in range(classes):
                difference, error = two_sum(np.float64(values[j]), -top)
                own[j] = (difference - log) + (0.0 if difference == -np.inf else error)


@compiled
def logsumexp(first, last, z, classes, limit, out, left):
    """Write the logsumexp of each row; left is one that's small beside the logarithm that it's the difference from."""
    most, exps = rows_of_tile(classes), np.empty(size_of_tile(classes) if is_short(classes) else PART)
    tile = np.empty(exps.size if is_short(classes) else 0)
    places, tops, rests = np.empty(LANES, np.intp), np.empty(LANES), np.empty(LANES)
    logs = np.empty(LANES)
    for start in range(first, last, most):
        rows = min(most, last - start)
        look(z, classes, start, rows, True, tile, exps, tops, places, rests, logs, left)
        for row in range(rows):
            i = start + row
            high, low = log1p_in_two(rests[row])
            partial, error = two_sum(tops[row], high)
            out[i] = partial + (low + error)
            left[i] |= abs(out[i]) < limit * logs[row]


@compiled
def class_log_odds(first, last, z, classes, limit, out, left):
    """Write the log-odds of the classes of each row; left is a row with one near 0, or with a certain class."""
    most, exps = rows_of_tile(classes), np.empty(size_of_tile(classes))
    tile = np.empty(exps.size if is_short(classes) else 0)
    places, tops, rests = np.empty(LANES, np.intp), np.empty(LANES), np.empty(LANES)
    logs, near = np.empty(LANES), np.empty(exps.size)
    for start in range(first, last, most):
        rows = min(most, last - start)
        look(z, classes, start, rows, True, tile, exps, tops, places, rests, logs, left)
        if not is_short(classes):
            rests[:] = rests[0]
        for j in range(0, exps.size, LANES):
            e, log = exps[j : j + LANES], near[j : j + LANES]
            for lane in range(e.size):
                others = rests[lane] - e[lane]
                log[lane] = log1p_of_sum(others if others > 0.0 else 0.0)
        for row in range(rows):
            i, rest, top, close = start + row, rests[row], tops[row], np.int64(0)
            values, own = z[i * classes : (i + 1) * classes], out[i * classes : (i + 1) * classes]
            for j in range(classes):
                place = place_in_tile(row, j, classes)
                log_odds = (values[j] - top) - near[place]
                close += np.int64((abs(log_odds) < limit) & (place != places[row]))
                own[j] = log_odds
            up = log_of_odds(min(rest, 1.0) / (1.0 + rest), True)
            own[places[row] // rows_of_tile(classes)] = up if rest < 1.0 else -up
            left[i] |= rest == 0.0 or up < limit or close > 0


@compiled
def load_shares(labels, target, weights, smoothing, classes, start, rows, shares):
    """Write what each class weighs in the loss of short rows: its weight times its share of the target, smoothed."""
    spread = smoothing / classes
    if labels.size:
        shares[:] = spread
        for row in range(rows):
            label = labels[start + row]
            shares[(label if 0 <= label < classes else 0) * LANES + row] += 1.0 - smoothing
    else:
        load(target, classes, start, rows, 0.0, shares)
        if smoothing > 0.0:
            for j in range(shares.size):
                shares[j] = (1.0 - smoothing) * shares[j] + spread
    for j in range(weights.size):
        for lane in range(LANES):
            shares[j * LANES + lane] *= weights[j]


@compiled
def shares_of_part(labels, target, weights, smoothing, classes, row, begin, size, shares):
    """Write the same of a part of a long row, and 0 where there's room for more."""
    spread = smoothing / classes
    if labels.size:
        for j in range(size):
            shares[j] = spread
        label = labels[row] if 0 <= labels[row] < classes else 0
        if begin <= label < begin + size:
            shares[label - begin] += 1.0 - smoothing
    else:
        values = target[row * classes + begin : row * classes + begin + size]
        if smoothing > 0.0:
            for j in range(size):
                shares[j] = (1.0 - smoothing) * values[j] + spread
        else:
            copy(values, shares)
    if weights.size:
        factors = weights[begin : begin + size]
        for j in range(size):
            shares[j] *= factors[j]
    for j in range(size, shares.size):
        shares[j] = 0.0


@inlined
def cost_of(share, z, top, exact):
    """Return share times (top - z), where 0 times inf is 0."""
    difference, error = two_sum(top, -z)
    cost = share * difference
    if exact:
        cost += share * (error if difference < np.inf else 0.0)
    return 0.0 if share == 0.0 else cost


@compiled
def expect(tile, tops, shares, exact, classes, totals, costs, lows):
    """Turn logits of short rows into share times (top - z); write the sum of each row, and of its shares."""
    # In slices, and with both branches computed, a compiler sees that the lanes can be treated as one.
    for j in range(0, tile.size, LANES):
        z, q = tile[j : j + LANES], shares[j : j + LANES]
        if exact:
            for lane in range(z.size):
                z[lane] = cost_of(q[lane], z[lane], tops[lane], True)
        else:
            for lane in range(z.size):
                z[lane] = cost_of(q[lane], z[lane], tops[lane], False)
    # In float64 the sum of the shares is added up as exactly, since a gradient is a difference from it.
    add_up(tile, exact, classes, costs, lows)
    add_up(shares, exact, classes, totals, lows)


@compiled
def costs_of_part(z, top, shares, costs):
    """Write the same of a part of a long row, and 0 where there's room for more."""
    for j in range(z.size):
        costs[j] = cost_of(shares[j], np.float64(z[j]), top, holds_float64(z))
    for j in range(z.size, costs.size):
        costs[j] = 0.0


@inlined
def pull_and_push(e, q, total, whole):
    """Return what the slope of a class is the difference of, e sum(q) and q sum(e), less their equal terms."""
    return e * (total - q), q * (whole - e)


@compiled
def slopes_of_tile(exps, shares, totals, wholes):
    """Turn exponentials of short rows into slopes."""
    for j in range(0, exps.size, LANES):
        e, q = exps[j : j + LANES], shares[j : j + LANES]
        for lane in range(e.size):
            pull, push = pull_and_push(e[lane], q[lane], totals[lane], wholes[lane])
            e[lane] = pull - push


@compiled
def slopes_of_part(exps, shares, total, whole, scale, out):
    """Write the slopes of a part of a long row, times the scale."""
    for j in range(out.size):
        pull, push = pull_and_push(exps[j], shares[j], total, whole)
        out[j] = scale * (pull - push)


@compiled
def count_shares(shares, several):
    """Count in each lane the shares that aren't 0."""
    for j in range(0, shares.size, LANES):
        q = shares[j : j + LANES]
        for lane in range(q.size):
            several[lane] += 0.0 if q[lane] == 0.0 else 1.0


@compiled
def count_small(exps, shares, totals, wholes, limit, several, small):
    """Count in each lane the slopes that are small beside their operands."""
    for j in range(0, exps.size, LANES):
        e, q = exps[j : j + LANES], shares[j : j + LANES]
        for lane in range(e.size):
            pull, push = pull_and_push(e[lane], q[lane], totals[lane], wholes[lane])
            # Of the only share the others' sum is exactly 0, of one that's nearly all it has lost its digits.
            lost = (several[lane] > 1.0) & (totals[lane] - q[lane] < limit * totals[lane])
            small[lane] += 1.0 if lost | is_small(pull, push, limit) else 0.0


@compiled
def soft_cross_entropy(
    first, last, z, classes, labels, ignored, target, weights, smoothing, divisor, limit, losses, grad, left
):
    """Write the loss of each row under a distribution or a smoothed class, and if asked for its gradient."""
    exact, short, most, factor = holds_float64(z), is_short(classes), rows_of_tile(classes), 1.0 / divisor
    exps = np.empty(size_of_tile(classes) if short or grad.size else PART)
    tile, shares = np.empty(exps.size if short else 0), np.empty(exps.size if short else PART)
    terms = np.empty(PART)
    places, tops, rests = np.empty(LANES, np.intp), np.empty(LANES), np.empty(LANES)
    logs, lows, scales, wholes = np.empty(LANES), np.empty(LANES), np.empty(LANES), np.empty(LANES)
    totals, costs, several, small = np.empty(LANES), np.empty(LANES), np.empty(LANES), np.empty(LANES)
    tops_shares, lows_of_costs = np.empty(LANES), np.empty(LANES)
    for start in range(first, last, most):
        rows = min(most, last - start)
        look(z, classes, start, rows, limit > 0.0, tile, exps, tops, places, rests, logs, left)
        several[:] = 0.0
        small[:] = 0.0
        if short:
            load_shares(labels, target, weights, smoothing, classes, start, rows, shares)
            expect(tile, tops, shares, exact, classes, totals, costs, lows)
            for row in range(rows):
                tops_shares[row] = shares[places[row]]
            if limit > 0.0:
                count_shares(shares, several)
        else:
            totals[:], costs[:], lows[:], lows_of_costs[:] = 0.0, 0.0, 0.0, 0.0
            for begin in range(0, classes, PART):
                part = z[start * classes + begin : start * classes + min(begin + PART, classes)]
                q, own_costs = shares[: padded(part.size)], terms[: padded(part.size)]
                shares_of_part(labels, target, weights, smoothing, classes, start, begin, part.size, q)
                costs_of_part(part, tops[0], q, own_costs)
                add(q, exact, totals, lows)
                add(own_costs, exact, costs, lows_of_costs)
                if begin <= places[0] < begin + part.size:
                    tops_shares[0] = q[places[0] - begin]
                if limit > 0.0:
                    count_shares(q, several)
            totals[0], costs[0] = total_of(totals, lows, exact), total_of(costs, lows_of_costs, exact)
            several[:] = several.sum()
        for row in range(rows):
            kept = labels.size == 0 or (0 <= labels[start + row] < classes and labels[start + row] != ignored)
            losses[start + row] = logs[row] * totals[row] + costs[row] if kept else 0.0
            left[start + row] |= not kept and labels[start + row] != ignored
            wholes[row] = 1.0 + rests[row]
            scales[row] = factor / wholes[row] if kept else 0.0
        if not grad.size:
            continue
        if short:
            if limit > 0.0:
                count_small(exps, shares, totals, wholes, limit, several, small)
            slopes_of_tile(exps, shares, totals, wholes)
            for row in range(rows):
                exps[places[row]] = (totals[row] - tops_shares[row]) - tops_shares[row] * rests[row]
            store(exps, scales, classes, start, rows, grad)
        else:
            totals[:], wholes[:] = totals[0], wholes[0]
            for begin in range(0, classes, PART):
                out = grad[start * classes + begin : start * classes + min(begin + PART, classes)]
                e, q = exps[begin : begin + padded(out.size)], shares[: padded(out.size)]
                if classes > PART:
                    shares_of_part(labels, target, weights, smoothing, classes, start, begin, out.size, q)
                if limit > 0.0:
                    count_small(e, q, totals, wholes, limit, several, small)
                slopes_of_part(e, q, totals[0], wholes[0], scales[0], out)
            slope = (totals[0] - tops_shares[0]) - tops_shares[0] * rests[0]
            grad[start * classes + places[0]] = scales[0] * slope
            small[0] = small.sum()
        if limit > 0.0:
            for row in range(rows):
                pull, push = totals[row] - tops_shares[row], tops_shares[row] * rests[row]
                left[start + row] |= scales[row] != 0.0 and (small[row] > 0.0 or is_small(pull, push, limit))


@inlined
def first_half(x):
    """Return a number's first 26 bits, whose product with another half is exact."""
    return np.int64(np.float64(x).view(np.int64) & np.int64(-(2**27))).view(np.float64)


@inlined
def power_of_expit(size, log, exponent):
    """Return expit(x)^exponent of a number from minus its logarithm, size + log <= size + log(2)."""
    # Of a large size, the rounding error of the product would be multiplied by it.
    high, half = first_half(exponent), first_half(size)
    product = high * half
    low = high * (size - half) + (exponent - high) * size
    total, error = two_sum(product, (low if size < np.inf else 0.0) + exponent * log)
    power = exp(-total)
    return power - power * (error if total < np.inf else 0.0)


@compiled
def focal_loss(first, last, x, y, exponent, positive, negative, losses, sums):
    """Write the focal losses of log-odds or each chunk's sum."""
    exact = holds_float64(x)
    e, loss = np.empty(CHUNK), np.empty(CHUNK)
    for chunk in range(first, last):
        start, stop = chunk * CHUNK, min(x.size, (chunk + 1) * CHUNK)
        xs, ys = x[start:stop], y[start:stop]
        exps_of_sizes(xs, True, e)
        for i in range(xs.size):
            z, t = np.float64(xs[i]), np.float64(ys[i])
            log, against = log1p(e[i], True), (-z if t == 1.0 else z) + 0.0 * t  # the log-odds of the wrong answer
            size = -against if against < 0.0 else 0.0
            power = power_of_expit(size, log, exponent) if exact else exp_narrow(-exponent * (size + log))
            # Where nothing is to be weighed down, log-odds may be infinite.
            power = 1.0 if exponent == 0.0 else power
            value = power * (log + (0.0 if against < 0.0 else against))
            weight = positive if t == 1.0 else negative
            loss[i] = weight * (0.0 if (weight == 0.0) & (value == np.inf) else value)
        if losses.size:
            copy(loss[: xs.size], losses[start:stop])
        else:
            loss[xs.size :] = 0.0
            sums[chunk] = sum_by_halves(loss)


@inlined
def log(x):
    """Return log(x) of 0 <= x <= 1."""
    deep = x < 2.0**-900
    b = x * (2.0**128 if deep else 1.0)
    shifted = rounded_log2(1.0, b)  # 2^k x is about 1
    k, scale = shifted - ROUNDER, power_of_two(shifted)
    near, k = log1p_near(b * scale - 1.0, True), k + (128.0 if deep else 0.0)
    return -np.inf if x == 0.0 else (near - k * LOG2_LOW) - k * LOG2_HIGH


@inlined
def exp_minus_line(x):
    """Return exp(x) - 1 - x of -1/2 <= x <= 1/2."""
    x2 = x * x
    low = (0.5 + 0.16666666666666666 * x) + (0.04166666666666706 + 0.00833333333333336 * x) * x2
    high = (0.001388888888870455 + 0.00019841269841146993 * x) + (
        2.4801587616145414e-05 + 2.755731943362024e-06 * x
    ) * x2
    top = (2.7557076636642725e-07 + 2.505194670972162e-08 * x) + (
        2.0962955815976076e-09 + 1.6116496514371548e-10 * x
    ) * x2
    return x2 * (low + (x2 * x2) * (high + (x2 * x2) * top))


@compiled
def load_distribution(values, scale, tolerance, classes, start, rows, logs, probs, left):
    """Write the log-probabilities and the probabilities of rows on one of the three scales.

    Left are rows that don't add up to one within the tolerance, and those that `look` leaves.
    """
    places, tops, rests, sums = np.empty(LANES, np.intp), np.empty(LANES), np.empty(LANES), np.empty(LANES)
    if scale == LOGITS:
        look(values, classes, start, rows, True, logs, probs, tops, places, rests, sums, left)
        for row in range(rows):
            probs[places[row]] = 1.0
        if not is_short(classes):
            tops[:], rests[:], sums[:] = tops[0], rests[0], sums[0]
        for lane in range(LANES):
            rests[lane] = 1.0 / (1.0 + rests[lane])
        for j in range(0, logs.size, LANES):
            log_p, p = logs[j : j + LANES], probs[j : j + LANES]
            for lane in range(log_p.size):
                difference, error = two_sum(log_p[lane], -tops[lane])
                log_p[lane] = (difference - sums[lane]) + (error if difference > -np.inf else 0.0)
                p[lane] *= rests[lane]
        return
    if scale == PROBS:
        load(values, classes, start, rows, 0.0, probs)
        for j in range(probs.size):
            logs[j] = log(probs[j])
    else:
        load(values, classes, start, rows, -np.inf, logs)
        for j in range(logs.size):
            probs[j] = exp(logs[j])
    add_up(probs, False, classes, sums, tops)
    for row in range(rows):
        left[start + row] = not abs(sums[row] - 1.0) <= tolerance


@compiled
def kl_divergence(
    first, last, target, target_scale, target_tolerance, z, scale, tolerance, classes, losses, left_of_target, left
):
    """Write the divergence of each row's target from its prediction."""
    most = rows_of_tile(classes)
    of_target, logs = np.empty(size_of_tile(classes)), np.empty(size_of_tile(classes))
    shares, probs = np.empty(logs.size), np.empty(logs.size)
    totals, lows = np.empty(LANES), np.empty(LANES)
    for start in range(first, last, most):
        rows = min(most, last - start)
        of_rows = classes, start, rows
        load_distribution(target, target_scale, target_tolerance, *of_rows, of_target, shares, left_of_target)
        load_distribution(z, scale, tolerance, *of_rows, logs, probs, left)
        for j in range(0, logs.size, LANES):
            log_t, t = of_target[j : j + LANES], shares[j : j + LANES]
            log_p, p = logs[j : j + LANES], probs[j : j + LANES]
            for lane in range(t.size):
                # t log(t/p) - t + p, which is never negative; near 0 as a function of log(p/t) alone.
                ratio = log_p[lane] - log_t[lane]
                near, far = t[lane] * exp_minus_line(ratio), (p[lane] - t[lane]) - t[lane] * ratio
                term = near if abs(ratio) < 0.5 else far
                p[lane] = p[lane] if t[lane] == 0.0 else term
        add_up(probs, holds_float64(z), classes, totals, lows)
        for row in range(rows):
            losses[start + row] = totals[row]


@compiled
def log_softmax_gradient(first, last, z, classes, cotangents, out, left):
    """Write the gradient of each row's log-probabilities, given what each of them counts for."""
    most, tile = rows_of_tile(classes), np.empty(size_of_tile(classes))
    exps, places, tops = np.empty(tile.size), np.empty(LANES, np.intp), np.empty(LANES)
    rests, logs, owns = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    sums, ones = np.empty(LANES), np.ones(LANES)
    for start in range(first, last, most):
        rows = min(most, last - start)
        look(z, classes, start, rows, False, tile, exps, tops, places, rests, logs, left)
        load(cotangents, classes, start, rows, 0.0, tile)
        for row in range(rows):
            owns[row], tile[places[row]] = tile[places[row]], 0.0
        add_up(tile, holds_float64(z), classes, sums, logs)
        for row in range(rows):
            # c - p sum(c), of the largest logit without the terms that are equal.
            whole = 1.0 + rests[row]
            tops[row], owns[row] = (owns[row] + sums[row]) / whole, (owns[row] * rests[row] - sums[row]) / whole
        if not is_short(classes):
            tops[:] = tops[0]
        for j in range(0, tile.size, LANES):
            slopes, e = tile[j : j + LANES], exps[j : j + LANES]
            for lane in range(slopes.size):
                slopes[lane] -= e[lane] * tops[lane]
        for row in range(rows):
            tile[places[row]] = owns[row]
        store(tile, ones, classes, start, rows, out)


@inlined
def log_of_complement(p):
    """Return log(1 - p) of 0 <= p <= 1."""
    q = 1.0 - p
    return log1p_near(-p, True) if p <= 0.25 else log(q) + (((1.0 - q) - p) / q if p < 0.5 else 0.0)


@inlined
def complement_of_exp(x):
    """Return 1 - exp(x) of x <= 0."""
    near = x >= -0.5
    return -(x + exp_minus_line(x if near else 0.0)) if near else 1.0 - exp(x)


@inlined
def log1mexp_of(x):
    """Return log(1 - exp(x)), NaN where x is positive."""
    x = np.nan if x > 0.0 else x
    return log_of_complement(exp(x)) if x < -LOG2 else log(complement_of_exp(x))


@compiled
def log1mexp(first, last, x, out, slopes):
    """Write log(1 - exp(x)), NaN where x is positive, and if asked for its derivative."""
    x, out, slopes = x[first:last], out[first:last], slopes[first:last]
    for i in range(x.size):
        out[i] = log1mexp_of(np.float64(x[i]))
    for i in range(slopes.size):
        slope = -abs(exp(np.float64(x[i])) / complement_of_exp(np.float64(x[i])))  # the complement of 1 may be -0
        slopes[i] = slope if x[i] <= 0.0 else np.nan


@compiled
def binary_cross_entropy_of(first, last, x, scale, y, weight, pos_weight, losses, sums):
    """Write the losses of probabilities or log-probabilities, or each chunk's sum."""
    loss, w, a = np.empty(CHUNK), np.empty(CHUNK), np.empty(CHUNK)
    w[:], a[:] = weight[0], pos_weight[0]
    positive, negative = np.empty(CHUNK), np.empty(CHUNK)
    for chunk in range(first, last):
        start, stop = chunk * CHUNK, min(x.size, (chunk + 1) * CHUNK)
        xs, ys = x[start:stop], y[start:stop]
        if weight.size > 1:
            copy(weight[start:stop], w)
        if pos_weight.size > 1:
            copy(pos_weight[start:stop], a)
        if scale == PROBS:
            for i in range(xs.size):
                positive[i], negative[i] = log(np.float64(xs[i])), log_of_complement(np.float64(xs[i]))
        else:
            for i in range(xs.size):
                positive[i], negative[i] = np.float64(xs[i]), log1mexp_of(np.float64(xs[i]))
        for i in range(xs.size):
            t = np.float64(ys[i])
            yes, no = w[i] * (a[i] * t), w[i] * (1.0 - t)
            # What has no weight may be infinite, but not NaN.
            gain = (0.0 if (yes == 0.0) & (positive[i] == -np.inf) else yes * positive[i]) + (
                0.0 if (no == 0.0) & (negative[i] == -np.inf) else no * negative[i]
            )
            loss[i] = 0.0 - gain
        if losses.size:
            copy(loss[: xs.size], losses[start:stop])
        else:
            loss[xs.size :] = 0.0
            sums[chunk] = sum_by_halves(loss)


@compiled
def cross_entropy_of(
    first, last, values, scale, tolerance, classes, labels, ignored, target, weights, smoothing, losses, left
):
    """Write the loss of rows of probabilities or log-probabilities; left are those that don't add up to one."""
    most, hard = rows_of_tile(classes), (labels.size > 0) & (smoothing == 0.0)
    logs, probs = np.empty(size_of_tile(classes)), np.empty(size_of_tile(classes))
    shares, sums, lows = np.empty(0 if hard else logs.size), np.empty(LANES), np.empty(LANES)
    for start in range(first, last, most):
        rows = min(most, last - start)
        if scale == PROBS:
            load(values, classes, start, rows, 0.0, probs)
        else:
            load(values, classes, start, rows, -np.inf, logs)
            for j in range(logs.size):
                probs[j] = exp_narrow(logs[j])
        add_up(probs, False, classes, sums, lows)
        for row in range(rows):
            left[start + row] = not abs(sums[row] - 1.0) <= tolerance
        if hard:
            for row in range(rows):
                i = start + row
                kept = labels[i] != ignored
                label = labels[i] if kept else 0
                value = np.float64(values[i * classes + label])
                surprisal = 0.0 - (log(value) if scale == PROBS else value)
                weight = weights[label] if weights.size else 1.0
                losses[i] = weight * surprisal if kept and weight != 0.0 else 0.0
            continue
        if is_short(classes):
            load_shares(labels, target, weights, smoothing, classes, start, rows, shares)
        else:
            shares_of_part(labels, target, weights, smoothing, classes, start, 0, classes, shares)
        if scale == PROBS:
            for j in range(logs.size):
                logs[j] = log(probs[j])
        for j in range(logs.size):
            logs[j] = 0.0 if shares[j] == 0.0 else shares[j] * (0.0 - logs[j])
        add_up(logs, holds_float64(values), classes, sums, lows)
        for row in range(rows):
            losses[start + row] = 0.0 if labels.size > 0 and labels[start + row] == ignored else sums[row]


@compiled
def center(first, last, z, classes, scale, tolerance, out, left):
    """Write logits, or the logarithms of probabilities, less the mean of those that aren't masked."""
    most, tile = rows_of_tile(classes), np.empty(size_of_tile(classes))
    sums, lows, counts, sizes = np.empty(LANES), np.empty(LANES), np.empty(LANES), np.empty(LANES)
    ones = np.ones(LANES)
    for start in range(first, last, most):
        rows = min(most, last - start)
        load(z, classes, start, rows, -np.inf if scale == LOGITS else 0.0, tile)
        if scale == PROBS:
            add_up(tile, False, classes, sums, lows)
            for row in range(rows):
                left[start + row] = not abs(sums[row] - 1.0) <= tolerance
            for j in range(tile.size):
                tile[j] = log(tile[j])
        sums[:], lows[:], counts[:], sizes[:] = 0.0, 0.0, 0.0, 0.0
        for j in range(0, tile.size, LANES):
            values = tile[j : j + LANES]
            for lane in range(values.size):
                masked = values[lane] == -np.inf
                value = 0.0 if masked else values[lane]
                sums[lane], error = two_sum(sums[lane], value)
                lows[lane] += error
                counts[lane] += 0.0 if masked else 1.0
                sizes[lane] = abs(value) if abs(value) > sizes[lane] else sizes[lane]
        if not is_short(classes):
            for lane in range(1, LANES):
                sums[0], error = two_sum(sums[0], sums[lane])
                lows[0] += lows[lane] + error
                counts[0] += counts[lane]
                sizes[0] = max(sizes[0], sizes[lane])
            sums[:], lows[:], counts[:] = sums[0], lows[0], counts[0]
        for row in range(rows):
            # The sum of large numbers may overflow, and then its errors are lost.
            left[start + row] |= not (counts[row] > 0.0 and sizes[row] < 2.0**900 and abs(sums[row]) < np.inf)
        for j in range(0, tile.size, LANES):
            values = tile[j : j + LANES]
            for lane in range(values.size):
                # z less the mean cancels where they're close, so the division comes last.
                value, count = values[lane], counts[lane]
                half = first_half(value)
                difference, error = two_sum(count * half, -sums[lane])
                centered = (difference + (error + (count * (value - half) - lows[lane]))) / count
                values[lane] = -np.inf if value == -np.inf else centered
        store(tile, ones, classes, start, rows, out)
