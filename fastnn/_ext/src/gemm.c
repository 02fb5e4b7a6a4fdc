/* Matrix product and column sums of plain matrices. */
#include "gemm.h"

/* Columns of b that are packed at a time: 4 MiB of float32. */
enum { NC = 4096 };

typedef struct {
    const fastnn_gemm_args *args;
    idx k0, k, j0, n;            /* the block of k and of columns in work */
    idx row_parts, column_parts; /* how c is cut into tasks */
    int last;
    T *b;        /* packed, shared */
    char *slots; /* packed a, one piece per slot */
    size_t slot_bytes;
} product;

static void pack_b_task(void *ctx, idx task, int slot) {
    const product *it = ctx;
    const fastnn_gemm_args *g = it->args;
    idx j = task * NR;
    const T *from = (const T *)g->b + it->k0 * g->b_row + (it->j0 + j) * g->b_col;
    pack_b_panel(it->b + j * it->k, panel_width(it->n, j), from, it->k, least(it->n - j, NR),
                 g->b_row, g->b_col);
    (void)slot;
}

static void multiply_task(void *ctx, idx task, int slot) {
    const product *it = ctx;
    const fastnn_gemm_args *g = it->args;
    idx r = task / it->column_parts, q = task % it->column_parts;
    idx i0 = part(g->m, it->row_parts, r), m = part(g->m, it->row_parts, r + 1) - i0;
    idx panels = ceil_div(it->n, NR);
    idx j0 = part(panels, it->column_parts, q) * NR;
    idx n = least(part(panels, it->column_parts, q + 1) * NR, it->n) - j0;
    T *a = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    pack_a(a, (const T *)g->a + i0 * g->a_row + it->k0 * g->a_col, m, it->k, g->a_row, g->a_col);
    epilogue e = {.accumulate = it->k0 > 0};
    if (it->last && g->bias) e.column_bias = (const T *)g->bias + it->j0 + j0;
    multiply(m, n, it->k, a, it->b + j0 * it->k, (T *)g->c + i0 * g->ldc + it->j0 + j0, g->ldc, e);
}

/* Cut c into about `tasks` pieces: rows first, for packing a again costs least that way. */
static void cut(product *it, idx tasks) {
    idx m = it->args->m, block = 10 * MR;
    it->row_parts = most(ceil_div(m, block), least(ceil_div(m, 2 * MR), tasks));
    it->column_parts = least(ceil_div(tasks, it->row_parts), ceil_div(it->n, NR));
}

/* -- few rows -------------------------------------------------------------------------------- */

enum { LOW = 10 * MR };            /* rows that fit one block: then panels of b need not be kept */
enum { AHEAD = 1 << 18 };          /* elements of a that are packed at a time */
enum { THIN = 4 };                 /* rows that are worth no packing of a transposed b */
enum { FEW = MR < 8 ? MR : 8 };    /* rows, of one panel, that are worth no packing of a plain b */
enum { SWEEP = 2048 / sizeof(T) }; /* columns of b that are read at a time in place */

typedef struct {
    const fastnn_gemm_args *args;
    idx p0, p1, tasks; /* the blocks of k in work; of columns */
    T *a;
    char *slots;
    size_t slot_bytes;
} low;

static inline idx block_start(const low *it, idx p) {
    return part(it->args->k, k_blocks(it->args->k), p);
}

static inline T *low_a(const low *it, idx p) {
    return it->a + (block_start(it, p) - block_start(it, it->p0)) * it->args->m + (p - it->p0) * VL;
}

static void pack_low_task(void *ctx, idx task, int slot) {
    const low *it = ctx;
    const fastnn_gemm_args *g = it->args;
    idx p = it->p0 + task, k0 = block_start(it, p);
    pack_a(low_a(it, p), (const T *)g->a + k0 * g->a_col, g->m, block_start(it, p + 1) - k0,
           g->a_row, g->a_col);
    (void)slot;
}

