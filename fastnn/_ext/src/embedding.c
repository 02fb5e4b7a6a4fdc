/* Rows of a table by number, and the sum of gradients per row of the table.
 *
 * Backward sorts the places of each row by counting, so that a task owns rows of dw and adds what
 * belongs to each in the order of the indices: no atomics, no order that threads could change. */
#include "simd.h"

enum { ROWS = 64, COLUMNS = 128 };

typedef fastnn_embedding_args embedding;

static void forward_task(void *ctx, idx task, int slot) {
    const embedding *v = ctx;
    size_t bytes = (size_t)v->e * sizeof(T);
    for (idx m = task * ROWS; m < least(v->m, (task + 1) * ROWS); ++m)
        memcpy((T *)v->y + m * v->e, (const T *)v->w + (idx)v->indices[m] * v->e, bytes);
    (void)slot;
}

int FN(embedding_forward)(const embedding *v) {
    return fastnn_parallel_for(ceil_div(v->m, ROWS), forward_task, (void *)v, v->threads,
                               (double)v->m * (5 + (double)v->e / 8));
}

/* `first[r]` to `first[r + 1]` are the entries of `place` that hold row r's places. */
typedef struct {
    const embedding *v;
    idx *first, *place;
} work;

static void backward_task(void *ctx, idx task, int slot) {
    const work *k = ctx;
    const embedding *v = k->v;
    for (idx r = task * ROWS; r < least(v->rows, (task + 1) * ROWS); ++r) {
        T *dw = (T *)v->dw + r * v->e;
        if (k->first[r] == k->first[r + 1]) {
            memset(dw, 0, (size_t)v->e * sizeof(T));
            continue;
        }
        for (idx e = 0; e < v->e; e += COLUMNS) {
            double s[COLUMNS] = {0};
            idx size = least(COLUMNS, v->e - e);
            for (idx i = k->first[r]; i < k->first[r + 1]; ++i) {
                const T *dy = (const T *)v->dy + k->place[i] * v->e + e;
                for (idx j = 0; j < size; ++j) s[j] += (double)dy[j];
            }
            for (idx j = 0; j < size; ++j) dw[e + j] = (T)s[j];
        }
    }
    (void)slot;
}

/* Counting sort; the places of the padding row are left out. */
static void sort_places(const work *k) {
    const embedding *v = k->v;
    idx *next = k->first + 1; /* next[r] is where row r's next place goes, at last first[r + 1] */
    memset(k->first, 0, (size_t)(v->rows + 2) * sizeof(idx));
    for (idx m = 0; m < v->m; ++m)
        if (v->indices[m] != v->padding) ++next[v->indices[m] + 1];
    for (idx r = 0; r < v->rows; ++r) next[r + 1] += next[r];
    for (idx m = 0; m < v->m; ++m)
        if (v->indices[m] != v->padding) k->place[next[v->indices[m]]++] = m;
}

int FN(embedding_backward)(const embedding *v) {
    size_t first = (size_t)(v->rows + 2) * sizeof(idx);
    char *block = fastnn_scratch(first + (size_t)v->m * sizeof(idx));
    if (!block) return FASTNN_NOMEM;
    work k = {v, (idx *)block, (idx *)(block + first)};
    sort_places(&k);
    int status = fastnn_parallel_for(ceil_div(v->rows, ROWS), backward_task, &k, v->threads,
                                     (double)(v->rows + v->m) * (5 + (double)v->e / 4));
    fastnn_scratch_release(block);
    return status;
}
