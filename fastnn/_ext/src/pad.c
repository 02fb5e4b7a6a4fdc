/* Padding of any number of axes: forward a task is a block of rows, backward one plane. */
#include "sums.h"

enum { TASK = 16384 };

typedef fastnn_pad_args pad;

/* The index of x behind index o of the result along one axis; -1 for the constant. */
static inline idx source(const pad *v, int axis, idx o) {
    idx size = v->size[axis], i = o - v->before[axis];
    if (i >= 0 && i < size) return i;
    if (v->mode == FASTNN_PAD_CONSTANT) return -1;
    if (v->mode == FASTNN_PAD_REPLICATE) return i < 0 ? 0 : size - 1;
    return i < 0 ? -i : 2 * (size - 1) - i;
}

static inline idx out_size(const pad *v, int axis) {
    return v->before[axis] + v->size[axis] + v->after[axis];
}

/* The row of x behind a row of the result, both counted over all axes but the last; or -1. */
static idx source_row(const pad *v, idx row) {
    idx at = 0, step = 1;
    for (int axis = v->axes - 2; axis >= 0; --axis) {
        idx size = out_size(v, axis), i = source(v, axis, row % size);
        if (i < 0) return -1;
        at += i * step;
        row /= size;
        step *= v->size[axis];
    }
    return at;
}

static idx rows_of(const pad *v, int from) {
    idx rows = 1;
    for (int axis = from; axis < v->axes - 1; ++axis) rows *= out_size(v, axis);
    return rows;
}

static void edges(const pad *v, const T *row, T *to) {
    int last = v->axes - 1;
    idx before = v->before[last], end = before + v->size[last], out = out_size(v, last);
    int fill = v->mode == FASTNN_PAD_CONSTANT;
    T value = (T)v->value;
    for (idx j = 0; j < before; ++j) to[j] = fill ? value : row[source(v, last, j)];
    for (idx j = end; j < out; ++j) to[j] = fill ? value : row[source(v, last, j)];
}

static idx block_rows(const pad *v) { return most(1, TASK / out_size(v, v->axes - 1)); }

/* Rows of at least a vector end in one that overlaps the one before it. */
static inline void copy_row(T *to, const T *from, idx n) {
    if (n < VL) {
        for (idx i = 0; i < n; ++i) to[i] = from[i];
        return;
    }
    for (idx i = 0; i + VL < n; i += VL) store(to + i, load(from + i));
    store(to + n - VL, load(from + n - VL));
}

/* Row r of the result from row `from` of x, or if that is -1 the constant. */
static inline void write_row(const pad *v, idx r, idx from) {
    int last = v->axes - 1;
    idx size = v->size[last], out = out_size(v, last);
    T *to = (T *)v->to + r * out;
    if (from < 0) {
        for (idx j = 0; j < out; ++j) to[j] = (T)v->value;
        return;
    }
    const T *row = (const T *)v->from + from * size;
    copy_row(to + v->before[last], row, size);
    edges(v, row, to);
}

static void forward_task(void *ctx, idx task, int slot) {
    const pad *v = ctx;
    int up = v->axes - 2;
    idx first = task * block_rows(v), stop = least(first + block_rows(v), rows_of(v, 0)), run;
    for (idx r = first; r < stop; r += run) {
        /* Next to a row inside is the next row: one search for all of them. */
        idx h = up < 0 ? 0 : r % out_size(v, up) - v->before[up], from = source_row(v, r);
        run = up < 0 || h < 0 || h >= v->size[up] ? 1 : least(stop - r, v->size[up] - h);
        for (idx i = 0; i < run; ++i) write_row(v, r + i, from < 0 ? -1 : from + i);
    }
    (void)slot;
}

int FN(pad_forward)(const pad *v) {
    idx rows = rows_of(v, 0);
    double work = (double)rows * (double)(out_size(v, v->axes - 1) + 40);
    return fastnn_parallel_for(ceil_div(rows, block_rows(v)), forward_task, (void *)v, v->threads,
                               work / 4);
}

/* The row of the result in which row r of x is, both counted over all axes but the last. */
static idx row_inside(const pad *v, idx r) {
    idx at = 0, step = 1;
    for (int axis = v->axes - 2; axis >= 0; --axis) {
        at += (r % v->size[axis] + v->before[axis]) * step;
        r /= v->size[axis];
        step *= out_size(v, axis);
    }
    return at;
}

/* Without anything to add up a row of dx is a row of dy: a task is a block of them. */
static void crop_task(void *ctx, idx task, int slot) {
    const pad *v = ctx;
    int last = v->axes - 1;
    idx size = v->size[last], out = out_size(v, last), block = most(1, TASK / size), rows = 1, run;
    for (int axis = 0; axis < last; ++axis) rows *= v->size[axis];
    idx stop = least((task + 1) * block, rows);
    for (idx r = task * block; r < stop; r += run) {
        run = last == 0 ? 1 : least(stop - r, v->size[last - 1] - r % v->size[last - 1]);
        const T *from = (const T *)v->from + row_inside(v, r) * out + v->before[last];
        for (idx i = 0; i < run; ++i) copy_row((T *)v->to + (r + i) * size, from + i * out, size);
    }
    (void)slot;
}

/* Add a row of dy to the row of dx that it came from. */
static void fold(const pad *v, const T *restrict dy, T *restrict dx) {
    int last = v->axes - 1;
    idx before = v->before[last], size = v->size[last], after = v->after[last];
    for (idx i = 0; i < size; ++i) dx[i] += dy[before + i];
    if (v->mode == FASTNN_PAD_REPLICATE) {
        dx[0] += (T)row_sum(dy, before);
        dx[size - 1] += (T)row_sum(dy + before + size, after);
    } else if (v->mode == FASTNN_PAD_REFLECT) {
        for (idx j = 1; j <= before; ++j) dx[j] += dy[before - j];
        for (idx j = 1; j <= after; ++j) dx[size - 1 - j] += dy[before + size - 1 + j];
    }
}

static void backward_task(void *ctx, idx plane, int slot) {
    const pad *v = ctx;
    idx rows = rows_of(v, 1), size = v->size[v->axes - 1], out = out_size(v, v->axes - 1), area = 1;
    for (int axis = 1; axis < v->axes; ++axis) area *= v->size[axis];
    memset((T *)v->to + plane * area, 0, (size_t)area * sizeof(T));
    for (idx r = plane * rows; r < (plane + 1) * rows; ++r) {
        idx to = source_row(v, r);
        if (to >= 0) fold(v, (const T *)v->from + r * out, (T *)v->to + to * size);
    }
    (void)slot;
}

/* The first axis has no padding: its entries are the planes. */
int FN(pad_backward)(const pad *v) {
    double work = (double)rows_of(v, 0) * (double)(out_size(v, v->axes - 1) + 40);
    if (v->mode == FASTNN_PAD_CONSTANT) {
        idx size = v->size[v->axes - 1], rows = 1;
        for (int axis = 0; axis < v->axes - 1; ++axis) rows *= v->size[axis];
        return fastnn_parallel_for(ceil_div(rows, most(1, TASK / size)), crop_task, (void *)v,
                                   v->threads, work / 4);
    }
    return fastnn_parallel_for(v->size[0], backward_task, (void *)v, v->threads, work / 2);
}