/* sums += products of `depth` packed rows with as many lines of turned b: the tile's chains. */
static inline __attribute__((always_inline)) void add_turned(const idx m, vec *sums, idx depth,
                                                             const T *a, const T *b) {
    for (idx i = 0; i < depth; ++i, a += m, b += NR)
        for (idx r = 0; r < m; ++r) {
            sums[r] += a[r] * load(b);
            sums[THIN + r] += a[r] * load(b + VL);
        }
}

static epilogue low_epilogue(const low *it, idx p, idx j) {
    const fastnn_gemm_args *g = it->args;
    epilogue e = {.accumulate = p > 0};
    if (p + 1 == k_blocks(g->k) && g->bias) e.column_bias = (const T *)g->bias + j;
    return e;
}

/* How far the sums of m rows by a panel are. */
typedef struct {
    const T *a;    /* packed rows from k on */
    idx p, k, end; /* the block of k in work, where they are in it, and its end */
} thin_place;

static thin_place thin_start(const low *it, idx p) {
    return (thin_place){low_a(it, p), p, block_start(it, p), block_start(it, p + 1)};
}

/* The next `count` lines of k, turned, in `b`; c gets a block's sums when they are complete. */
static inline __attribute__((always_inline)) void
thin_lines(const idx m, const low *it, vec *sums, thin_place *at, idx j, const T *b, idx count) {
    if (count == VL / 2 && at->k + VL / 2 < at->end) { /* most often */
        add_turned(m, sums, VL / 2, at->a, b);
        at->a += VL / 2 * m;
        at->k += VL / 2;
        return;
    }
    while (count > 0) {
        idx depth = least(count, at->end - at->k);
        add_turned(m, sums, depth, at->a, b);
        at->a += depth * m;
        at->k += depth;
        b += depth * NR;
        count -= depth;
        if (at->k < at->end) continue;
        epilogue e = low_epilogue(it, at->p, j);
        T *c = (T *)it->args->c + j;
        for (idx r = 0; r < m; ++r, c += it->args->ldc) {
            finish(c, sums[r], &e, 0, 0);
            finish(c + VL, sums[THIN + r], &e, 0, VL);
            sums[r] = sums[THIN + r] = splat(0);
        }
        if (at->p + 1 < it->p1) *at = thin_start(it, at->p + 1);
    }
}

/* A whole panel of transposed b, read once, against m packed rows. A few lines are turned while
 * those before are multiplied: the chains alone, or the reading, would leave the CPU waiting. */
static inline __attribute__((always_inline)) void thin(const idx m, const low *it, idx j) {
    enum { TURN = 2 * SQUARE };
    const fastnn_gemm_args *g = it->args;
    const T *b = (const T *)g->b + j * g->b_col;
    T turned[2][(SQUARE + TURN) * 2 * SQUARE] __attribute__((aligned(VB)));
    vec sums[2 * THIN] = {{0}};
    thin_place at = thin_start(it, it->p0);
    idx k0 = at.k, k = block_start(it, it->p1), line = g->b_col;
    idx skew = (idx)((uintptr_t)(b + k0) / sizeof(T)) % VL; /* lines of a cache are read whole */
    idx end = least(skew ? k0 + VL - skew : k0 + TURN, k);
    for (idx before = 0, turn = 0; k0 < k || before; turn ^= 1) {
        T *to = turned[turn] + VL * NR, *from = turned[turn ^ 1] + VL * NR;
        for (idx i = 0; i < NR; i += VL)
            for (idx q = k0; q < end; q += VL) {
                idx start = least(q, g->k - VL); /* the last ones once more rather than fewer */
                vec v[SQUARE];
                load_square(v, b + i * line + start, line);
                for (idx l = 0; l < VL; ++l) store(to + (start - k0 + l) * NR + i, v[l]);
                idx count = least(before, VL / 2);
                thin_lines(m, it, sums, &at, j, from, count);
                from += count * NR;
                before -= count;
            }
        thin_lines(m, it, sums, &at, j, from, before);
        before = end - k0;
        k0 = end;
        end = least(k0 + TURN, k);
    }
}

