/* What the two halves of a recurrent layer's backward pass share. */
#ifndef FASTNN_RECURRENT_H
#define FASTNN_RECURRENT_H

#include "gemm.h"

/* In the order of GATES in ops/recurrent/spec.py; GRU's last gate has a plane for each part. */
enum { RNN_TANH, RNN_RELU, LSTM, GRU, CLASSIC };

/* Gradients of the gates of some steps of all sequences, a step of a sequence being a line. They
 * lie as the packed operand of the weights' gradients, panels of NR columns for each plane:
 * `gradient_panel` finds them. */
typedef struct {
    const fastnn_recurrent_args *v;
    idx hp;            /* columns of a plane */
    idx gates, planes; /* the last plane is that of the last gate's recurrent part */
    idx first, lines;  /* of the loop's steps; lines: steps times sequences */
    int begun;         /* `sums` hold those of other steps */
    T *dg, *rh;        /* rh: for the classic GRU what the last gate's weights met, lines of hp */
    T *sums[2];        /* gradients so far, transposed, the bias last: for the state, the input */
    int dx_done;       /* by the steps themselves */
    const T *w_ih;     /* packed by `pack_back` */
    char *slots;       /* memory of `gradient_bytes` for each thread */
} recurrent_chunk;

static inline idx active(const fastnn_recurrent_args *v, idx n, idx t) {
    return !v->lengths || t < v->lengths[n];
}

/* Time of the loop's step s. */
static inline idx time_of(const fastnn_recurrent_args *v, idx s) {
    return v->reverse ? v->steps - 1 - s : s;
}

/* The first step of sequence n. */
static inline idx first_time(const fastnn_recurrent_args *v, idx n) {
    if (!v->reverse) return 0;
    return v->lengths ? v->lengths[n] - 1 : v->steps - 1;
}

/* Lines of memory for a panel: odd, or panels and planes would fall on one set of a cache. */
static inline idx panel_lines(idx lines) { return lines | 1; }

/* Columns j .. of a plane, for line 0; those of the next line are a panel's width further on. */
static inline T *gradient_panel(const recurrent_chunk *c, idx plane, idx j) {
    return c->dg + (plane * c->hp + j) * panel_lines(c->lines);
}

/* m lines of a plane as panels of rows for each block of its columns. */
static inline void pack_gradient_rows(T *a, const recurrent_chunk *c, idx plane, idx line, idx m) {
    idx h = c->v->hidden, blocks = k_blocks(h), panels = row_panels(m), count;
    for (idx q = 0; q < blocks; ++q) {
        idx k = part(h, blocks, q), end = part(h, blocks, q + 1), depth = end - k;
        for (idx p = 0; p < panels; ++p) {
            idx first = part(m, panels, p), height = part(m, panels, p + 1) - first;
            T *to = a + m * k + first * depth;
            for (idx j = k; j < end; j += count, to += count * height) {
                idx j0 = j / NR * NR, width = panel_width(c->hp, j0);
                const T *from = gradient_panel(c, plane, j0) + (line + first) * width + (j - j0);
                count = least(j0 + width, end) - j;
                if (height == 1)
                    memcpy(to, from, (size_t)count * sizeof(T));
                else
                    pack_lines(to, height, from, height, width, count);
            }
        }
    }
}

/* Columns that dx takes in a packed product. */
static inline idx padded_inputs(const fastnn_recurrent_args *v) { return round_up(v->inputs, VL); }

size_t FN(gradient_bytes)(const fastnn_recurrent_args *v);

/* dx of these steps, and their part of the weights' gradients. */
int FN(recurrent_gradients)(const recurrent_chunk *c, int threads);

/* The weights' gradients when all steps are in. */
void FN(recurrent_finish)(const recurrent_chunk *c);

#endif
