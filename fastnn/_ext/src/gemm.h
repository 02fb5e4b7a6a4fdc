/* The packed matrix product that serves convolution, linear and recurrent layers.
 *
 * Operands are packed into panels so that the inner loop reads both from the first cache level in
 * order: `a` as panels of up to MR rows [k][rows], `b` as panels of NR columns [k][NR] (the last of
 * VL if that is enough). k is cut evenly into blocks of at most KC. Each element of the result is
 * one chain of multiply-adds per block, and blocks are added in order: it does not depend on the
 * other rows and columns, on tiling or on threads. */
#ifndef FASTNN_GEMM_H
#define FASTNN_GEMM_H

#include "simd.h"

/* A panel of b takes KC*NR elements: 16 KiB on AVX2, 32 KiB on AVX-512, inside the first level. */
enum { KC = 256 };

/* Elements of a packed b that leave room for the rest in the first level. */
enum { SMALL_B = 4096 * 4 / sizeof(T) };

static inline idx k_blocks(idx k) { return ceil_div(k, KC); }

/* -- the tile: rows x (1 or 2 vectors) ------------------------------------------------------- */

typedef struct {
    int accumulate;       /* add to what c holds */
    const T *row_bias;    /* added to every element of a row; NULL: none */
    const T *column_bias; /* added to every element of a column; NULL: none */
} epilogue;

static inline void finish(T *c, vec v, const epilogue *e, idx row, idx column) {
    if (e->accumulate) v += load(c);
    if (e->row_bias) v += splat(e->row_bias[row]);
    if (e->column_bias) v += load(e->column_bias + column);
    store(c, v);
}

/* Named accumulators: an array of vectors is not kept in registers by every compiler. */
#define ROWS_1(M) M(0)
#define ROWS_2(M) ROWS_1(M) M(1)
#define ROWS_3(M) ROWS_2(M) M(2)
#define ROWS_4(M) ROWS_3(M) M(3)
#define ROWS_5(M) ROWS_4(M) M(4)
#define ROWS_6(M) ROWS_5(M) M(5)
#define ROWS_7(M) ROWS_6(M) M(6)
#define ROWS_8(M) ROWS_7(M) M(7)
#define ROWS_9(M) ROWS_8(M) M(8)
#define ROWS_10(M) ROWS_9(M) M(9)
#define ROWS_11(M) ROWS_10(M) M(10)
#define ROWS_12(M) ROWS_11(M) M(11)

#define ZERO(i) vec x##i = {0}, y##i = {0};
#define STEP(i)                                                                                    \
    x##i += a[i] * b0;                                                                             \
    y##i += a[i] * b1;
#define PUT(i)                                                                                     \
    finish(c + i * ldc, x##i, e, i, 0);                                                            \
    finish(c + i * ldc + VL, y##i, e, i, VL);
#define ZERO_NARROW(i) vec x##i = {0};
#define STEP_NARROW(i) x##i += a[i] * b0;
#define PUT_NARROW(i) finish(c + i * ldc, x##i, e, i, 0);

typedef void tile(idx k, const T *a, const T *b, T *c, idx ldc, const epilogue *e);

#define TILE(m)                                                                                    \
    static void tile_##m(idx k, const T *restrict a, const T *restrict b, T *c, idx ldc,           \
                         const epilogue *e) {                                                      \
        ROWS_##m(ZERO);                                                                            \
        for (; k > 0; --k, a += m, b += NR) {                                                      \
            vec b0 = load(b), b1 = load(b + VL);                                                   \
            ROWS_##m(STEP);                                                                        \
        }                                                                                          \
        ROWS_##m(PUT);                                                                             \
    }                                                                                              \
    static void narrow_##m(idx k, const T *restrict a, const T *restrict b, T *c, idx ldc,         \
                           const epilogue *e) {                                                    \
        ROWS_##m(ZERO_NARROW);                                                                     \
        for (; k > 0; --k, a += m, b += VL) {                                                      \
            vec b0 = load(b);                                                                      \
            ROWS_##m(STEP_NARROW);                                                                 \
        }                                                                                          \
        ROWS_##m(PUT_NARROW);                                                                      \
    }

/* F for every height of a tile. */
#if MR == 4
#define ALL_ROWS(F) F(1) F(2) F(3) F(4)
#elif MR == 6
#define ALL_ROWS(F) F(1) F(2) F(3) F(4) F(5) F(6)
#elif MR == 8
#define ALL_ROWS(F) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8)
#else
#define ALL_ROWS(F) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12)
#endif

