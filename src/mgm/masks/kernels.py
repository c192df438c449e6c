"""Compiled inner loops of the masks: at the size of a token grid the overhead of a numpy call exceeds its work.

To compile one takes one to four seconds; `a[:] = b` would cost four more, for the text of its error. The first masks of an
installation are therefore drawn by `numpy_kernels`.

Kernels draw no random numbers. They receive them as arguments from the caller's generator, so a mask does not depend on the
way it is computed.
"""

import math

import numpy as np

from mgm.compiled import compiled, compiled_at_once
from mgm.masks import numpy_kernels

SIGN, NEGATIVE = np.uint32(0x80000000), np.uint32(0xFFFFFFFF)


def compile_kernels() -> None:
    """Compile all kernels, seconds once per installation: `make setup` does it, so the first mask does not wait. Read-only
    arrays are types of their own to the compiler."""
    with compiled_at_once():
        _call_all()


def _call_all() -> None:
    vectors, used, camera = np.zeros((1, 1, 1, 2), np.float32), np.ones((1, 1, 1), np.bool_), np.zeros((1, 2))
    flat = np.zeros((1, 1))
    for locked_vectors in (False, True):
        kept = vectors.copy()
        kept.flags.writeable = not locked_vectors
        squared_magnitude(kept, camera)
        step_sums(kept, camera, 1)
        for locked_used in (False, True):
            flags = used.copy()
            flags.flags.writeable = not locked_used
            frame_medians(kept, flags)
    lowest(flat, 1)
    tied_peaks(flat[None, None], np.ones((1, 3)))
    balance(np.zeros((1, 2), np.int64), np.zeros((1, 2)))
    rectangle_rank(camera, camera + 1, flat, flat, (1, 1), False, False, False, False, 0.0)
    trace(camera[None], 0, 1, 1, 0.0)
    nearest_square(camera[None], camera)


@compiled()
def select(values, k):  # type: ignore[no-untyped-def]
    """Value number k, from 0, of a row in ascending order (Hoare's selection); reorders the row.

    Ties, such as still cells, cost nothing; NaN gives a wrong result, but terminates.
    """
    left, right = 0, len(values) - 1
    while left < right:
        pivot, i, j = values[k], left, right
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if j < k:
            left = i
        if k < i:
            right = j
    return values[k]


@compiled(twin=numpy_kernels.lowest)
def lowest(rank, count):  # type: ignore[no-untyped-def]
    """bool (rows, n) from float64 (rows, n): True for the `count` lowest of each row, the first of equal ones. ValueError if a
    rank is NaN or the row has fewer values."""
    if not 1 <= count <= rank.shape[1]:
        raise ValueError("the count of tokens to hide is not between 1 and their number")
    chosen = np.zeros(rank.shape, np.bool_)
    near = np.empty(rank.shape[1])
    for row in range(rank.shape[0]):
        line = rank[row]
        last = _lowest_last(line, count, near)
        left = count
        for n in range(len(line)):
            chosen[row, n] = line[n] < last
            left -= line[n] < last
        n = 0
        while left:
            if line[n] == last:
                chosen[row, n] = True
                left -= 1
            n += 1
    return chosen


@compiled()
def _lowest_last(line, count, near):  # type: ignore[no-untyped-def]
    """Value number `count` of a row in ascending order. Bins separate most values from it without comparisons, the most
    expensive part because their branches are unpredictable; `near` is a buffer for the values in its bin."""
    low, high = line[0], line[0]
    for value in line:
        if math.isnan(value):
            raise ValueError("the rank of a token is NaN, which has no order")
        low, high = min(low, value), max(high, value)
    scale = 255 / (high - low) if high > low else math.inf
    if not 0 < scale < math.inf:  # all equal, or too far apart for their difference
        for n in range(len(line)):
            near[n] = line[n]
        return select(near, count - 1)
    bins = np.zeros(256, np.int64)
    for value in line:
        bins[int((value - low) * scale)] += 1
    rest, place = count, 0
    while bins[place] < rest:
        rest -= bins[place]
        place += 1
    number = 0
    for value in line:
        near[number] = value
        number += int((value - low) * scale) == place
    return select(near[:number], rest - 1)


