/* What a tap of a window sees of an image, pixel after pixel of the output. */
#ifndef FASTNN_CONV_TAPS_H
#define FASTNN_CONV_TAPS_H

#include "phases.h"

typedef fastnn_conv_args conv;

/* Columns q in [first, last) of an output row whose tap s falls inside the image. */
static inline void inside(const conv *v, idx s, idx *first, idx *last) {
    steps_inside(s * v->dw_step - v->left, v->sw, v->W, v->Q, first, last);
}

/* Row of the image that tap r of output row p falls on, or -1. */
static inline idx image_row(const conv *v, idx p, idx r) {
    idx h = p * v->sh - v->top + r * v->dh;
    return h >= 0 && h < v->H ? h : -1;
}

/* line[0 .. j1-j0) = the values that `tap` sees at output pixels j0 .. j1. */
static inline void gather_line(const conv *v, T *line, const T *x, idx tap, idx j0, idx j1) {
    idx s = tap % v->S, r = tap / v->S % v->R, c = tap / v->S / v->R;
    idx first, last, shift = s * v->dw_step - v->left, step = v->sw;
    inside(v, s, &first, &last);
    const T *plane = x + c * v->H * v->W;
    for (idx p = j0 / v->Q, q = j0 % v->Q; j0 < j1; ++p, q = 0) {
        idx end = least(v->Q, q + (j1 - j0)), h = image_row(v, p, r);
        j0 += end - q;
        idx lo = h < 0 ? end : least(most(first, q), end),
            hi = h < 0 ? end : most(least(last, end), lo);
        for (; q < lo; ++q) *line++ = 0;
        const T *from = plane + h * v->W + shift;
        if (step == 1)
            for (; q < hi; ++q) *line++ = from[q];
        else
            for (; q < hi; ++q) *line++ = from[q * step];
        for (; q < end; ++q) *line++ = 0;
    }
}

/* The reverse: add line[0 .. j1-j0) to the cells of dx that `tap` saw. */
static inline void scatter_line(const conv *v, const T *line, T *dx, idx tap, idx j0, idx j1) {
    idx s = tap % v->S, r = tap / v->S % v->R, c = tap / v->S / v->R;
    idx first, last, shift = s * v->dw_step - v->left, step = v->sw;
    inside(v, s, &first, &last);
    T *plane = dx + c * v->H * v->W;
    for (idx p = j0 / v->Q, q = j0 % v->Q; j0 < j1; ++p, q = 0) {
        idx end = least(v->Q, q + (j1 - j0)), h = image_row(v, p, r);
        const T *row = line - q;
        line += end - q;
        j0 += end - q;
        if (h < 0) continue;
        idx lo = most(first, q), hi = least(last, end);
        T *to = plane + h * v->W + shift;
        if (step == 1)
            for (q = lo; q < hi; ++q) to[q] += row[q];
        else
            for (q = lo; q < hi; ++q) to[q * step] += row[q];
    }
}

#endif
