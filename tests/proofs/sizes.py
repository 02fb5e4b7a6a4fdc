"""Every size formula against whole numbers without bounds, up to where sizes wrap.

The oracle walks from the definition of an operation, not from its formula: the last place of a
window is the largest one that still fits, found by bisection. Arrays have zero strides, and the
fronts are kept from copying them, so that sizes may be anything that NumPy can count.
"""

from __future__ import annotations

import math
import random
from contextlib import contextmanager

import numpy as np

from fastnn import _check
from fastnn.dispatch import OPS, every
from fastnn.errors import FastnnError, ShapeError, UnsupportedError

MOST_OPTION = 2**31
MOST_CELLS = 2**59


class Refused(Exception):
    """The oracle's answer for a call that has no result."""


def need(rule):
    if not rule:
        raise Refused


@contextmanager
def no_copies():
    """Fronts take arrays as they are: nobody looks at their numbers here."""
    real = _check.array, _check.labels
    _check.array = _check.labels = lambda op, name, value: value
    try:
        yield
    finally:
        _check.array, _check.labels = real


def last(fits):
    """The largest i >= 0 with fits(i), which holds from 0 up to it; -1 if not for 0."""
    if not fits(0):
        return -1
    high = 1
    while fits(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def number(rng, least=0):
    """Mostly small, often next to a power of two, up to 2**70."""
    kind = rng.random()
    if kind < 0.65:
        return rng.randint(least, 9)
    if kind < 0.8:
        return max(least, 2 ** rng.randint(0, 63) + rng.randint(-2, 2))
    if kind < 0.985:
        return max(least, rng.randrange(2 ** rng.randint(1, 40)))
    return rng.choice([-1, 0, MOST_OPTION, MOST_OPTION + 1, 2**63 - 1, 2**63, 2**64 + 1, 2**70])


def size(rng):
    """A size of an axis."""
    return min(max(1, number(rng, 1)), 2**60) if rng.random() < 0.99 else 0


def taps(rng):
    """Cells of a window along an axis; small ones, or few calls would be right."""
    return rng.randint(1, 4) if rng.random() < 0.7 else size(rng)


def zeros(*shape):
    """An array of this shape in four bytes."""
    return np.broadcast_to(np.float32(0), shape)


def options(rng, axes, **least):
    """Each option left out, or one number, or one per axis."""
    found = {}
    for name, low in least.items():
        kind = rng.random()
        if kind < 0.5:
            found[name] = number(rng, low)
        elif kind < 0.8:
            found[name] = tuple(number(rng, low) for _ in range(axes))
        if name == "padding" and 0.6 < kind < 0.8:
            found[name] = tuple((number(rng), number(rng)) for _ in range(axes))
    return found


def per_axis(options, name, axes, default, least):
    """An option as the oracle reads it: one number per axis, in range."""
    value = options.get(name, default)
    values = value if isinstance(value, tuple) else (value,) * axes
    for v in values:
        for one in v if isinstance(v, tuple) else (v,):
            need(least <= one <= MOST_OPTION)
    return values


def sides(options, axes):
    return [p if isinstance(p, tuple) else (p, p) for p in per_axis(options, "padding", axes, 0, 0)]


def windows(cells, taps, stride, pads, dilation):
    """How many places a window has inside the padded axis, by its last place."""
    padded = cells + sum(pads)
    return 1 + last(lambda p: p * stride + (taps - 1) * dilation < padded)


# Each of these makes one random call and works out what must come back.


def conv(rng, axes):
    groups = rng.choice([1, 1, 2, 3, number(rng, 1)])
    each, filters = rng.choice([1, 2, 3]), rng.choice([1, 2]) * max(groups, 1)
    x = [rng.choice([0, 1, 3]), each * max(groups, 1), *(size(rng) for _ in range(axes))]
    w = [filters, each, *(taps(rng) for _ in range(axes))]
    if rng.random() < 0.1:
        w[rng.randint(0, 1)] += 1
    chosen = options(rng, axes, stride=1, padding=0, dilation=1) | {"groups": groups}

    def answer():
        stride = per_axis(chosen, "stride", axes, 1, 1)
        pads = sides(chosen, axes)
        dilation = per_axis(chosen, "dilation", axes, 1, 1)
        need(1 <= groups <= MOST_OPTION and 0 not in x[1:] and 0 not in w)
        need(x[1] == w[1] * groups and w[0] % groups == 0)
        places = list(map(windows, x[2:], w[2:], stride, pads, dilation))
        need(min(places) >= 1)
        y = (x[0], w[0], *places)
        return y, 2 * math.prod(y) * math.prod(w[1:])

    return f"conv{axes}d", (x, w), chosen, answer


def conv_transpose(rng, axes):
    groups = rng.choice([1, 1, 2, 3, number(rng, 1)])
    channels = rng.choice([1, 2]) * max(groups, 1)
    x = [rng.choice([0, 1, 3]), channels, *(size(rng) for _ in range(axes))]
    w = [channels + (rng.random() < 0.1), rng.choice([1, 2, 3]), *(taps(rng) for _ in range(axes))]
    chosen = options(rng, axes, stride=1, padding=0, dilation=1, output_padding=0)
    chosen["groups"] = groups

    def answer():
        stride = per_axis(chosen, "stride", axes, 1, 1)
        pads = sides(chosen, axes)
        extra = per_axis(chosen, "output_padding", axes, 0, 0)
        dilation = per_axis(chosen, "dilation", axes, 1, 1)
        need(1 <= groups <= MOST_OPTION and 0 not in x[1:] and 0 not in w)
        need(x[1] == w[0] and x[1] % groups == 0)
        need(all(e < s or e < d for e, s, d in zip(extra, stride, dilation, strict=True)))
        # The last cell that a tap of the last window falls on, with what is cut off and added.
        ends = [
            (n - 1) * s + (t - 1) * d
            for n, s, t, d in zip(x[2:], stride, w[2:], dilation, strict=True)
        ]
        places = [end + 1 - sum(p) + e for end, p, e in zip(ends, pads, extra, strict=True)]
        need(min(places) >= 1)
        return (x[0], w[1] * groups, *places), 2 * math.prod(x) * math.prod(w[1:])

    return f"conv_transpose{axes}d", (x, w), chosen, answer


def pool(rng, name, axes, dilated):
    x = [rng.choice([0, 1, 3]), rng.choice([1, 2]), *(size(rng) for _ in range(axes))]
    least = {"stride": 1, "padding": 0} | ({"dilation": 1} if dilated else {})
    chosen = options(rng, axes, **least)
    if rng.random() < 0.8:  # at most half a window, or hardly any call is right
        chosen["padding"] = rng.choice([0, 1])
    chosen["kernel_size"] = tuple(taps(rng) for _ in range(axes))
    if rng.random() < 0.5:
        chosen["ceil_mode"] = True

    def answer():
        taps = per_axis(chosen, "kernel_size", axes, None, 1)
        stride = taps if "stride" not in chosen else per_axis(chosen, "stride", axes, 1, 1)
        pads = sides(chosen, axes)
        dilation = per_axis(chosen, "dilation", axes, 1, 1)
        need(0 not in x[1:] and math.prod(taps) < 2**31)
        places = []
        for cells, t, s, p, d in zip(x[2:], taps, stride, pads, dilation, strict=True):
            span = (t - 1) * d + 1
            need(2 * max(p) <= span <= cells + sum(p))
            whole = windows(cells, t, s, p, d)
            # With ceil_mode also a window that hangs over the end, if it starts before that.
            ragged = (whole - 1) * s + span < cells + sum(p) and whole * s < cells + p[0]
            places.append(whole + (1 if ragged and chosen.get("ceil_mode") else 0))
        return (x[0], x[1], *places), None

    return name, (x,), chosen, answer


def unfold(rng):
    x = [rng.choice([0, 1, 3]), rng.choice([1, 2, 7]), size(rng), size(rng)]
    chosen = options(rng, 2, stride=1, padding=0, dilation=1)
    chosen["kernel_size"] = (taps(rng), taps(rng))

    def answer():
        taps = per_axis(chosen, "kernel_size", 2, None, 1)
        stride, pads = per_axis(chosen, "stride", 2, 1, 1), sides(chosen, 2)
        dilation = per_axis(chosen, "dilation", 2, 1, 1)
        need(0 not in x[1:])
        places = list(map(windows, x[2:], taps, stride, pads, dilation))
        need(min(places) >= 1)
        return (x[0], x[1] * math.prod(taps), math.prod(places)), 0

    return "unfold", (x,), chosen, answer


def fold(rng):
    image = [min(size(rng), 2**40) for _ in range(2)]
    taps = (rng.randint(1, 4), rng.randint(1, 4))
    chosen = options(rng, 2, stride=1, padding=0, dilation=1)
    chosen |= {"output_size": tuple(image), "kernel_size": taps}
    channels, batch = rng.choice([1, 3]), rng.choice([0, 1])
    pads = [(p, p) if isinstance(p, int) else p for p in _loose(chosen, "padding", 0)]
    pairs = zip(_loose(chosen, "stride", 1), pads, _loose(chosen, "dilation", 1), strict=True)
    try:
        counts = [windows(n, t, *rest) for n, t, rest in zip(image, taps, pairs, strict=True)]
    except ZeroDivisionError:
        counts = [1, 1]
    columns = min(max(0, math.prod(counts)), 2**57)
    if rng.random() < 0.1:
        columns += 1
    x = [batch, channels * math.prod(taps), columns]

    def answer():
        stride, inside = per_axis(chosen, "stride", 2, 1, 1), sides(chosen, 2)
        dilation = per_axis(chosen, "dilation", 2, 1, 1)
        need(all(1 <= n <= MOST_OPTION for n in image) and columns > 0)
        places = list(map(windows, image, taps, stride, inside, dilation))
        need(min(places) >= 1 and math.prod(places) == columns)
        return (batch, channels, *image), math.prod(x)

    return "fold", (x,), chosen, answer


def _loose(chosen, name, default):
    """An option of fold as it is, out of range or not; what cannot be walked becomes 1."""
    value = chosen.get(name, default)
    values = value if isinstance(value, tuple) else (value, value)
    return [v if isinstance(v, tuple) else v if v > 0 or name == "padding" else 1 for v in values]


def pad(rng):
    x = [size(rng) for _ in range(rng.randint(1, 3))]
    given = tuple(number(rng) for _ in range(2 * rng.randint(1, len(x))))
    mode = rng.choice(["constant", "reflect", "replicate"])

    def answer():
        need(all(0 <= p <= MOST_OPTION for p in given))
        y = list(x)
        for axis, (before, after) in enumerate(zip(given[::2], given[1::2], strict=True), 1):
            cells = x[-axis]
            if mode != "constant" and (before or after):
                need(cells >= 1)
            if mode == "reflect":
                need(max(before, after) < cells or not (before or after))
            y[-axis] = before + cells + after
        return tuple(y), 0

    return "pad", (x,), {"padding": given, "mode": mode}, answer


def adaptive(rng, name):
    x = [rng.choice([0, 1, 3]), rng.choice([1, 2]), size(rng), size(rng)]
    wish = rng.choice([number(rng, 1), (number(rng, 1), number(rng, 1)), (None, number(rng, 1))])

    def answer():
        wishes = wish if isinstance(wish, tuple) else (wish, wish)
        need(all(n is None or 1 <= n <= MOST_OPTION for n in wishes) and 0 not in x[1:])
        places = [n if want is None else want for n, want in zip(x[2:], wishes, strict=True)]
        return (x[0], x[1], *places), None

    return name, (x,), {"output_size": wish}, answer


def interpolate(rng):
    mode = rng.choice(["nearest", "bilinear"])
    x = [rng.choice([0, 1, 3]), rng.choice([1, 2]), size(rng), size(rng)]
    if rng.random() < 0.5:
        wish = (number(rng, 1), number(rng, 1))
        chosen = {"size": wish, "mode": mode}
    else:  # quarters: float64 has them exactly, and their products up to 2**53
        wish = tuple(rng.randint(1, 2 ** rng.randint(1, 24)) for _ in range(2))
        chosen = {"scale_factor": tuple(n / 4 for n in wish), "mode": mode}

    def answer():
        need(0 not in x[1:])
        if "size" in chosen:
            need(all(1 <= n <= MOST_OPTION for n in wish))
            places = wish
        else:
            places = [n * quarters // 4 for n, quarters in zip(x[2:], wish, strict=True)]
            need(min(places) >= 1)
            need(all(n * q <= 4 * MOST_OPTION for n, q in zip(x[2:], wish, strict=True)))
        y = (x[0], x[1], *places)
        return y, 9 * math.prod(y) if mode == "bilinear" else 0

    return "interpolate", (x,), chosen, answer


MAKERS = {
    "conv1d": lambda rng: conv(rng, 1),
    "conv2d": lambda rng: conv(rng, 2),
    "conv_transpose1d": lambda rng: conv_transpose(rng, 1),
    "conv_transpose2d": lambda rng: conv_transpose(rng, 2),
    "max_pool1d": lambda rng: pool(rng, "max_pool1d", 1, True),
    "max_pool2d": lambda rng: pool(rng, "max_pool2d", 2, True),
    "max_pool2d_with_indices": lambda rng: pool(rng, "max_pool2d_with_indices", 2, True),
    "avg_pool1d": lambda rng: pool(rng, "avg_pool1d", 1, False),
    "avg_pool2d": lambda rng: pool(rng, "avg_pool2d", 2, False),
    "unfold": unfold,
    "fold": fold,
    "pad": pad,
    "adaptive_avg_pool2d": lambda rng: adaptive(rng, "adaptive_avg_pool2d"),
    "adaptive_max_pool2d": lambda rng: adaptive(rng, "adaptive_max_pool2d"),
    "interpolate": interpolate,
}


def attempt(name, seed):
    """("agreed", "refused" or "unnumbered", None), or ("failed", what went wrong)."""
    rng = random.Random(f"{name} {seed}")
    name, shapes, chosen, answer = MAKERS[name](rng)
    try:
        arrays = [zeros(*shape) for shape in shapes]
    except ValueError:  # more than NumPy counts: there is no such array to give
        return "unnumbered", None
    try:
        want, flops = answer()
    except Refused:
        want = flops = None
    text = f"{name} {shapes} {chosen}"
    op = OPS[name]
    try:
        call = op.front(*arrays, **chosen).call
        got = call.out[0] if op.outputs else call.out
        if got != want:
            return "failed", f"{text}: result {got}, but by hand {want}"
        if flops is not None and call.flops != flops:
            return "failed", f"{text}: {call.flops} FLOP, but by hand {flops}"
        if min(call.flops, call.bytes) < 0:
            return "failed", f"{text}: negative costs"
        too_large = math.prod(max(1, n) for n in want) >= MOST_CELLS
        try:
            op.select(call)
            if too_large:
                return "failed", f"{text}: a result of {want} was accepted"
        except ShapeError as error:
            if not too_large:
                return "failed", f"{text}: {error}"
        full = _with_samples(op, shapes, arrays, chosen)  # an empty batch asks nobody
        for impl in map(op.impl, op.impls if full else ()):  # none may trip over a large number
            impl.supports(full), impl.rank(full)
    except UnsupportedError as error:
        return "failed", f"{text}: nobody takes it: {error}"
    except FastnnError as error:
        return ("refused", None) if want is None else ("failed", f"{text}: {error}; want {want}")
    except Exception as error:  # OverflowError and the like are what is looked for
        return "failed", f"{text}: {type(error).__name__}: {error}"
    return "agreed", None


def _with_samples(op, shapes, arrays, chosen):
    """The call with three samples instead of none, if NumPy counts as many."""
    try:
        first = zeros(shapes[0][0] or 3, *shapes[0][1:])
    except ValueError:
        return None
    return op.front(first, *arrays[1:], **chosen).call


def run(count, seed=0, names=None):
    """Counts of outcomes and the failures of `count` random calls."""
    every()
    names = list(names or MAKERS)
    counts = dict.fromkeys(("agreed", "refused", "unnumbered", "failed"), 0)
    failures = []
    with no_copies():
        for i in range(count):
            what, failure = attempt(names[i % len(names)], seed + i)
            counts[what] += 1
            if failure:
                failures.append(f"seed {seed + i}: {failure}")
    return counts, failures