ALL_ROWS(TILE)

#define BOTH(m) {narrow_##m, tile_##m},
static tile *const tiles[MR + 1][2] = {{0, 0}, ALL_ROWS(BOTH)};

/* -- panels ---------------------------------------------------------------------------------- */

/* Rows are cut evenly: 16 rows are 8 + 8, never 12 + 4. */
static inline idx row_panels(idx m) { return ceil_div(m, MR); }

/* Width of the panel of b that starts at column j of n. */
static inline idx panel_width(idx n, idx j) { return n - j > VL ? NR : VL; }

/* Elements of n packed columns, k deep. */
static inline idx packed_columns(idx n, idx k) {
    idx whole = n / NR * NR, rest = n - whole;
    return (whole + (rest ? panel_width(n, whole) : 0)) * k;
}

/* Elements of m packed rows, k deep; one vector more, for packers store whole vectors. */
static inline idx packed_rows(idx m, idx k) { return m * k + VL; }

/* Transpose VL vectors of VL elements: within their lanes of 16 bytes, and whole lanes. Full
 * interleaving would take fewer lines here, but no CPU has it in one instruction. */
/* SINGLE: interleaved elements, PAIR: pairs of them, both of a lane's LOW or HIGH half; EVEN, ODD:
 * those lanes of a, then of b. */
#if FASTNN_BITS == 32 && VB == 64
#define SINGLE_LOW 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define SINGLE_HIGH 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define PAIR_LOW 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define PAIR_HIGH 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define EVEN 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define ODD 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#elif FASTNN_BITS == 32 && VB == 32
#define SINGLE_LOW 0, 8, 1, 9, 4, 12, 5, 13
#define SINGLE_HIGH 2, 10, 3, 11, 6, 14, 7, 15
#define PAIR_LOW 0, 1, 8, 9, 4, 5, 12, 13
#define PAIR_HIGH 2, 3, 10, 11, 6, 7, 14, 15
#define EVEN 0, 1, 2, 3, 8, 9, 10, 11
#define ODD 4, 5, 6, 7, 12, 13, 14, 15
#elif FASTNN_BITS == 32
#define SINGLE_LOW 0, 4, 1, 5
#define SINGLE_HIGH 2, 6, 3, 7
#define PAIR_LOW 0, 1, 4, 5
#define PAIR_HIGH 2, 3, 6, 7
#elif VB == 64
#define PAIR_LOW 0, 8, 2, 10, 4, 12, 6, 14
#define PAIR_HIGH 1, 9, 3, 11, 5, 13, 7, 15
#define EVEN 0, 1, 4, 5, 8, 9, 12, 13
#define ODD 2, 3, 6, 7, 10, 11, 14, 15
#elif VB == 32
#define PAIR_LOW 0, 4, 2, 6
#define PAIR_HIGH 1, 5, 3, 7
#define EVEN 0, 1, 4, 5
#define ODD 2, 3, 6, 7
#else
#define PAIR_LOW 0, 2
#define PAIR_HIGH 1, 3
#endif

enum { LANE = 16 / sizeof(T), SQUARE = VB / sizeof(T) };

/* Groups of LANE vectors: lanes of each group, transposed. */
static inline void transpose_within(vec *v) {
    vec t[SQUARE];
#if FASTNN_BITS == 32
    for (int i = 0; i < SQUARE; i += 2) {
        t[i] = SHUFFLE(v[i], v[i + 1], SINGLE_LOW);
        t[i + 1] = SHUFFLE(v[i], v[i + 1], SINGLE_HIGH);
    }
    for (int i = 0; i < SQUARE; i += 4)
        for (int j = 0; j < 2; ++j) {
            v[i + 2 * j] = SHUFFLE(t[i + j], t[i + j + 2], PAIR_LOW);
            v[i + 2 * j + 1] = SHUFFLE(t[i + j], t[i + j + 2], PAIR_HIGH);
        }
#else
    for (int i = 0; i < SQUARE; i += 2) {
        t[i] = SHUFFLE(v[i], v[i + 1], PAIR_LOW);
        t[i + 1] = SHUFFLE(v[i], v[i + 1], PAIR_HIGH);
    }
    for (int i = 0; i < SQUARE; ++i) v[i] = t[i];
#endif
}

