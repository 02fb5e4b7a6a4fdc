/* Planes transposed to cells: [row][column][plane], so that a vector or a tile is of planes. */
#ifndef FASTNN_CONV_CELLS_H
#define FASTNN_CONV_CELLS_H

#include "conv_taps.h"
#include "gemm.h"

/* to[cell][m] from m planes of `rows` rows of `cols` cells each, contiguous; rows of `to` have a
 * gap behind them. Whole vectors are stored in ascending order, see pack_lines. */
static inline void pack_cells(T *to, idx width, const T *from, idx m, idx plane, idx rows, idx cols,
                              idx gap) {
    idx all = rows * cols;
    for (idx i = 0; i < all && all >= VL; i += VL) {
        i = least(i, all - VL); /* the last ones once more rather than fewer */
        for (idx g = 0; g < width; g += VL) {
            idx first = most(0, least(g, width - VL)), row = rows == 1 ? 0 : i / cols;
            idx left = cols - (i - row * cols);
            vec lines[VB / sizeof(T)];
            load_lines(lines, from + first * plane + i, m - first, plane);
            T *cell = to + (i + row * gap) * width + first;
            for (idx j = 0; j < VL; ++j) {
                store(cell, lines[j]);
                cell += width;
                if (--left == 0) {
                    cell += gap * width;
                    left = cols;
                }
            }
        }
    }
    for (idx i = 0; i < all && all < VL; ++i)
        for (idx c = 0; c < width; ++c)
            to[(i + i / cols * gap) * width + c] = c < m ? from[c * plane + i] : (T)0;
}

/* Planes H W, each `apart` from the next. */
typedef struct {
    const T *first;
    idx planes, H, W, width; /* `width` of a cell, at least `planes`; the rest are zeros */
    idx apart;
} images;

static inline void zeros(T *to, idx count) { memset(to, 0, (size_t)count * sizeof(T)); }

/* A block of cells from the planes' cell (h0, w0) on, zeros outside of them. */
static inline void pack_block(const images *x, T *to, idx pitch, idx rows, idx cols, idx h0,
                              idx h_step, idx w0) {
    idx top, bottom, left, right, m = x->width;
    steps_inside(h0, h_step, x->H, rows, &top, &bottom);
    steps_inside(w0, 1, x->W, cols, &left, &right);
    int flat = h_step == 1 && right - left == x->W;
    if (flat && bottom > top)
        pack_cells(to + (top * pitch + left) * m, m, x->first + (h0 + top) * x->W, x->planes,
                   x->apart, bottom - top, x->W, pitch - x->W);
    for (idx i = 0; i < rows; ++i) {
        T *row = to + i * pitch * m;
        if (i < top || i >= bottom) {
            zeros(row, cols * m);
            continue;
        }
        if (!flat && right > left)
            pack_cells(row + left * m, m, x->first + (h0 + i * h_step) * x->W + w0 + left,
                       x->planes, x->apart, 1, right - left, 0);
        zeros(row, left * m);
        zeros(row + right * m, (cols - right) * m);
    }
}

/* The reverse of pack_cells for cells of a whole vector and without a gap: to `m` planes. */
static inline void unpack_cells(T *to, idx m, idx plane, const T *from, idx all) {
    for (idx i = 0; i < all && all >= VL; i += VL) {
        i = least(i, all - VL);
        vec v[VB / sizeof(T)];
        for (idx j = 0; j < VL; ++j) v[j] = load(from + (i + j) * VL);
        transpose(v);
        if (m >= VL)
            for (idx j = 0; j < VL; ++j) store(to + j * plane + i, v[j]);
        else
            for (idx j = 0; j < m; ++j) store(to + j * plane + i, v[j]);
    }
    for (idx i = 0; i < all && all < VL; ++i)
        for (idx j = 0; j < m; ++j) to[j * plane + i] = from[i * VL + j];
}

#endif
