"""Direct convolution, jitted: four taps and four filters in a sweep over 256 pixels.

Wins over im2col only where there is no compiler. For each row of the window images are copied with
their zeros to phases of the stride, in which every tap is at a fixed distance from its output, so
that a sweep needs to know nothing of rows, borders and images. LLVM makes vector code of it if it
can tell that its arrays do not overlap, and it gives up on more than a few of them: so lines lie in
one array, at a constant distance. A task is a block of outputs, or of weights; no sum is split
between tasks.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.conv.spec import Array, ConvCall
from fastnn.ops.conv.steps import Steps, convolution

LINE = 256  # pixels of a sweep: four lines of y and of x stay in the first cache level
CHANNELS = 16  # of which all taps are swept before the next ones are copied, or 4 of many taps
SHARE = 64, 16  # filters and taps of a task of dw


@_jit.helper
def inside(size, steps, stride, shift):  # type: ignore[no-untyped-def]
    """Output positions [first, last) of `steps` whose tap, `shift` cells on, is inside `size`."""
    first = 0 if shift >= 0 else min((-shift + stride - 1) // stride, steps)
    last = 0 if size <= shift else min((size - shift + stride - 1) // stride, steps)
    return first, max(first, last)


@_jit.helper
def copy(line, j, count, x, start, step):  # type: ignore[no-untyped-def]
    """line[j : j + count] = x[start :: step]. Slices in a function of its own cost no counting."""
    to, row = line[j:], x[start:]
    if step == 1:
        for i in range(count):
            to[i] = row[i]
    else:
        for i in range(count):
            to[i] = row[i * step]


@_jit.helper
def clear(line, j, count):  # type: ignore[no-untyped-def]
    """line[j : j + count] = 0."""
    to = line[j:]
    for i in range(count):
        to[i] = 0


@_jit.helper
def gather(line, x, shape, c, first, count, grid, step, dh, dw):  # type: ignore[no-untyped-def]
    """line = x[n, c, p*step + dh, q*step + dw] of `count` pixels of the grid N P Q, or 0.

    x is flat, of `shape`.
    """
    _, c_, h_, w_ = shape
    p_, q_ = grid
    q0, q1 = inside(w_, q_, step[1], dw)
    n, p, q = first // q_ // p_, first // q_ % p_, first % q_
    j = 0
    while j < count:
        end = min(q_ - q, count - j)  # of this row
        h = p * step[0] + dh
        low, high = max(q0 - q, 0), min(q1 - q, end)
        if h < 0 or h >= h_ or low >= high:
            low = high = end
        start = ((n * c_ + c) * h_ + h) * w_ + (q + low) * step[1] + dw
        clear(line, j, low)
        copy(line, j + low, high - low, x, start, step[1])
        clear(line, j + high, end - high)
        j, q, p = j + end, 0, p + 1
        if p == p_:
            n, p = n + 1, 0


@_jit.helper
def put(y, start, step, line, j, count):  # type: ignore[no-untyped-def]
    """y[start :: step] = line[j : j + count]."""
    to, row = y[start:], line[j:]
    if step == 1:
        for i in range(count):
            to[i] = row[i]
    else:
        for i in range(count):
            to[i * step] = row[i]


@_jit.helper
def scatter(y, shape, line, k, first, count, grid, place):  # type: ignore[no-untyped-def]
    """The reverse: y[n, k, place of (p, q)] = line, for pixels of the grid that are in y."""
    _, k_, h_, w_ = shape
    p_, q_ = grid
    n, p, q = first // q_ // p_, first // q_ % p_, first % q_
    j = 0
    while j < count:
        end = min(q_ - q, count - j)  # of this row
        row, column = place[0] + p * place[1], place[2] + q * place[3]
        inner = min(end, (w_ - column + place[3] - 1) // place[3])
        if inner > 0:
            put(y, ((n * k_ + k) * h_ + row) * w_ + column, place[3], line, j, inner)
        j, q, p = j + end, 0, p + 1
        if p == p_:
            n, p = n + 1, 0


@_jit.helper
def multiply(y, w, x, offsets):  # type: ignore[no-untyped-def]
    """Lines of y += w times x[offset :], for a number of taps that is a multiple of four."""
    whole = w.shape[0] // 4 * 4
    for t in range(0, len(offsets), 4):
        s0, s1 = x[offsets[t] :], x[offsets[t + 1] :]
        s2, s3 = x[offsets[t + 2] :], x[offsets[t + 3] :]
        for f in range(0, whole, 4):
            to = y[f * LINE : (f + 4) * LINE]
            a0, a1, a2, a3 = w[f, t], w[f, t + 1], w[f, t + 2], w[f, t + 3]
            b0, b1, b2, b3 = w[f + 1, t], w[f + 1, t + 1], w[f + 1, t + 2], w[f + 1, t + 3]
            c0, c1, c2, c3 = w[f + 2, t], w[f + 2, t + 1], w[f + 2, t + 2], w[f + 2, t + 3]
            d0, d1, d2, d3 = w[f + 3, t], w[f + 3, t + 1], w[f + 3, t + 2], w[f + 3, t + 3]
            for j in range(LINE):
                x0, x1, x2, x3 = s0[j], s1[j], s2[j], s3[j]
                to[j] = to[j] + a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                to[LINE + j] = to[LINE + j] + b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
                to[2 * LINE + j] = to[2 * LINE + j] + c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
                to[3 * LINE + j] = to[3 * LINE + j] + d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3
        for f in range(whole, w.shape[0]):
            to = y[f * LINE : (f + 1) * LINE]
            a0, a1, a2, a3 = w[f, t], w[f, t + 1], w[f, t + 2], w[f, t + 3]
            for j in range(LINE):
                to[j] = to[j] + a0 * s0[j] + a1 * s1[j] + a2 * s2[j] + a3 * s3[j]


@_jit.kernel
def product_kernel(x, shape, w, offsets, phases, step, b, y, to, grid, place, some, zeros):  # type: ignore[no-untyped-def]
    """y[n, k, place of (p, q)] = b[k] + the sum over taps of w[g, f, t] * x[pixel + tap].

    x and y are flat, of `shape` and `to`. (p, q) is at place[0] + p*place[1], place[2] + q*place[3]
    of y; the rows of the grid N P Q are longer by the reach of the window. `phases` are where those
    of an image begin. Taps are at `offsets` in the copied phases of `some` channels, behind which
    `zeros` begin; w is filled up to a multiple of four taps.
    """
    groups, filters, width = w.shape
    channels = shape[1] // groups
    pixels = shape[0] * grid[0] * grid[1]
    blocks = (pixels + LINE - 1) // LINE
    per_channel = len(offsets) // channels
    length = zeros // (min(some, channels) * len(phases))
    for task in prange(groups * blocks):
        g, first = task // blocks, task % blocks * LINE
        strip = np.zeros(zeros + LINE, x.dtype)
        sums = np.empty(filters * LINE, x.dtype)
        for f in range(filters):
            for j in range(LINE):
                sums[f * LINE + j] = b[g * filters + f]
        for c0 in range(0, channels, some):
            for c in range(c0, min(c0 + some, channels)):
                for i in range(len(phases)):
                    at = ((c - c0) * len(phases) + i) * length
                    line, dh, dw = strip[at : at + length], phases[i, 0], phases[i, 1]
                    count = min(length, pixels - first)
                    gather(line, x, shape, g * channels + c, first, count, grid, step, dh, dw)
            t0, t1 = c0 * per_channel, min((c0 + some) * per_channel, width)
            multiply(sums, w[g, :, t0:t1], strip, offsets[t0:t1])
        for f in range(filters):
            line, k = sums[f * LINE : (f + 1) * LINE], g * filters + f
            scatter(y, to, line, k, first, min(LINE, pixels - first), grid, place)


@_jit.reduction
def dots(totals, dy, x, filters, taps):  # type: ignore[no-untyped-def]
    """totals[f, t] += line f of dy times line t of x, four by four."""
    for f in range(0, filters, 4):
        d = dy[f * LINE : (f + 4) * LINE]
        for t in range(0, taps, 4):
            see = x[t * LINE : (t + 4) * LINE]
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = x.dtype.type(0)
            c0 = c1 = c2 = c3 = e0 = e1 = e2 = e3 = x.dtype.type(0)
            for j in range(LINE):
                x0, x1, x2, x3 = see[j], see[LINE + j], see[2 * LINE + j], see[3 * LINE + j]
                d0, d1, d2, d3 = d[j], d[LINE + j], d[2 * LINE + j], d[3 * LINE + j]
                a0 += d0 * x0
                a1 += d0 * x1
                a2 += d0 * x2
                a3 += d0 * x3
                b0 += d1 * x0
                b1 += d1 * x1
                b2 += d1 * x2
                b3 += d1 * x3
                c0 += d2 * x0
                c1 += d2 * x1
                c2 += d2 * x2
                c3 += d2 * x3
                e0 += d3 * x0
                e1 += d3 * x1
                e2 += d3 * x2
                e3 += d3 * x3
            for i, sums in enumerate(
                ((a0, a1, a2, a3), (b0, b1, b2, b3), (c0, c1, c2, c3), (e0, e1, e2, e3))
            ):
                for k in range(4):
                    totals[f + i, t + k] += sums[k]


@_jit.kernel
def filters_kernel(x, shape, dy, taps, step, grid, dw):  # type: ignore[no-untyped-def]
    """dw[g, f, t] = sum over pixels of dy[n, k, pixel] * x[pixel + tap]; lines in float64."""
    groups, filters, width = dw.shape
    channels = shape[1] // groups
    most_filters, most_taps = SHARE
    plane = grid[0] * grid[1]
    pixels = shape[0] * plane
    whole = shape[0], groups * filters, 1, plane  # dy's rows have no borders
    filter_parts = (filters + most_filters - 1) // most_filters
    tap_parts = (width + most_taps - 1) // most_taps
    for task in prange(groups * filter_parts * tap_parts):
        t0 = task % tap_parts * most_taps
        f0 = task // tap_parts % filter_parts * most_filters
        g = task // tap_parts // filter_parts
        some, few = min(most_taps, width - t0), min(most_filters, filters - f0)
        lines = np.zeros((some + 3) // 4 * 4 * LINE, x.dtype)
        seen = np.zeros((few + 3) // 4 * 4 * LINE, x.dtype)
        totals = np.zeros((few + 3, some + 3))
        for first in range(0, pixels, LINE):
            count = min(LINE, pixels - first)
            if count < LINE:
                lines[:] = 0
                seen[:] = 0
            for t in range(some):
                c, h, w = taps[t0 + t, 0], taps[t0 + t, 1], taps[t0 + t, 2]
                line = lines[t * LINE : (t + 1) * LINE]
                gather(line, x, shape, g * channels + c, first, count, grid, step, h, w)
            for f in range(few):
                line, k = seen[f * LINE : (f + 1) * LINE], g * filters + f0 + f
                gather(line, dy, whole, k, first, count, (1, plane), (1, 1), 0, 0)
            dots(totals, seen, lines, few, some)
        for f in range(few):
            for t in range(some):
                dw[g, f0 + f, t0 + t] = totals[f, t]


@_jit.kernel
def backward_bias_kernel(dy, db):  # type: ignore[no-untyped-def]
    """db = dy summed over all but filters, in float64."""
    for k in prange(dy.shape[1]):
        total = 0.0
        for n in range(dy.shape[0]):
            for p in range(dy.shape[2]):
                for q in range(dy.shape[3]):
                    total += dy[n, k, p, q]
        db[k] = total


def _image(a: Array) -> Array:
    """N C L as N C 1 L: the kernels know images only."""
    return a if a.ndim == 4 else a.reshape(*a.shape[:2], 1, a.shape[2])


def geometry(call: ConvCall) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Strides, minus leading padding and dilations as the kernels take them."""
    start = tuple(-before for before, _ in call.padding)
    return (1, *call.stride)[-2:], (0, *start)[-2:], (1, *call.dilation)[-2:]


