/* Planes laid out in phases: phase (a, b) holds x[i*sh + a][j*sw + b] of the padded plane.
 *
 * There tap (r, s) of a window is at a fixed distance from the window's first cell, so a loop over
 * windows is one vector loop over a flat index, for any stride, dilation and size. */
#ifndef FASTNN_PHASES_H
#define FASTNN_PHASES_H

#include "simd.h"

#if VB * 8 / FASTNN_BITS == 2
#define ODDS 1, 3
#define LOW 0, 2
#define HIGH 1, 3
#elif VB * 8 / FASTNN_BITS == 4
#define ODDS 1, 3, 5, 7
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#elif VB * 8 / FASTNN_BITS == 8
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif

/* x[1], x[3], x[5] ... in a vector. */
static inline vec odds(const T *x) { return SHUFFLE(load(x), load(x + VL), ODDS); }

/* x[0], x[2] ... = even, x[1], x[3] ... = odd. */
static inline void interleave(T *x, vec even, vec odd) {
    store(x, SHUFFLE(even, odd, LOW));
    store(x + VL, SHUFFLE(even, odd, HIGH));
}

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
