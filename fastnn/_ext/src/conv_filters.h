/* Strips of pixels that gradients of the filters are summed over, and who sums them. */
#ifndef FASTNN_CONV_FILTERS_H
#define FASTNN_CONV_FILTERS_H

#include "conv_cells.h"

/* With fewer tasks than TASKS the batch is split too. Up to MANY, for small tasks leave no thread
 * waiting for another's last one, while partial sums take less than 1 MiB. */
enum { TASKS = 12, MANY = 48, PARTIAL = 1 << 18 };

static inline idx filters(const conv *v) { return v->K / v->groups; }
static inline idx channels(const conv *v) { return v->C / v->groups; }
static inline idx window(const conv *v) { return v->R * v->S; }
static inline idx pixels(const conv *v) { return v->P * v->Q; }

/* Splits of a batch of `strips` whose parts keep `sums` numbers each. */
static inline idx batch_splits(const conv *v, idx strips, idx parts, idx sums) {
    idx bound = v->workspace / 2 / (idx)sizeof(T) / (parts * sums);
    idx splits = most(ceil_div(TASKS, parts), least(ceil_div(MANY, parts), PARTIAL / parts / sums));
    return most(1, least(least(strips, splits), bound));
}

typedef struct {
    idx images, rows, cols; /* of the largest strip */
    idx row_blocks, col_blocks, strips;
} cut;

/* Whole images, rows of one, or pieces of rows: about `aim` pixels. */
static inline cut cut_pixels(const conv *v, idx aim) {
    cut c = {.images = most(1, least(v->N, aim / pixels(v)))};
    c.col_blocks = ceil_div(v->Q, 2 * aim) > 1 ? ceil_div(v->Q, aim) : 1;
    c.cols = ceil_div(v->Q, c.col_blocks);
    c.row_blocks = c.images > 1 ? 1 : ceil_div(v->P, most(1, aim / c.cols));
    c.rows = ceil_div(v->P, c.row_blocks);
    c.strips = ceil_div(v->N, c.images) * c.row_blocks * c.col_blocks;
    return c;
}

typedef struct {
    idx n, images, p, rows, q, cols;
} strip;

static inline strip strip_of(const conv *v, const cut *c, idx i) {
    idx col = i % c->col_blocks, row = i / c->col_blocks % c->row_blocks;
    idx n = i / c->col_blocks / c->row_blocks * c->images;
    strip s = {.n = n,
               .images = least(c->images, v->N - n),
               .p = part(v->P, c->row_blocks, row),
               .q = part(v->Q, c->col_blocks, col)};
    s.rows = part(v->P, c->row_blocks, row + 1) - s.p;
    s.cols = part(v->Q, c->col_blocks, col + 1) - s.q;
    return s;
}

/* Who sums what: tasks of `parts`, times `splits` of the batch. */
typedef struct {
    idx parts, splits;
    idx sums;   /* numbers of a task */
    T *partial; /* of all tasks, if the batch is split */
    char *slots;
    size_t slot_bytes;
} summing;

/* Run `sum` for every task and, if the batch is split, `write` for every part. `it` holds `s`. */
static inline int sum_in_tasks(const conv *v, summing *s, void *it, fastnn_task sum,
                               fastnn_task write, double products) {
    idx tasks = s->splits * s->parts;
    size_t partial = s->splits > 1 ? line_bytes(tasks * s->sums) : 0;
    char *memory = fastnn_scratch(partial + (size_t)v->threads * s->slot_bytes);
    if (!memory) return FASTNN_NOMEM;
    s->partial = (T *)memory;
    s->slots = memory + partial;
    int status = fastnn_parallel_for(tasks, sum, it, v->threads, products / 32);
    if (status == FASTNN_OK && s->splits > 1)
        status = fastnn_parallel_for(s->parts, write, it, v->threads,
                                     (double)tasks * (double)s->sums / 4);
    fastnn_scratch_release(memory);
    return status;
}

/* With taps as vectors, of x or turned around of dy, see conv_window_filter.c, and what is fastest.
 */
typedef enum { NO_WINDOWS, WINDOWS, TURNED_WINDOWS } conv_windows;
conv_windows FN(conv_windows_suit)(const conv *v);
int FN(conv_window_filter)(const conv *v, conv_windows how);

#endif