/* sums[m][SWEEP] += products with whole rows of b, `columns` wide: the tile's chains again. */
static inline __attribute__((always_inline)) void sweep(const idx m, idx columns, idx k, const T *a,
                                                        const T *b, idx line, T *sums) {
    idx i = 0;
    for (; i + 4 <= k; i += 4, a += 4 * m, b += 4 * line)
        for (idx j = 0; j < columns; j += VL) {
            vec b0 = load(b + j), b1 = load(b + line + j), b2 = load(b + 2 * line + j),
                b3 = load(b + 3 * line + j);
            for (idx r = 0; r < m; ++r) {
                vec sum = load(sums + r * SWEEP + j);
                sum += a[r] * b0;
                sum += a[m + r] * b1;
                sum += a[2 * m + r] * b2;
                sum += a[3 * m + r] * b3;
                store(sums + r * SWEEP + j, sum);
            }
        }
    for (; i < k; ++i, a += m, b += line)
        for (idx j = 0; j < columns; j += VL)
            for (idx r = 0; r < m; ++r)
                store(sums + r * SWEEP + j, load(sums + r * SWEEP + j) + a[r] * load(b + j));
}

/* The block of k at k0 of a product with a plain b of few rows, columns [j, j + columns) of c. */
static void sweep_block(const fastnn_gemm_args *g, T *sums, idx j, idx columns, idx k0, idx k,
                        const T *a, const epilogue *e) {
    const T *b = (const T *)g->b + k0 * g->b_row + j;
    memset(sums, 0, sizeof(T) * FEW * SWEEP);
    switch (g->m) {
#define CASE(m)                                                                                    \
    case m:                                                                                        \
        sweep(m, columns, k, a, b, g->b_row, sums);                                                \
        break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#undef CASE
    }
    for (idx r = 0; r < g->m; ++r)
        for (idx i = 0; i < columns; i += VL)
            finish((T *)g->c + r * g->ldc + j + i, load(sums + r * SWEEP + i), e, 0, i);
}

/* One panel of c. */
static void low_panel(const low *it, T *panel, idx j) {
    const fastnn_gemm_args *g = it->args;
    idx columns = least(g->n - j, NR);
    switch (g->b_row == 1 && g->k >= VL && columns == NR ? g->m : 0) {
#define CASE(m)                                                                                    \
    case m:                                                                                        \
        thin(m, it, j);                                                                            \
        return;
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
#undef CASE
    }
    for (idx p = it->p0; p < it->p1; ++p) {
        idx k0 = block_start(it, p), k = block_start(it, p + 1) - k0;
        epilogue e = low_epilogue(it, p, j);
        pack_b_panel(panel, panel_width(g->n, j), (const T *)g->b + k0 * g->b_row + j * g->b_col, k,
                     columns, g->b_row, g->b_col);
        multiply(g->m, columns, k, low_a(it, p), panel, (T *)g->c + j, g->ldc, e);
    }
}

static void low_task(void *ctx, idx task, int slot) {
    const low *it = ctx;
    const fastnn_gemm_args *g = it->args;
    idx panels = ceil_div(g->n, NR), j = part(panels, it->tasks, task) * NR;
    idx end = least(part(panels, it->tasks, task + 1) * NR, g->n);
    T *panel = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    while (g->m <= FEW && g->b_col == 1 && end - j >= VL) {
        idx columns = least(end - j, SWEEP) / VL * VL;
        for (idx p = it->p0; p < it->p1; ++p) {
            idx k0 = block_start(it, p);
            epilogue e = low_epilogue(it, p, j);
            sweep_block(g, panel, j, columns, k0, block_start(it, p + 1) - k0, low_a(it, p), &e);
        }
        j += columns;
    }
    for (; j < end; j += NR) low_panel(it, panel, j);
}

/* c from few rows of a: each panel of b is packed where it is used, and never leaves the first
 * level, for writing b and reading it again would cost more than its few products. */
