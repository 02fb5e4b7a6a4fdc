/* Planes laid out in phases: phase (a, b) holds x[i*sh + a][j*sw + b] of the padded plane.
 *
 * There tap (r, s) of a window is at a fixed distance from the window's first cell, so a loop over
 * windows is one vector loop over a flat index, for any stride, dilation and size. */
#ifndef FASTNN_PHASES_H
#define FASTNN_PHASES_H

#include "simd.h"

/* Steps j in [*first, *last) of [0, count) for which 0 <= shift + j*step < size. */
static inline void steps_inside(idx shift, idx step, idx size, idx count, idx *first, idx *last) {
    *first = shift >= 0 ? 0 : least(ceil_div(-shift, step), count);
    *last = size <= shift ? 0 : least(ceil_div(size - shift, step), count);
    if (*last < *first) *last = *first;
}

/* to[0 .. n) = from; whole vectors where the `room` cells at `to` may all be written. */
static inline void copy(T *to, const T *from, idx n, idx room) {
    idx i = 0;
    for (; i < n && i + VL <= room; i += VL) store(to + i, load(from + i));
    for (; i < n; ++i) to[i] = from[i];
}

static inline __attribute__((always_inline)) void pack_rows(T *to, idx rows, idx pitch,
                                                            const T *from, idx stride, idx H, idx W,
                                                            idx h0, idx sh, idx w0, const idx sw,
                                                            T outside, const T *end) {
    idx lo, hi;
    vec pad = splat(outside);
    steps_inside(w0, sw, W, pitch, &lo, &hi);
    for (idx i = 0; i < rows; ++i, to += pitch) {
        idx h = h0 + i * sh, j = 0;
        idx first = h < 0 || h >= H ? pitch : lo;
        for (; j < first; j += VL) store(to + j, pad);
        if (first == pitch) continue;
        const T *row = from + h * stride + w0;
        j = lo;
        if (sw <= 2 && end - row >= sw * (hi + VL))
            for (; j < hi; j += VL) store(to + j, sw == 1 ? load(row + j) : evens(row + 2 * j));
        for (; j < hi; ++j) to[j] = row[j * sw];
        for (j = hi; j < pitch; j += VL) store(to + j, pad);
    }
}

/* to[i][j] = from[h0 + i*sh][w0 + j*sw], or `outside` where that is not in H x W; rows of `from`
 * are `stride` apart. Rows are written in whole vectors: the next row comes over what was too much,
 * and after the last one there is room. No number is read from `end` on. */
static inline void pack(T *to, idx rows, idx pitch, const T *from, idx stride, idx H, idx W, idx h0,
                        idx sh, idx w0, idx sw, T outside, const T *end) {
    if (sw == 1)
        pack_rows(to, rows, pitch, from, stride, H, W, h0, sh, w0, 1, outside, end);
    else if (sw == 2)
        pack_rows(to, rows, pitch, from, stride, H, W, h0, sh, w0, 2, outside, end);
    else
        pack_rows(to, rows, pitch, from, stride, H, W, h0, sh, w0, sw, outside, end);
}

#endif
