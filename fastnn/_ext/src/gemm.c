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

int FN(gemm)(const fastnn_gemm_args *g) {
    if (g->m == 0 || g->n == 0) return FASTNN_OK;
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

enum { COLUMNS = 64 };

static void colsum_task(void *ctx, idx task, int slot) {
    const fastnn_colsum_args *g = ctx;
    idx j0 = task * COLUMNS, n = least(g->n - j0, COLUMNS);
    double sum[COLUMNS] = {0};
    const T *a = (const T *)g->a + j0;
    for (idx i = 0; i < g->m; ++i, a += g->n)
        for (idx j = 0; j < n; ++j) sum[j] += (double)a[j];
    for (idx j = 0; j < n; ++j) ((T *)g->sum)[j0 + j] = (T)sum[j];
    (void)slot;
}

int FN(colsum)(const fastnn_colsum_args *g) {
    return fastnn_parallel_for(ceil_div(g->n, COLUMNS), colsum_task, (void *)g, g->threads,
                               (double)g->m * (double)g->n / 2);
}