def _taps(channels: int, rows: Array, columns: Array) -> Array:
    """All (channel, distance, distance), the last fastest."""
    axes = np.meshgrid(np.arange(channels), rows, columns, indexing="ij")
    return np.stack(axes, axis=-1).reshape(-1, 3)


def _distances(call: ConvCall, w: Array) -> tuple[Array, Array]:
    """How far taps are from a window's place in the image, per axis."""
    _, start, dilation = geometry(call)
    rows, columns = (
        t + d * np.arange(n) for t, d, n in zip(start, dilation, w.shape[2:], strict=True)
    )
    return rows, columns


def _product(
    x: Array,
    w: Array,
    distances: tuple[Array, Array],
    step: tuple[int, ...],
    b: Array | None,
    y: Array,
    place: tuple[int, ...] = (0, 1, 0, 1),
) -> None:
    """One launch of `product_kernel`: w is groups x filters x channels x rows x columns."""
    # A phase for every row of the window: what lies between two rows need not be copied. One for
    # every column, too, if windows reach so far that most of a line would be beside the image.
    rows, columns = distances
    far = (columns - columns.min()) // step[1]
    if 2 * far.max() > y.shape[3] // place[3]:
        far[:] = 0
    begin = columns - far * step[1]
    used = np.unique(begin)
    grid = -(-(y.shape[2] - place[0]) // place[1]), -(-(y.shape[3] - place[2]) // place[3])
    grid = grid[0], grid[1] + int(far.max())
    length = LINE + int(far.max())
    phases = np.stack(np.meshgrid(rows, used, indexing="ij"), axis=-1).reshape(-1, 2)
    rows = np.arange(len(rows)) * len(used) * length
    columns = np.searchsorted(used, begin) * length + far
    some = CHANNELS if len(phases) * length < 1 << 16 else 4
    channels = np.arange(w.shape[2]) % some * len(phases) * length
    offsets = (channels[:, None, None] + rows[:, None] + columns).reshape(-1)
    # Taps that fill up to a multiple of four see the zeros behind all phases.
    zeros = min(some, w.shape[2]) * len(phases) * length
    weights = w.reshape(*w.shape[:2], -1)
    more = -weights.shape[2] % 4
    weights = np.ascontiguousarray(np.pad(weights, [(0, 0), (0, 0), (0, more)]))
    offsets = np.concatenate([offsets, np.full(more, zeros)])
    bias = np.zeros(y.shape[1], y.dtype) if b is None else b
    _jit.launch(
        product_kernel,
        x.reshape(-1),
        x.shape,
        weights,
        offsets,
        phases,
        step,
        bias,
        y.reshape(-1),
        y.shape,
        grid,
        place,
        some,
        zeros,
    )


def _forward(call: ConvCall, x: Array, w: Array, b: Array | None, y: Array) -> None:
    w = _image(w)
    distances = _distances(call, w)
    w = w.reshape(call.groups, -1, *w.shape[1:])
    _product(_image(x), w, distances, geometry(call)[0], b, _image(y))


def _image_gradient(call: ConvCall, w: Array, dy: Array, b: Array | None, dx: Array) -> None:
    """Phase by phase of the stride: cells that see the same taps."""
    w, dy, dx = _image(w), _image(dy), _image(dx)
    rows, columns = _distances(call, w)
    sh, sw = geometry(call)[0]
    w = w.reshape(call.groups, -1, *w.shape[1:]).swapaxes(1, 2)
    for h in range(min(sh, dx.shape[2])):
        for v in range(min(sw, dx.shape[3])):
            own_rows, own_columns = (h - rows) % sh == 0, (v - columns) % sw == 0
            if own_rows.any() and own_columns.any():
                own = w[:, :, :, own_rows][..., own_columns]
                distances = (h - rows[own_rows]) // sh, (v - columns[own_columns]) // sw
                _product(dy, own, distances, (1, 1), b, dx, (h, sh, v, sw))
            else:
                dx[:, :, h::sh, v::sw] = 0 if b is None else b[:, None, None]


def _filters(call: ConvCall, x: Array, dy: Array, dw: Array) -> None:
    x, dy, dw = _image(x), _image(dy), _image(dw)
    taps = _taps(dw.shape[1], *_distances(call, dw))
    own = dw.reshape(call.groups, dw.shape[0] // call.groups, -1)
    step, grid = geometry(call)[0], dy.shape[2:]
    _jit.launch(filters_kernel, x.reshape(-1), x.shape, dy.reshape(-1), taps, step, grid, own)


def _bias(dy: Array, db: Array) -> None:
    _jit.launch(backward_bias_kernel, _image(dy), db)


STEPS = Steps(_forward, _image_gradient, _filters, _bias)
conv1d_forward, conv1d_backward = conv2d_forward, conv2d_backward = convolution(STEPS)
