/* Recurrent layers: gradients of weights and input, from those of the gates.
 *
 * Weights' gradients are products over all lines (steps of sequences) of what the weights met, the
 * state before or the input, and a 1 for the bias, with the gates' gradients. The latter lie packed
 * already; tasks own rows of the result, which is kept transposed, for that way the few columns of
 * a small layer fill vectors. */
#include "recurrent.h"

typedef fastnn_recurrent_args args;
typedef recurrent_chunk chunk;

enum { STATE, INPUT };

enum { ROWS = 10 * MR }; /* of a task at most: packed they take 120 KiB, within the second level */

static idx sources(const args *v, int which) { return which == STATE ? v->hidden : v->inputs; }

static int wanted(const args *v, int which) {
    return which == STATE ? v->dw_hh || v->db_hh : v->dw_ih || v->db_ih;
}

static idx plane_of(const chunk *c, int which, idx gate) {
    return which == STATE && gate == c->gates - 1 ? c->planes - 1 : gate;
}

/* -- what the weights met -------------------------------------------------------------------- */

/* On one line; NULL for zeros, also beyond a sequence's end, where x may hold anything. */
static const T *met(const chunk *c, int which, idx gate, idx line) {
    const args *v = c->v;
    idx n = line % v->batch, t = time_of(v, c->first + line / v->batch);
    if (!active(v, n, t)) return NULL;
    if (which == INPUT) return (const T *)v->x + (t * v->batch + n) * v->inputs;
    if (v->cell == CLASSIC && gate == c->gates - 1) return c->rh + line * c->hp;
    if (t == first_time(v, n)) return v->h0 ? (const T *)v->h0 + n * v->hidden : NULL;
    return (const T *)v->y + ((v->reverse ? t + 1 : t - 1) * v->batch + n) * v->hidden;
}

/* Rows row .. row + m of these and of the bias' 1, of `depth` lines, as panels. */
static void pack_met(T *a, const chunk *c, int which, idx gate, idx line, idx depth, idx row,
                     idx m) {
    static const T zeros[MR + VB / sizeof(T)];
    const T *from[KC];
    for (idx i = 0; i < depth; ++i) from[i] = met(c, which, gate, line + i);
    idx size = sources(c->v, which), panels = row_panels(m);
    for (idx p = 0; p < panels; ++p) {
        idx first = part(m, panels, p), height = part(m, panels, p + 1) - first;
        T *to = a + first * depth;
        idx j0 = row + first, whole = j0 + round_up(height, VL) <= size;
        for (idx i = 0; i < depth; ++i, to += height) {
            const T *x = from[i] ? from[i] + j0 : zeros;
            if (whole) /* in ascending order: what is stored too much the next line mends */
                for (idx j = 0; j < height; j += VL) store(to + j, load(x + j));
            else
                for (idx j = 0; j < height; ++j) to[j] = j0 + j < size ? x[j] : (T)1;
        }
    }
}

/* -- weights' gradients ---------------------------------------------------------------------- */

/* Rows row .. row + m of the product `which`. */
static void add_products(const chunk *c, int which, idx row, idx m, T *a) {
    idx hp = c->hp, ldc = c->gates * hp, blocks = k_blocks(c->lines), panels = row_panels(m);
    int classic = which == STATE && c->v->cell == CLASSIC;
    for (idx q = 0; q < blocks; ++q) {
        idx line = part(c->lines, blocks, q), depth = part(c->lines, blocks, q + 1) - line;
        epilogue e = {.accumulate = c->begun || q > 0};
        for (idx gate = 0; gate < c->gates; ++gate) {
            if (gate == 0 || (classic && gate == c->gates - 1))
                pack_met(a, c, which, gate, line, depth, row, m);
            for (idx j = 0; j < hp; j += NR) {
                idx width = panel_width(hp, j);
                const T *b = gradient_panel(c, plane_of(c, which, gate), j) + line * width;
                T *to = c->sums[which] + row * ldc + gate * hp + j;
                for (idx p = 0; p < panels; ++p) {
                    idx first = part(m, panels, p), height = part(m, panels, p + 1) - first;
                    tiles[height][width == NR](depth, a + first * depth, b, to + first * ldc, ldc,
                                               &e);
                }
            }
        }
    }
}