static inline void transpose(vec *v) {
    transpose_within(v);
#if VB == 32
    vec t[SQUARE];
    for (int j = 0; j < LANE; ++j) {
        t[j] = SHUFFLE(v[j], v[LANE + j], EVEN);
        t[LANE + j] = SHUFFLE(v[j], v[LANE + j], ODD);
    }
    for (int i = 0; i < SQUARE; ++i) v[i] = t[i];
#elif VB == 64
    for (int j = 0; j < LANE; ++j) {
        vec even = SHUFFLE(v[j], v[LANE + j], EVEN), odd = SHUFFLE(v[j], v[LANE + j], ODD);
        vec even2 = SHUFFLE(v[2 * LANE + j], v[3 * LANE + j], EVEN);
        vec odd2 = SHUFFLE(v[2 * LANE + j], v[3 * LANE + j], ODD);
        v[j] = SHUFFLE(even, even2, EVEN);
        v[LANE + j] = SHUFFLE(odd, odd2, EVEN);
        v[2 * LANE + j] = SHUFFLE(even, even2, ODD);
        v[3 * LANE + j] = SHUFFLE(odd, odd2, ODD);
    }
#endif
}

/* VL cells from each of VL lines, transposed. Halves of lines are joined as they are read, which
 * leaves a shuffle less per vector than to transpose whole ones. */
static inline void load_square(vec *v, const T *from, idx line) {
#if JOINS && VB == 64
    const T *second = from + LANE * line, *third = second + LANE * line;
    const T *fourth = third + LANE * line;
    for (idx i = 0, at = 0; i < LANE; ++i, at += line)
        for (idx half = 0; half < 2; ++half) {
            idx p = at + half * 2 * LANE;
            vec low = join(from + p, second + p), high = join(third + p, fourth + p);
            v[2 * half * LANE + i] = SHUFFLE(low, high, EVEN);
            v[(2 * half + 1) * LANE + i] = SHUFFLE(low, high, ODD);
        }
    transpose_within(v);
#elif JOINS
    for (idx i = 0; i < LANE; ++i)
        for (idx half = 0; half < 2; ++half) {
            const T *p = from + i * line + half * LANE;
            v[half * LANE + i] = join(p, p + LANE * line);
        }
    transpose_within(v);
#else
    for (idx i = 0; i < VL; ++i) v[i] = load(from + i * line);
    transpose(v);
#endif
}

/* VL cells from each of the first `rows` lines, zeros for the others up to VL; transposed. */
static inline void load_lines(vec *v, const T *from, idx rows, idx line) {
    if (rows >= VL) {
        load_square(v, from, line);
    } else {
        for (idx i = 0; i < VL; ++i) v[i] = i < rows ? load(from + i * line) : (vec){0};
        transpose(v);
    }
}

/* to[k][width] from `rows` <= width lines of `from`, each contiguous along k; missing rows are 0.
 * Whole vectors are stored in ascending order, so what one store writes too much the next mends:
 * only panels narrower than a vector write too much, wider ones take some lines twice. */
static inline void pack_lines(T *to, idx width, const T *from, idx rows, idx line, idx k) {
    for (idx k0 = 0; k0 < k && k >= VL; k0 += VL) {
        k0 = least(k0, k - VL); /* the last ones once more rather than fewer */
        for (idx g = 0; g < width; g += VL) {
            idx first = most(0, least(g, width - VL));
            vec v[VB / sizeof(T)];
            load_lines(v, from + first * line + k0, rows - first, line);
            for (idx i = 0; i < VL; ++i) store(to + (k0 + i) * width + first, v[i]);
        }
    }
    for (idx i = 0; i < k && k < VL; ++i)
        for (idx j = 0; j < width; ++j) to[i * width + j] = j < rows ? from[j * line + i] : (T)0;
}

/* to[k][width] from k lines of `from`, each `columns` <= width contiguous elements; the rest 0.
 * Reads whole vectors wherever they end inside of `from`; without columns, nothing. */
