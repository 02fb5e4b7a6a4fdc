/* What the results of a convolution see of its input, when they are computed in phases.
 *
 * Along an axis phase a of pixel i is the cell i*up + first + a of the result, and pixel i sees the
 * cells i*step - before + at[m] of the input. The data gradient of a stride has its phases by
 * nature; where filters are few, rows of results are made phases too, for what one of them sees the
 * others see as well, and a number read once serves them all. */
#ifndef FASTNN_CONV_WINDOW_H
#define FASTNN_CONV_WINDOW_H

#include "simd.h"

typedef struct {
    idx taps, stride, dilation, pad;
    int adjoint; /* cells are those of the data gradient: tap t of cell h sees (h + pad - t*d)/s */
    idx first, up, phases;
    idx step, before;
    idx count; /* positions that some tap sees */
    idx *at;   /* ascending, the first is 0 */
    idx *tap;  /* [phases][count]: the tap that sees it, or -1 */
} axis;

/* Cell of the input that tap t of phase a of pixel 0 sees; 0 if there is none. */
static inline int seen(const axis *v, idx a, idx t, idx *cell) {
    idx h = v->first + a;
    if (!v->adjoint) {
        *cell = h * v->stride - v->pad + t * v->dilation;
        return 1;
    }
    h += v->pad - t * v->dilation;
    *cell = h / v->stride;
    return h % v->stride == 0;
}

static inline idx axis_positions(const axis *v) {
    return v->taps * (v->adjoint ? ceil_div(v->phases, v->stride) : v->phases);
}
static inline idx axis_room(const axis *v) { return (v->phases + 1) * axis_positions(v); }

/* Cells that the positions span. */
static inline idx axis_span(const axis *v) { return v->count ? v->at[v->count - 1] + 1 : 0; }

/* Fill in what follows from the rest; `memory` holds axis_room(). */
static inline void find_positions(axis *v, idx *memory) {
    v->at = memory;
    v->tap = memory + axis_positions(v);
    v->count = 0;
    v->step = v->adjoint ? v->up / v->stride : v->up * v->stride;
    for (idx i = 0; i < v->taps; ++i) {
        idx t = v->adjoint ? v->taps - 1 - i : i, cell; /* ascending, but for phases */
        for (idx a = 0; a < v->phases; ++a) {
            if (!seen(v, a, t, &cell)) continue;
            idx m = v->count;
            while (m > 0 && v->at[m - 1] > cell) --m;
            if (m > 0 && v->at[m - 1] == cell) continue;
            for (idx j = v->count++; j > m; --j) v->at[j] = v->at[j - 1];
            v->at[m] = cell;
        }
    }
    v->before = v->count ? -v->at[0] : 0;
    for (idx m = 0; m < v->count; ++m) v->at[m] += v->before;
    for (idx i = 0; i < v->phases * v->count; ++i) v->tap[i] = -1;
    for (idx a = 0; a < v->phases; ++a)
        for (idx i = 0, m = 0, cell; i < v->taps; ++i) {
            idx t = v->adjoint ? v->taps - 1 - i : i;
            if (!seen(v, a, t, &cell)) continue;
            while (v->at[m] < cell + v->before) ++m;
            v->tap[a * v->count + m] = t;
        }
}

/* Phases [first, first + phases) of both axes, counted row after row, that see the same positions.
 * Every tap of every phase is in one share, so that nothing is multiplied by zero, for an infinite
 * number outside of a window must not become a NaN. */
typedef struct {
    idx first, phases;
    int fresh;    /* the first share of its phases */
    idx taps;     /* positions, per channel */
    idx *cell;    /* [taps]: positions of the rows' axis and of the columns' */
    idx *weights; /* [phases][taps]: r*S + s of the filter */
    idx *place;   /* [channels * taps] in the strip, */
    idx *blended; /* and in a panel of all positions */
    idx slab;     /* packed elements of a group's block of taps, */
    T *packed;    /* of all groups and blocks */
} share;

enum { MOST_PHASES = 64, MOST_SHARES = MOST_PHASES + 16 };

static inline idx tap_of(const axis *rows, const axis *columns, idx phase, idx cell) {
    idx r = rows->tap[phase / columns->phases * rows->count + cell / columns->count];
    idx s = columns->tap[phase % columns->phases * columns->count + cell % columns->count];
    return r < 0 || s < 0 ? -1 : r * columns->taps + s;
}

/* The run of phases from *first on that see a cell; the first after it. */
static inline idx next_run(const axis *rows, const axis *columns, idx cell, idx *first) {
    idx all = rows->phases * columns->phases, last;
    while (*first < all && tap_of(rows, columns, *first, cell) < 0) ++*first;
    for (last = *first; last < all && tap_of(rows, columns, last, cell) >= 0;) ++last;
    return last;
}

/* Whether some position is seen by all phases, and the runs are few: then phases are worth their
 * common tiles. Counts the runs that differ. */
static inline int phases_meet(const axis *rows, const axis *columns) {
    idx all = rows->phases * columns->phases, runs[MOST_SHARES][2], count = 0;
    int met = 0;
    for (idx cell = 0; cell < rows->count * columns->count; ++cell)
        for (idx first = 0, last; (last = next_run(rows, columns, cell, &first)) > first;) {
            idx i = 0;
            while (i < count && (runs[i][0] != first || runs[i][1] != last)) ++i;
            if (i == MOST_SHARES) return 0;
            if (i == count) runs[count][0] = first, runs[count++][1] = last;
            met |= last - first == all;
            first = last;
        }
    return met;
}

/* Shares of phases: each of its own or, if they meet, each run that sees the same. Positions are
 * appended to `memory`, which holds 2 * (taps of all phases). Returns how many. */
static inline idx find_shares(const axis *rows, const axis *columns, int together, share *shares,
                              idx *memory) {
    idx all = rows->phases * columns->phases, cells = rows->count * columns->count, count = 0;
    for (idx phases = all; phases > 0; --phases) /* the longest runs first */
        for (idx first = 0; first + phases <= all; ++first) {
            if (!together && phases > 1) break;
            share *s = shares + count;
            *s = (share){.first = first, .phases = phases, .cell = memory};
            for (idx cell = 0; cell < cells; ++cell)
                if (!together) {
                    if (tap_of(rows, columns, first, cell) >= 0) s->cell[s->taps++] = cell;
                } else {
                    for (idx a = 0, b; (b = next_run(rows, columns, cell, &a)) > a; a = b)
                        if (a == first && b - a == phases) s->cell[s->taps++] = cell;
                }
            if (together && !s->taps) continue;
            s->fresh = !together || phases == all;
            s->weights = s->cell + s->taps;
            for (idx a = 0; a < phases; ++a)
                for (idx t = 0; t < s->taps; ++t)
                    s->weights[a * s->taps + t] = tap_of(rows, columns, first + a, s->cell[t]);
            memory = s->weights + phases * s->taps;
            ++count;
        }
    return count;
}

#endif
