/* Tiles of images, transformed for Winograd convolution: VL channels at a time are the vector.
 *
 * Pixels of VL channels are transposed once into rows [pixel][VL], and from there on no transform
 * needs a shuffle. Tiles are cut into bands, runs of neighbours in a row of tiles; bands that
 * follow each other are mostly one below the other and share the rows between them. */
#ifndef FASTNN_WINOGRAD_TILES_H
#define FASTNN_WINOGRAD_TILES_H

#include "conv_taps.h"
#include "gemm.h"
#include "winograd.h"

enum { MOST_SIDE = 6 }; /* cells of a tile's side, m + 2 */

static inline idx positions(idx m) { return (m + 2) * (m + 2); }

/* Elements of a cache line, and of at least n elements in an odd number of lines: strides of powers
 * of two would make a transform's many streams compete for the same sets of the cache. */
#define LINE ((idx)(64 / sizeof(T)))
static inline idx odd_lines(idx n) { return (ceil_div(n, LINE) | 1) * LINE; }

/* M(1) M(2) .. M(MR): the product's kernels, one per number of rows. */
#define EACH_HEIGHT_4(M) M(1) M(2) M(3) M(4)
#if MR == 4
#define EACH_HEIGHT(M) EACH_HEIGHT_4(M)
#elif MR == 6
#define EACH_HEIGHT(M) EACH_HEIGHT_4(M) M(5) M(6)
#elif MR == 8
#define EACH_HEIGHT(M) EACH_HEIGHT_4(M) M(5) M(6) M(7) M(8)
#else
#define EACH_HEIGHT(M) EACH_HEIGHT_4(M) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12)
#endif

/* -- bands ----------------------------------------------------------------------------------- */

/* How N images of TP x TQ tiles are cut: into `segments` columns of bands. */
typedef struct {
    idx m, N, TP, TQ, segments;
} grid;

typedef struct {
    idx image, row, first, tiles; /* row of tiles, the first of them */
} band;

static grid make_grid(idx m, idx N, idx P, idx Q, idx widest) {
    idx TQ = ceil_div(Q, m);
    return (grid){m, N, ceil_div(P, m), TQ, ceil_div(TQ, widest)};
}

static inline idx bands(const grid *g) { return g->N * g->TP * g->segments; }
static inline idx widest_band(const grid *g) { return ceil_div(g->TQ, g->segments); }

static inline band band_of(const grid *g, idx b) {
    idx column = b / g->TP, s = column % g->segments, first = part(g->TQ, g->segments, s);
    return (band){column / g->segments, b % g->TP, first, part(g->TQ, g->segments, s + 1) - first};
}

/* Tiles of all bands before b. */
static inline idx tiles_before(const grid *g, idx b) {
    band at = band_of(g, b);
    return (at.image * g->TQ + at.first) * g->TP + at.row * at.tiles;
}

/* -- images, channels last ------------------------------------------------------------------- */

typedef struct {
    const T *data, *end; /* the whole array: reading may go beyond a row, never beyond `end` */
    idx planes, H, W;    /* of an image */
    idx top, left;       /* cells before it */
} images;

/* to[i][VL] = from[i], from[stride + i] ...: `count` cells of `lanes` planes; lanes without a plane
 * are 0. Writes up to VL vectors more than `count`. */
static inline void load_lanes(T *to, const T *from, idx stride, idx lanes, idx count,
                              const T *end) {
    for (idx i = 0; i < count; i += VL, to += VL * VL) {
        vec v[VB / sizeof(T)];
        const T *p = from + i;
        if (lanes == VL && end - p >= (VL - 1) * stride + VL) {
            for (int j = 0; j < (int)VL; ++j) v[j] = load(p + j * stride);
        } else {
            T aside[VB / sizeof(T)][VB / sizeof(T)] __attribute__((aligned(VB))) = {{0}};
            for (idx j = 0; j < lanes; ++j)
                for (idx q = 0; q < least(VL, count - i); ++q) aside[j][q] = p[j * stride + q];
            for (int j = 0; j < (int)VL; ++j) v[j] = load(aside[j]);
        }
        transpose(v);
        for (int j = 0; j < (int)VL; ++j) store(to + j * VL, v[j]);
    }
}