static int low_product(const fastnn_gemm_args *g) {
    idx blocks = k_blocks(g->k), step = most(1, AHEAD / (g->m * KC)), panels = ceil_div(g->n, NR);
    low it = {.args = g, .slot_bytes = line_bytes(most(NR * KC, FEW * SWEEP) + VL)};
    it.tasks = least(panels, g->threads == 1 ? 1 : 8 * g->threads);
    size_t a_bytes = line_bytes(least(g->k, step * KC) * g->m + least(step, blocks) * VL);
    char *memory = fastnn_scratch(a_bytes + (size_t)g->threads * it.slot_bytes);
    if (!memory) return FASTNN_NOMEM;
    it.a = (T *)memory;
    it.slots = memory + a_bytes;
    int status = FASTNN_OK;
    for (it.p0 = 0; it.p0 < blocks && status == FASTNN_OK; it.p0 = it.p1) {
        it.p1 = least(it.p0 + step, blocks);
        double depth = (double)(block_start(&it, it.p1) - block_start(&it, it.p0));
        status = fastnn_parallel_for(it.p1 - it.p0, pack_low_task, &it, g->threads,
                                     depth * (double)g->m / 2);
        double columns = (double)g->n * depth;
        if (status == FASTNN_OK)
            status = fastnn_parallel_for(it.tasks, low_task, &it, g->threads,
                                         columns * (0.25 + (double)g->m / 32));
    }
    fastnn_scratch_release(memory);
    return status;
}

int FN(gemm)(const fastnn_gemm_args *g) {
    if (g->m == 0 || g->n == 0) return FASTNN_OK;
    /* Panels are the tasks there; all numbers are the same either way. */
    if (g->m <= LOW && (g->threads == 1 || g->m <= FEW || g->n >= 2 * NR * g->threads))
        return low_product(g);
    idx n = least(g->n, NC), k = least(g->k, KC);
    product it = {.args = g, .slot_bytes = line_bytes(packed_rows(least(g->m, 10 * MR), k))};
    size_t b_bytes = line_bytes(packed_columns(n, k) + VL);
    char *memory = fastnn_scratch(b_bytes + (size_t)g->threads * it.slot_bytes);
    if (!memory) return FASTNN_NOMEM;
    it.b = (T *)memory;
    it.slots = memory + b_bytes;
    int status = FASTNN_OK;
    idx blocks = k_blocks(g->k);
    for (it.j0 = 0; it.j0 < g->n && status == FASTNN_OK; it.j0 += NC) {
        it.n = least(g->n - it.j0, NC);
        cut(&it, g->threads == 1 ? 1 : 4 * g->threads);
        for (idx p = 0; p < blocks && status == FASTNN_OK; ++p) {
            it.k0 = part(g->k, blocks, p);
            it.k = part(g->k, blocks, p + 1) - it.k0;
            it.last = p + 1 == blocks;
            double cost = (double)it.n * (double)it.k;
            status = fastnn_parallel_for(ceil_div(it.n, NR), pack_b_task, &it, g->threads, cost);
            if (status == FASTNN_OK)
                status = fastnn_parallel_for(it.row_parts * it.column_parts, multiply_task, &it,
                                             g->threads, cost * (double)g->m / 32);
        }
    }
    fastnn_scratch_release(memory);
    return status;
}

/* -- column sums ----------------------------------------------------------------------------- */

enum { COLUMNS = 64, UNASKED = 4096 };

static void colsum_task(void *ctx, idx task, int slot) {
    const fastnn_colsum_args *g = ctx;
    idx j0 = task * COLUMNS, n = least(g->n - j0, COLUMNS);
    double sum[COLUMNS] = {0};
    const T *a = (const T *)g->a + j0;
    for (idx i = 0; i < g->m; ++i, a += g->n) {
        if (i % UNASKED == 0 && fastnn_stopped()) return;
        for (idx j = 0; j < n; ++j) sum[j] += (double)a[j];
    }
    for (idx j = 0; j < n; ++j) ((T *)g->sum)[j0 + j] = (T)sum[j];
    (void)slot;
}

int FN(colsum)(const fastnn_colsum_args *g) {
    return fastnn_parallel_for(ceil_div(g->n, COLUMNS), colsum_task, (void *)g, g->threads,
                               (double)g->m * (double)g->n / 2);
}