/* to[j*line + i] = from[i*ld + j] for a block of at most VL x VL; `from` has whole vectors. */
static void transpose_block(T *to, idx line, const T *from, idx ld, idx rows, idx columns) {
    vec v[VB / sizeof(T)];
    for (idx i = 0; i < VL; ++i) v[i] = i < rows ? load(from + i * ld) : (vec){0};
    transpose(v);
    for (idx j = 0; j < columns; ++j) {
        if (rows == VL)
            store(to + j * line, v[j]);
        else
            memcpy(to + j * line, &v[j], (size_t)rows * sizeof(T));
    }
}

void FN(recurrent_finish)(const chunk *c) {
    const args *v = c->v;
    void *dw[] = {v->dw_hh, v->dw_ih}, *db[] = {v->db_hh, v->db_ih};
    idx h = v->hidden, ld = c->gates * c->hp;
    for (int which = STATE; which <= INPUT; ++which) {
        idx size = sources(v, which);
        const T *sums = c->sums[which];
        for (idx gate = 0; dw[which] && gate < c->gates; ++gate)
            for (idx j = 0; j < h; j += VL)
                for (idx i = 0; i < size; i += VL)
                    transpose_block((T *)dw[which] + (gate * h + j) * size + i, size,
                                    sums + i * ld + gate * c->hp + j, ld, least(size - i, VL),
                                    least(h - j, VL));
        for (idx gate = 0; db[which] && gate < c->gates; ++gate)
            memcpy((T *)db[which] + gate * h, sums + size * ld + gate * c->hp,
                   (size_t)h * sizeof(T));
    }
}

/* -- input's gradients ------------------------------------------------------------------------ */

enum { LINES = 4 * MR }; /* of a task: a panel of weights is read once for them */

static void input_gradients(const chunk *c, idx line, idx m, T *a) {
    const args *v = c->v;
    idx ip = padded_inputs(v), h = v->hidden, blocks = k_blocks(h);
    T *dx = a + packed_rows(LINES, h);
    for (idx gate = 0; gate < c->gates; ++gate) {
        pack_gradient_rows(a, c, gate, line, m);
        for (idx p = 0; p < blocks; ++p) {
            idx k = part(h, blocks, p), depth = part(h, blocks, p + 1) - k;
            multiply(m, ip, depth, a + m * k, c->w_ih + gate * ip * h + ip * k, dx, ip,
                     (epilogue){.accumulate = gate > 0 || p > 0});
        }
    }
    for (idx i = 0; i < m; ++i) {
        idx n = (line + i) % v->batch, t = time_of(v, c->first + (line + i) / v->batch);
        memcpy((T *)v->dx + (t * v->batch + n) * v->inputs, dx + i * ip,
               (size_t)v->inputs * sizeof(T));
    }
}

/* -- tasks ----------------------------------------------------------------------------------- */

typedef struct {
    const chunk *c;
    idx parts[2]; /* tasks of the products */
    size_t slot_bytes;
} work;

size_t FN(gradient_bytes)(const args *v) {
    idx product = packed_rows(ROWS, KC);
    idx input = packed_rows(LINES, v->hidden) + LINES * padded_inputs(v);
    return line_bytes(most(product, v->dx ? input : 0));
}

static void gradient_task(void *ctx, idx task, int slot) {
    const work *w = ctx;
    const chunk *c = w->c;
    T *memory = (T *)(c->slots + (size_t)slot * w->slot_bytes);
    for (int which = STATE; which <= INPUT; ++which) {
        if (task < w->parts[which]) {
            idx rows = sources(c->v, which) + 1, first = part(rows, w->parts[which], task);
            add_products(c, which, first, part(rows, w->parts[which], task + 1) - first, memory);
            return;
        }
        task -= w->parts[which];
    }
    input_gradients(c, task * LINES, least(c->lines - task * LINES, LINES), memory);
}

int FN(recurrent_gradients)(const chunk *c, int threads) {
    const args *v = c->v;
    work w = {.c = c, .slot_bytes = FN(gradient_bytes)(v)};
    double cost = 0, line = (double)c->lines * (double)c->gates * (double)c->hp / 32;
    for (int which = STATE; which <= INPUT; ++which) {
        idx rows = sources(v, which) + 1;
        if (!wanted(v, which)) continue;
        w.parts[which] = least(round_up(ceil_div(rows, ROWS), threads), ceil_div(rows, MR));
        cost += line * (double)rows;
    }
    idx tasks = w.parts[STATE] + w.parts[INPUT];
    if (v->dx && !c->dx_done) {
        tasks += ceil_div(c->lines, LINES);
        cost += line * (double)padded_inputs(v);
    }
    return fastnn_parallel_for(tasks, gradient_task, &w, threads, cost);
}