@compiled(twin=numpy_kernels.squared_magnitude)
def squared_magnitude(vectors, camera):  # type: ignore[no-untyped-def]
    """Squared length of vectors float32 (T, gh, gw, 2) less the camera's motion float64 (T, 2): float64 (T, gh, gw), and
    bool (T,), whether all vectors of a frame are finite."""
    frames, rows, columns, _ = vectors.shape
    cells = rows * columns
    power = np.empty((frames, rows, columns))
    finite = np.empty(frames, np.bool_)
    # x and y apart: the compiler vectorises loops over one row.
    x, y = np.empty(cells, np.float32), np.empty(cells, np.float32)
    for t in range(frames):
        pairs, row = vectors[t].reshape(2 * cells), power[t].reshape(cells)
        broken = 0
        for n in range(2 * cells):
            broken += not abs(pairs[n]) < math.inf
        finite[t] = broken == 0
        for n in range(cells):
            x[n], y[n] = pairs[2 * n], pairs[2 * n + 1]
        camera_x, camera_y = camera[t, 0], camera[t, 1]
        for n in range(cells):
            # float64 neither overflows nor underflows for the square of any float32.
            dx, dy = np.float64(x[n]) - camera_x, np.float64(y[n]) - camera_y
            row[n] = dx * dx + dy * dy
    return power, finite


@compiled()
def frame_medians(vectors, used):  # type: ignore[no-untyped-def]
    """Median of each frame's used vectors, of all if none is used: float64 (T, 2) from float32 (T, gh, gw, 2) and bool
    (T, gh, gw)."""
    frames, rows, columns, _ = vectors.shape
    cells = rows * columns
    medians = np.empty((frames, 2))
    keys = np.empty(cells, np.uint32)
    for t in range(frames):
        bits, flags = vectors[t].reshape(2 * cells).view(np.uint32), used[t].reshape(cells)
        every = not flags.any()
        for axis in range(2):
            number = 0
            for n in range(cells):
                # Integers in the order of the floats: all bits of negative ones are flipped, else the sign.
                bit = bits[2 * n + axis]
                keys[number] = bit ^ (NEGATIVE if bit & SIGN else SIGN)
                number += every or flags[n]
            medians[t, axis] = _middle(keys[:number])
    return medians


@compiled()
def _middle(keys):  # type: ignore[no-untyped-def]
    """Median of floats given as keys of their order. Only those with the leading bits of the middle one are compared:
    comparisons are the most expensive part because their branches are unpredictable."""
    bins = np.zeros(1 << 11, np.int64)
    for key in keys:
        bins[np.int64(key) >> 21] += 1
    rank, place = len(keys) // 2, 0
    while bins[place] <= rank:
        rank -= bins[place]
        place += 1
    near, count, below = np.empty(len(keys), np.uint32), 0, np.uint32(0)
    for key in keys:
        near[count] = key
        count += np.int64(key) >> 21 == place
        if np.int64(key) >> 21 < place:
            below = max(below, key)
    high = select(near[:count], rank)
    if len(keys) % 2:
        return _value(high)
    for key in near[:rank]:
        below = max(below, key)
    return (_value(below) + _value(high)) / 2


@compiled()
def _value(key):  # type: ignore[no-untyped-def]
    """The float64 of a key."""
    bits = np.empty(1, np.uint32)
    bits[0] = key ^ (SIGN if key & SIGN else NEGATIVE)
    return np.float64(bits.view(np.float32)[0])