/* One row of a strip: cells x0 .. x0+cols of row y of VL planes, 0 outside the image. */
static inline void load_row(T *to, const images *im, const T *plane, idx lanes, idx y, idx x0,
                            idx cols) {
    idx first = 0, last = 0;
    if (y >= 0 && y < im->H) steps_inside(x0, 1, im->W, cols, &first, &last);
    for (idx i = 0; i < first; ++i) store(to + i * VL, (vec){0});
    if (last > first)
        load_lanes(to + first * VL, plane + y * im->W + x0 + first, im->H * im->W, lanes,
                   last - first, im->end);
    for (idx i = last; i < cols; ++i) store(to + i * VL, (vec){0});
}

/* Rows under a band and, behind them, their transforms along columns. */
typedef struct {
    T *row[MOST_SIDE], *half;
    idx pitch; /* elements of a row */
} strip;

static inline idx strip_pitch(const grid *g) { return (widest_band(g) * g->m + 2 + VL) * VL; }
static inline idx strip_size(const grid *g) { return 2 * (g->m + 2) * strip_pitch(g); }

static inline strip make_strip(const grid *g, T *memory) {
    strip it = {.pitch = strip_pitch(g)};
    for (idx i = 0; i < g->m + 2; ++i) it.row[i] = memory + i * it.pitch;
    it.half = memory + (g->m + 2) * it.pitch;
    return it;
}

/* Transform `lanes` channels from `channel` on of bands [b0, b1): position xi of tile t goes to
 * to[xi*xi_stride + t*tile_stride]. Tiles of x overlap and are m + 2 cells wide; tiles of dy
 * (`spread`) are m wide. */
INLINE void transform_bands(idx m, int spread, const grid *g, const images *im, idx channel,
                            idx lanes, idx b0, idx b1, strip *s, T *to, idx xi_stride,
                            idx tile_stride) {
    idx n = m + 2, side = spread ? m : n;
    for (idx b = b0; b < b1; ++b) {
        band at = band_of(g, b);
        const T *plane = im->data + (at.image * im->planes + channel) * im->H * im->W;
        idx cols = (at.tiles - 1) * m + side, fresh = 0;
        if (side > m && b > b0 && at.row > 0) { /* below the band before: two rows are there */
            fresh = side - m;
            for (idx i = 0; i < fresh; ++i) {
                T *above = s->row[i];
                s->row[i] = s->row[i + m];
                s->row[i + m] = above;
            }
        }
        for (idx i = fresh; i < side; ++i)
            load_row(s->row[i], im, plane, lanes, at.row * m - im->top + i, at.first * m - im->left,
                     cols);
        for (idx j = 0; j < cols; ++j) {
            vec d[MOST_SIDE], t[MOST_SIDE];
            for (idx i = 0; i < side; ++i) d[i] = load(s->row[i] + j * VL);
            if (spread)
                winograd_spread(m, d, t);
            else
                winograd_cells(m, d, t);
            for (idx i = 0; i < n; ++i) store(s->half + i * s->pitch + j * VL, t[i]);
        }
        for (idx i = 0; i < n; ++i) {
            const T *from = s->half + i * s->pitch;
            T *line = to + i * n * xi_stride;
            for (idx tile = 0; tile < at.tiles; ++tile, from += m * VL, line += tile_stride) {
                vec d[MOST_SIDE], t[MOST_SIDE];
                for (idx j = 0; j < side; ++j) d[j] = load(from + j * VL);
                if (spread)
                    winograd_spread(m, d, t);
                else
                    winograd_cells(m, d, t);
                for (idx j = 0; j < n; ++j) store(line + j * xi_stride, t[j]);
            }
        }
        to += at.tiles * tile_stride;
    }
}

#endif