static inline void pack_columns(T *to, idx width, const T *from, idx columns, idx line, idx k) {
    if (columns <= 0) {
        memset(to, 0, (size_t)(k * width) * sizeof(T));
        return;
    }
    if (columns == NR && width == NR) {
        for (idx i = 0; i < k; ++i) {
            store(to + i * NR, load(from + i * line));
            store(to + i * NR + VL, load(from + i * line + VL));
        }
        return;
    }
    idx i = 0, last = most(0, width - VL); /* the last vector of a line begins there */
    idx room = (k - 1) * line + columns - last - VL;
    ivec low = COUNT < (I)columns, high = COUNT < (I)(columns - last);
    for (; i < k && i * line <= room; ++i) {
        vec v = load(from + i * line + last);
        if (last) store(to + i * width, select(low, load(from + i * line), (vec){0}));
        if (MR > NR) /* aarch64 with float64: panels of a are four vectors wide, and full */
            for (idx j = VL; j < last; j += VL)
                store(to + i * width + j, load(from + i * line + j));
        store(to + i * width + last, select(high, v, (vec){0}));
    }
    for (; i < k; ++i)
        for (idx j = 0; j < width; ++j) to[i * width + j] = j < columns ? from[i * line + j] : (T)0;
}

/* Rows of a, element (i, k) at from[i*row + k*column], packed as panels of even heights. */
static inline void pack_a(T *to, const T *from, idx m, idx k, idx row, idx column) {
    idx panels = row_panels(m);
    for (idx p = 0; p < panels; ++p) {
        idx first = part(m, panels, p), height = part(m, panels, p + 1) - first;
        T *panel = to + first * k;
        const T *source = from + first * row;
        if (column == 1)
            pack_lines(panel, height, source, height, row, k);
        else if (row == 1)
            pack_columns(panel, height, source, height, column, k);
        else
            for (idx j = 0; j < k; ++j)
                for (idx i = 0; i < height; ++i)
                    panel[j * height + i] = source[i * row + j * column];
    }
}

/* One panel of b, element (k, j) at from[k*row + j*column], `columns` of them. */
static inline void pack_b_panel(T *to, idx width, const T *from, idx k, idx columns, idx row,
                                idx column) {
    if (column == 1)
        pack_columns(to, width, from, columns, row, k);
    else if (row == 1)
        pack_lines(to, width, from, columns, column, k);
    else
        for (idx i = 0; i < k; ++i)
            for (idx j = 0; j < width; ++j)
                to[i * width + j] = j < columns ? from[i * row + j * column] : (T)0;
}

/* One tile of c, `columns` <= width wide; `e` is that of the tile's corner. */
static inline void multiply_tile(idx height, idx columns, idx width, idx k, const T *a, const T *b,
                                 T *c, idx ldc, epilogue e) {
    tile *product = tiles[height][width == NR];
    if (columns == width) {
        product(k, a, b, c, ldc, &e);
        return;
    }
    /* The same arithmetic in a full tile aside, of which the valid part is kept. */
    T aside[MR * 2 * (VB / sizeof(T))] __attribute__((aligned(VB)));
    T bias[2 * (VB / sizeof(T))] __attribute__((aligned(VB)));
    for (idx i = 0; e.accumulate && i < height; ++i)
        for (idx q = 0; q < columns; ++q) aside[i * width + q] = c[i * ldc + q];
    if (e.column_bias) {
        for (idx q = 0; q < columns; ++q) bias[q] = e.column_bias[q];
        e.column_bias = bias;
    }
    product(k, a, b, aside, width, &e);
    for (idx i = 0; i < height; ++i)
        for (idx q = 0; q < columns; ++q) c[i * ldc + q] = aside[i * width + q];
}

/* c[m,n] (+)= a b from packed operands, k deep: each panel of b against all rows, for it stays in
 * the first level; or, if all of b does, row after row, for c is then written in long runs. */
static inline void multiply(idx m, idx n, idx k, const T *a, const T *b, T *c, idx ldc,
                            epilogue whole) {
    idx panels = row_panels(m), columns = ceil_div(n, NR);
    int by_rows = n * k <= SMALL_B;
    idx outer = by_rows ? panels : columns, inner = by_rows ? columns : panels;
    for (idx o = 0; o < outer; ++o)
        for (idx i = 0; i < inner; ++i) {
            idx p = by_rows ? o : i, j = (by_rows ? i : o) * NR;
            idx first = part(m, panels, p), height = part(m, panels, p + 1) - first;
            epilogue e = whole;
            if (e.row_bias) e.row_bias += first;
            if (e.column_bias) e.column_bias += j;
            multiply_tile(height, least(n - j, NR), panel_width(n, j), k, a + first * k, b + j * k,
                          c + first * ldc + j, ldc, e);
        }
}

#endif