@compiled()
def step_sums(vectors, camera, steps):  # type: ignore[no-untyped-def]
    """Vectors float32 (T, gh, gw, 2) less the camera's motion float64 (T, 2), summed over the frames of each step:
    float64 (2, steps, gh, gw), dx and dy."""
    frames, rows, columns, _ = vectors.shape
    sums = np.zeros((2, steps, rows * columns))
    for t in range(frames):
        pairs = vectors[t].reshape(2 * rows * columns)
        for axis in range(2):
            row = sums[axis, t * steps // frames]
            for n in range(rows * columns):
                row[n] += np.float64(pairs[2 * n + axis]) - camera[t, axis]
    return sums.reshape(2, steps, rows, columns)


@compiled(twin=numpy_kernels.tied_peaks)
def tied_peaks(power, moments):  # type: ignore[no-untyped-def]
    """The motion peak of each step.

    From power float64 (t, T / t, gh, gw) and `CellGeometry.moments`: the centroids of the cells at the step's
    maximum, float64 (t, 2); the maxima (t,); the number of those cells, int64 (t,); and each cell's maximum over the step's
    frames, float64 (t, gh * gw).
    """
    steps, frames, rows, columns = power.shape
    centres, peaks, number = np.empty((steps, 2)), np.empty(steps), np.empty(steps, np.int64)
    strongest = np.empty((steps, rows * columns))
    for t in range(steps):
        level = strongest[t]
        level.fill(-math.inf)
        for frame in range(frames):
            other = power[t, frame].reshape(rows * columns)
            for n in range(len(level)):
                level[n] = max(level[n], other[n])
        peak, tied, area, y, x = -1.0, 0, 0.0, 0.0, 0.0
        for n in range(len(level)):
            if level[n] > peak:
                peak, tied, area, y, x = level[n], 0, 0.0, 0.0, 0.0
            if level[n] == peak:
                tied, area, y, x = tied + 1, area + moments[n, 0], y + moments[n, 1], x + moments[n, 2]
        centres[t, 0], centres[t, 1], peaks[t], number[t] = y / area, x / area, peak, tied
    return centres, peaks, number, strongest


def _balance(jitter, chance):  # type: ignore[no-untyped-def]
    """Bring the sum of each column of int64 (n, axes) in {-1, 0, 1} to zero, in place: by one in each of the entries
    of lowest chance, float64 (n, axes), that are not at the other extreme."""
    for axis in range(jitter.shape[1]):
        excess = jitter[:, axis].sum()
        sign = int(excess > 0) - int(excess < 0)
        taken = np.zeros(len(jitter), np.bool_)
        for _ in range(abs(excess)):
            least, at = math.inf, 0
            for step in range(len(jitter)):
                if not taken[step] and jitter[step, axis] != -sign and chance[step, axis] < least:
                    least, at = chance[step, axis], step
            taken[at] = True
        for step in range(len(jitter)):
            if taken[step]:
                jitter[step, axis] -= sign


balance = compiled(twin=_balance)(_balance)  # a dozen numbers: Python does it


@compiled(twin=numpy_kernels.rectangle_rank)
def rectangle_rank(centres, sides, noise, chance, shape, clip, wrap, near, loose, tie):  # type: ignore[no-untyped-def]
    """Rank of the tokens of each step, hidden from the lowest, float64 (t, h * w); see `place_rectangle`.

    noise: (t, h * w), or (t, 0) for none. clip, wrap: the border rule; near: fill; loose: trim at random. tie: the weight
    of chance among equal distances.
    """
    steps, (height, width) = len(centres), shape
    rank = np.empty((steps, height * width))
    across = np.empty(width)
    for t in range(steps):
        high, wide = sides[t]
        for x in range(width):
            across[x] = abs(x + 0.5 - centres[t, 1])
            if wrap:
                across[x] = min(across[x], width - across[x])
        for y in range(height):
            dy = abs(y + 0.5 - centres[t, 0])
            if wrap:
                dy = min(dy, height - dy)
            for x in range(width):
                dx, n = across[x], y * width + x
                distance = max(dy * (2 / high), dx * (2 / wide))
                if noise.shape[1]:
                    distance += noise[t, n]
                if distance <= 1 + tie and loose:
                    rank[t, n] = chance[t, n]
                elif distance <= 1 + tie or not clip:
                    rank[t, n] = distance + tie * chance[t, n]
                elif near:
                    beyond = math.hypot(max(dy - high / 2, 0.0), max(dx - wide / 2, 0.0))
                    rank[t, n] = 2 + (beyond + tie * chance[t, n])
                else:
                    rank[t, n] = 2 + chance[t, n]
    return rank


@compiled()
def trace(displacement, base, height, width, touch):  # type: ignore[no-untyped-def]
    """See `trace_back`: (t, h * w, 2) and bool (t, h * w)."""
    steps, tokens, _ = displacement.shape
    place, lost = np.empty((steps, tokens, 2)), np.zeros((steps, tokens), np.bool_)
    for t in range(steps):
        for n in range(tokens):
            y, x, at = n // width + 0.5, n % width + 0.5, n
            for k in range(abs(t - base)):
                # Backward from later steps along their own motion; forward from earlier ones along that of the next step.
                dy, dx = displacement[t - k, at] if t > base else -displacement[t + 1 + k, at]
                y, x = y - dy, x - dx
                # Clipped before the conversion to integers, because motion may exceed any integer.
                near_y, near_x = min(max(y, 0.0), height - touch), min(max(x, 0.0), width - touch)
                if near_y != y or near_x != x:
                    lost[t, n] = True
                at = int(near_y) * width + int(near_x)
            place[t, n, 0], place[t, n, 1] = y, x
    return place, lost


@compiled()
def nearest_square(points, targets):  # type: ignore[no-untyped-def]
    """Squared distance of each point (t, n, 2) to the nearest target (k, 2): float64 (t, n)."""
    steps, number, _ = points.shape
    nearest = np.full((steps, number), math.inf)
    for t in range(steps):
        y, x = points[t, :, 0].copy(), points[t, :, 1].copy()
        row = nearest[t]
        for k in range(len(targets)):
            for n in range(number):
                dy, dx = y[n] - targets[k, 0], x[n] - targets[k, 1]
                row[n] = min(row[n], dy * dy + dx * dx)
    return nearest
