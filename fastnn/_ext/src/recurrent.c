/* Recurrent layers: plain, LSTM and GRU.
 *
 * A task owns some sequences and runs all their steps, so that nothing waits inside the time loop.
 * A step is two matrix products, of the sequences' inputs and states (rows) with the packed
 * weights, then the gates. Arrays inside are padded: a plane has `hp` columns for H hidden units,
 * a row of `planes` planes per step and sequence is the tape that backward reads. What is in the
 * padding never enters a sum. The weights' gradients are products over all steps and sequences,
 * made from the gates' gradients `dg` by the caller. */
#include "gemm.h"
#include "vgates.h"

enum { PAD = 16 };        /* hp is a multiple: whole vectors of every instruction set */
enum { TASK_PANELS = 4 }; /* of rows of a task at most: a panel of weights is read once for them */

typedef fastnn_recurrent_args args;

/* -- cells ----------------------------------------------------------------------------------- */

/* Gates from their sums `g`, in place, and the next states. */
typedef void forward_row(T *g, T *h, T *c, idx hp);

/* `d`, gradients of the sums, from those of the states, which become those of the states before as
 * far as they do not go through the recurrent product; `before`: the state on the tape, then. */
typedef void backward_row(const T *g, const T *before, T *d, T *dh, T *dc, idx hp);

#define EACH_VECTOR for (idx j = 0; j < hp; j += VL)
#define PLANE(p, i) ((p) + (i) * hp + j)

static inline vec slope_sigmoid(vec s) { return s * (splat(1) - s); }
static inline vec slope_tanh(vec t) { return splat(1) - t * t; }

static void tanh_forward(T *g, T *h, T *c, idx hp) {
    EACH_VECTOR {
        vec s = gate_tanh(load(g + j));
        store(g + j, s);
        store(h + j, s);
    }
    (void)c;
}

static void tanh_backward(const T *g, const T *before, T *d, T *dh, T *dc, idx hp) {
    EACH_VECTOR {
        store(d + j, load(dh + j) * slope_tanh(load(g + j)));
        store(dh + j, splat(0));
    }
    (void)before, (void)dc;
}

static void relu_forward(T *g, T *h, T *c, idx hp) {
    EACH_VECTOR {
        vec a = load(g + j), s = select(a <= splat(0), splat(0), a);
        store(g + j, s);
        store(h + j, s);
    }
    (void)c;
}

static void relu_backward(const T *g, const T *before, T *d, T *dh, T *dc, idx hp) {
    EACH_VECTOR {
        store(d + j, select(load(g + j) <= splat(0), splat(0), load(dh + j)));
        store(dh + j, splat(0));
    }
    (void)before, (void)dc;
}

/* Planes: i f g o c. */
static void lstm_forward(T *g, T *h, T *c, idx hp) {
    EACH_VECTOR {
        vec in = gate_sigmoid(load(PLANE(g, 0))), forget = gate_sigmoid(load(PLANE(g, 1)));
        vec cell = gate_tanh(load(PLANE(g, 2))), output = gate_sigmoid(load(PLANE(g, 3)));
        vec state = forget * load(c + j) + in * cell;
        store(PLANE(g, 0), in);
        store(PLANE(g, 1), forget);
        store(PLANE(g, 2), cell);
        store(PLANE(g, 3), output);
        store(PLANE(g, 4), state);
        store(c + j, state);
        store(h + j, output * gate_tanh(state));
    }
}

static void lstm_backward(const T *g, const T *before, T *d, T *dh, T *dc, idx hp) {
    EACH_VECTOR {
        vec in = load(PLANE(g, 0)), forget = load(PLANE(g, 1)), cell = load(PLANE(g, 2));
        vec output = load(PLANE(g, 3)), u = gate_tanh(load(PLANE(g, 4))), up = load(dh + j);
        vec down = load(dc + j) + up * output * slope_tanh(u);
        store(PLANE(d, 0), down * cell * slope_sigmoid(in));
        store(PLANE(d, 1), down * load(before + j) * slope_sigmoid(forget));
        store(PLANE(d, 2), down * in * slope_tanh(cell));
        store(PLANE(d, 3), up * u * slope_sigmoid(output));
        store(dc + j, down * forget);
        store(dh + j, splat(0));
    }
}

/* Planes: r z n q h, q the recurrent part of n. */
static void gru_forward(T *g, T *h, T *c, idx hp) {
    EACH_VECTOR {
        vec reset = gate_sigmoid(load(PLANE(g, 0))), update = gate_sigmoid(load(PLANE(g, 1)));
        vec fresh = gate_tanh(load(PLANE(g, 2)) + reset * load(PLANE(g, 3)));
        vec state = (splat(1) - update) * fresh + update * load(h + j);
        store(PLANE(g, 0), reset);
        store(PLANE(g, 1), update);
        store(PLANE(g, 2), fresh);
        store(PLANE(g, 4), state);
        store(h + j, state);
    }
    (void)c;
}

static void gru_backward(const T *g, const T *before, T *d, T *dh, T *dc, idx hp) {
    EACH_VECTOR {
        vec reset = load(PLANE(g, 0)), update = load(PLANE(g, 1)), fresh = load(PLANE(g, 2));
        vec up = load(dh + j), dn = up * (splat(1) - update) * slope_tanh(fresh);
        store(PLANE(d, 0), dn * load(PLANE(g, 3)) * slope_sigmoid(reset));
        store(PLANE(d, 1), up * (load(before + j) - fresh) * slope_sigmoid(update));
        store(PLANE(d, 2), dn);
        store(PLANE(d, 3), dn * reset);
        store(dh + j, up * update);
    }
    (void)dc;
}

/* Planes: r z n h. r is made first, by `classic_reset`, for n's product is with r * h. */
static void classic_forward(T *g, T *h, T *c, idx hp) {
    EACH_VECTOR {
        vec update = gate_sigmoid(load(PLANE(g, 1))), fresh = gate_tanh(load(PLANE(g, 2)));
        vec state = (splat(1) - update) * fresh + update * load(h + j);
        store(PLANE(g, 1), update);
        store(PLANE(g, 2), fresh);
        store(PLANE(g, 3), state);
        store(h + j, state);
    }
    (void)c;
}

static void classic_reset(T *g, const T *h, T *u, idx hp) {
    EACH_VECTOR {
        vec reset = gate_sigmoid(load(g + j));
        store(g + j, reset);
        store(u + j, reset * load(h + j));
    }
}

/* All but the reset gate, which `classic_reset_back` does with `u`, the gradient of r * h. */
static void classic_backward(const T *g, const T *before, T *d, T *dh, T *dc, idx hp) {
    EACH_VECTOR {
        vec update = load(PLANE(g, 1)), fresh = load(PLANE(g, 2)), up = load(dh + j);
        store(PLANE(d, 1), up * (load(before + j) - fresh) * slope_sigmoid(update));
        store(PLANE(d, 2), up * (splat(1) - update) * slope_tanh(fresh));
        store(dh + j, up * update);
    }
    (void)dc;
}

/* Also turns u into r * h, which the gradient of n's weights needs. */
static void classic_reset_back(const T *g, const T *before, T *d, T *dh, T *u, idx hp) {
    EACH_VECTOR {
        vec reset = load(g + j), state = load(before + j), up = load(u + j);
        store(d + j, up * state * slope_sigmoid(reset));
        store(dh + j, load(dh + j) + up * reset);
        store(u + j, reset * state);
    }
}

/* In the order of GATES in ops/recurrent/spec.py. */
enum { CLASSIC = 4 };

typedef struct {
    int gates, planes, state; /* `state`: the plane whose last value a step's gates use */
    int grads;                /* planes of dg */
    int last_plane;           /* where the last gate's recurrent product goes */
    forward_row *forward;
    backward_row *backward;
} cell;

static const cell cells[] = {
    {1, 1, 0, 1, 0, tanh_forward, tanh_backward},
    {1, 1, 0, 1, 0, relu_forward, relu_backward},
    {4, 5, 4, 4, 3, lstm_forward, lstm_backward},
    {3, 5, 4, 4, 3, gru_forward, gru_backward},
    {3, 4, 3, 3, 2, classic_forward, classic_backward},
};

/* -- products of the rows of a task ------------------------------------------------------------ */

/* m rows of `from`, k deep, as panels for each block of k. */
static void pack_rows(T *a, const T *from, idx m, idx k, idx line) {
    idx blocks = k_blocks(k);
    for (idx p = 0; p < blocks; ++p) {
        idx k0 = part(k, blocks, p), depth = part(k, blocks, p + 1) - k0;
        pack_a(a + m * k0, from + k0, m, depth, line, 1);
    }
}

/* c[m][hp] (+)= a b (+ bias), b packed by `pack_weights`. */
static void multiply_rows(idx m, idx hp, idx k, const T *a, const T *b, T *c, idx ldc,
                          int accumulate, const T *bias) {
    idx blocks = k_blocks(k);
    for (idx p = 0; p < blocks; ++p) {
        idx k0 = part(k, blocks, p), depth = part(k, blocks, p + 1) - k0;
        epilogue e = {.accumulate = accumulate || p > 0};
        if (p + 1 == blocks) e.column_bias = bias;
        multiply(m, hp, depth, a + m * k0, b + hp * k0, c, ldc, e);
    }
}

/* -- one pass over the sequences --------------------------------------------------------------- */

typedef struct {
    const args *v;
    const cell *cell;
    idx hp;
    idx tasks;
    T *w_ih, *w_hh; /* packed, hp columns per gate */
    T *b_ih, *b_hh; /* padded, added together where the products are */
    char *slots;
    size_t slot_bytes;
} pass;

/* The rows of one task, and its memory. */
typedef struct {
    idx first, m;
    T *a, *b;     /* packed inputs and states */
    T *h, *c, *u; /* m rows of hp */
    T *start;     /* states before the first step, likewise */
    T *sums;      /* m rows of planes: gates without a tape, or their gradients */
} rows;

static inline idx active(const args *v, idx n, idx t) { return !v->lengths || t < v->lengths[n]; }

/* The first step of sequence n. */
static inline idx first_step(const args *v, idx n) {
    if (!v->reverse) return 0;
    return v->lengths ? v->lengths[n] - 1 : v->steps - 1;
}

static inline T *tape_row(const pass *it, idx t, idx n) {
    return (T *)it->v->tape + (t * it->v->batch + n) * it->cell->planes * it->hp;
}

static inline idx row_elements(const pass *it) { return 4 * it->hp + it->cell->planes * it->hp; }

static idx task_rows(const pass *it, idx task) { return part(it->v->batch, it->tasks, task); }

/* m rows of hp from rows of H, or zeros. */
static void pad_rows(T *to, const void *from, idx first, idx m, idx h, idx hp) {
    memset(to, 0, (size_t)(m * hp) * sizeof(T));
    for (idx i = 0; from && i < m; ++i)
        memcpy(to + i * hp, (const T *)from + (first + i) * h, (size_t)h * sizeof(T));
}

static void unpad_rows(void *to, const T *from, idx first, idx m, idx h, idx hp) {
    for (idx i = 0; to && i < m; ++i)
        memcpy((T *)to + (first + i) * h, from + i * hp, (size_t)h * sizeof(T));
}

static rows take_rows(const pass *it, idx task, int slot) {
    idx first = task_rows(it, task), m = task_rows(it, task + 1) - first, hp = it->hp;
    T *memory = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    rows r = {.first = first, .m = m, .a = memory};
    r.b = r.a + packed_rows(m, it->v->inputs);
    r.h = r.b + packed_rows(m, it->v->hidden);
    r.c = r.h + m * hp;
    r.u = r.c + m * hp;
    r.start = r.u + m * hp;
    r.sums = r.start + m * hp;
    return r;
}

/* Give every task its rows and memory, then weights packed by `pack`, then run `task`. */
static int run_pass(pass *it, fastnn_task pack, idx inputs, fastnn_task task) {
    const args *v = it->v;
    it->cell = &cells[v->cell];
    it->hp = round_up(v->hidden, PAD);
    /* As few panels per task as give every thread one; results do not depend on it. */
    it->tasks = round_up(ceil_div(v->batch, TASK_PANELS * MR), v->threads);
    it->tasks = least(it->tasks, v->batch);
    idx m = ceil_div(v->batch, it->tasks), gates = it->cell->gates;
    size_t in = line_bytes(gates * it->hp * inputs);
    size_t recurrent = line_bytes(gates * it->hp * v->hidden), bias = line_bytes(gates * it->hp);
    it->slot_bytes =
        line_bytes(packed_rows(m, v->inputs) + packed_rows(m, v->hidden) + m * row_elements(it));
    char *memory = fastnn_scratch(in + recurrent + 2 * bias + (size_t)v->threads * it->slot_bytes);
    if (!memory) return FASTNN_NOMEM;
    it->w_ih = (T *)memory;
    it->w_hh = (T *)(memory + in);
    it->b_ih = (T *)(memory + in + recurrent);
    it->b_hh = (T *)(memory + in + recurrent + bias);
    it->slots = memory + in + recurrent + 2 * bias;
    double weights = (double)gates * (double)it->hp * (double)(inputs + v->hidden);
    int status =
        fastnn_parallel_for(gates * ceil_div(it->hp, NR), pack, it, v->threads, weights / 2);
    if (status == FASTNN_OK)
        status = fastnn_parallel_for(it->tasks, task, it, v->threads,
                                     weights * (double)v->steps * (double)v->batch / 32);
    fastnn_scratch_release(memory);
    return status;
}

/* -- forward --------------------------------------------------------------------------------- */

/* One panel of a gate's columns, for each block of k: element (k, j) is w[j][k]. */
static void pack_forward_panel(T *to, const T *w, idx gate, idx j, idx k, const args *v, idx hp) {
    idx blocks = k_blocks(k);
    const T *from = w + (gate * v->hidden + j) * k;
    for (idx p = 0; p < blocks; ++p) {
        idx k0 = part(k, blocks, p), depth = part(k, blocks, p + 1) - k0;
        pack_lines(to + gate * hp * k + hp * k0 + j * depth, panel_width(hp, j), from + k0,
                   least(v->hidden - j, NR), k, depth);
    }
}

static void pack_forward_task(void *ctx, idx task, int slot) {
    const pass *it = ctx;
    const args *v = it->v;
    idx panels = ceil_div(it->hp, NR), gate = task / panels, j = task % panels * NR;
    pack_forward_panel(it->w_ih, v->w_ih, gate, j, v->inputs, v, it->hp);
    pack_forward_panel(it->w_hh, v->w_hh, gate, j, v->hidden, v, it->hp);
    int apart = gate == it->cell->gates - 1 && it->cell->last_plane != gate;
    for (idx i = j; i < least(j + NR, it->hp); ++i) {
        T in = 0, recurrent = 0;
        if (v->b_ih && i < v->hidden) in = ((const T *)v->b_ih)[gate * v->hidden + i];
        if (v->b_hh && i < v->hidden) recurrent = ((const T *)v->b_hh)[gate * v->hidden + i];
        it->b_ih[gate * it->hp + i] = apart ? in : in + recurrent;
        it->b_hh[gate * it->hp + i] = recurrent;
    }
    (void)slot;
}

/* Sums of gate `gate`, recurrent part, for the packed states in r->b. */
static void add_recurrent(const pass *it, const rows *r, idx gate, T *g) {
    idx plane = gate == it->cell->gates - 1 ? it->cell->last_plane : gate;
    idx h = it->v->hidden, hp = it->hp, ldc = it->cell->planes * hp;
    multiply_rows(r->m, hp, h, r->b, it->w_hh + gate * hp * h, g + plane * hp, ldc, plane == gate,
                  plane == gate ? NULL : it->b_hh + gate * hp);
}

static void forward_step(const pass *it, const rows *r, idx t, T *g) {
    const args *v = it->v;
    idx hp = it->hp, line = it->cell->planes * hp, i = v->inputs, gates = it->cell->gates;
    pack_rows(r->a, (const T *)v->x + (t * v->batch + r->first) * i, r->m, i, i);
    for (idx gate = 0; gate < gates; ++gate)
        multiply_rows(r->m, hp, i, r->a, it->w_ih + gate * hp * i, g + gate * hp, line, 0,
                      it->b_ih + gate * hp);
    pack_rows(r->b, r->h, r->m, v->hidden, hp);
    int classic = v->cell == CLASSIC;
    for (idx gate = 0; gate < gates - classic; ++gate) add_recurrent(it, r, gate, g);
    if (classic) {
        for (idx n = 0; n < r->m; ++n)
            classic_reset(g + n * line, r->h + n * hp, r->u + n * hp, hp);
        pack_rows(r->b, r->u, r->m, v->hidden, hp);
        add_recurrent(it, r, gates - 1, g);
    }
    for (idx n = 0; n < r->m; ++n) {
        T *y = (T *)v->y + (t * v->batch + r->first + n) * v->hidden;
        if (active(v, r->first + n, t)) {
            it->cell->forward(g + n * line, r->h + n * hp, r->c + n * hp, hp);
            memcpy(y, r->h + n * hp, (size_t)v->hidden * sizeof(T));
        } else {
            memset(y, 0, (size_t)v->hidden * sizeof(T));
        }
    }
}

static void forward_task(void *ctx, idx task, int slot) {
    const pass *it = ctx;
    const args *v = it->v;
    rows r = take_rows(it, task, slot);
    pad_rows(r.h, v->h0, r.first, r.m, v->hidden, it->hp);
    pad_rows(r.c, v->c0, r.first, r.m, v->hidden, it->hp);
    for (idx step = 0; step < v->steps; ++step) {
        idx t = v->reverse ? v->steps - 1 - step : step;
        forward_step(it, &r, t, v->tape ? tape_row(it, t, r.first) : r.sums);
    }
    unpad_rows(v->h, r.h, r.first, r.m, v->hidden, it->hp);
    unpad_rows(v->c, r.c, r.first, r.m, v->hidden, it->hp);
}

int FN(recurrent_forward)(const args *v) {
    pass it = {.v = v};
    return run_pass(&it, pack_forward_task, v->inputs, forward_task);
}

/* -- backward -------------------------------------------------------------------------------- */

/* One panel of columns of the state: element (k, j) is w_hh[k][j] of the gate. */
static void pack_backward_task(void *ctx, idx task, int slot) {
    const pass *it = ctx;
    const args *v = it->v;
    idx panels = ceil_div(it->hp, NR), gate = task / panels, j = task % panels * NR;
    idx h = v->hidden, blocks = k_blocks(h);
    const T *from = (const T *)v->w_hh + gate * h * h + j;
    for (idx p = 0; p < blocks; ++p) {
        idx k0 = part(h, blocks, p), depth = part(h, blocks, p + 1) - k0;
        pack_columns(it->w_hh + gate * it->hp * h + it->hp * k0 + j * depth, panel_width(it->hp, j),
                     from + k0 * h, least(h - j, NR), h, depth);
    }
    (void)slot;
}

/* to (+)= w_hh^T of a gate's gradients. */
static void back_through(const pass *it, const rows *r, idx gate, T *to, int accumulate) {
    idx plane = gate == it->cell->gates - 1 ? it->cell->last_plane : gate;
    idx h = it->v->hidden, hp = it->hp;
    pack_rows(r->b, r->sums + plane * hp, r->m, h, it->cell->grads * hp);
    multiply_rows(r->m, hp, h, r->b, it->w_hh + gate * hp * h, to, hp, accumulate, NULL);
}

/* The tape's state before the step of row n at t. */
static const T *state_before(const pass *it, const rows *r, idx n, idx t) {
    if (t == first_step(it->v, r->first + n)) return r->start + n * it->hp;
    idx before = it->v->reverse ? t + 1 : t - 1;
    return tape_row(it, before, r->first + n) + it->cell->state * it->hp;
}

static void reset_step(const pass *it, const rows *r, idx t) {
    const args *v = it->v;
    idx hp = it->hp, line = it->cell->grads * hp;
    back_through(it, r, it->cell->gates - 1, r->u, 0);
    for (idx n = 0; n < r->m; ++n) {
        T *u = r->u + n * hp;
        if (active(v, r->first + n, t))
            classic_reset_back(tape_row(it, t, r->first + n), state_before(it, r, n, t),
                               r->sums + n * line, r->h + n * hp, u, hp);
        else
            memset(u, 0, (size_t)hp * sizeof(T));
        memcpy((T *)v->rh + (t * v->batch + r->first + n) * v->hidden, u,
               (size_t)v->hidden * sizeof(T));
    }
}

static void backward_step(const pass *it, const rows *r, idx t) {
    const args *v = it->v;
    idx h = v->hidden, hp = it->hp, grads = it->cell->grads, line = grads * hp;
    for (idx n = 0; n < r->m; ++n) {
        T *d = r->sums + n * line, *dh = r->h + n * hp;
        if (!active(v, r->first + n, t)) {
            memset(d, 0, (size_t)line * sizeof(T));
            continue;
        }
        const T *dy = (const T *)v->dy + (t * v->batch + r->first + n) * h;
        for (idx j = 0; v->dy && j < h; ++j) dh[j] += dy[j];
        it->cell->backward(tape_row(it, t, r->first + n), state_before(it, r, n, t), d, dh,
                           r->c + n * hp, hp);
    }
    int classic = v->cell == CLASSIC;
    if (classic) reset_step(it, r, t);
    for (idx n = 0; n < r->m; ++n)
        for (idx plane = 0; plane < grads; ++plane)
            memcpy((T *)v->dg + ((t * v->batch + r->first + n) * grads + plane) * h,
                   r->sums + n * line + plane * hp, (size_t)h * sizeof(T));
    for (idx gate = 0; gate < it->cell->gates - classic; ++gate) back_through(it, r, gate, r->h, 1);
}

static void backward_task(void *ctx, idx task, int slot) {
    const pass *it = ctx;
    const args *v = it->v;
    rows r = take_rows(it, task, slot);
    pad_rows(r.h, v->dh, r.first, r.m, v->hidden, it->hp);
    pad_rows(r.c, v->dc, r.first, r.m, v->hidden, it->hp);
    pad_rows(r.start, v->start, r.first, r.m, v->hidden, it->hp);
    for (idx step = v->steps - 1; step >= 0; --step)
        backward_step(it, &r, v->reverse ? v->steps - 1 - step : step);
    unpad_rows(v->dh0, r.h, r.first, r.m, v->hidden, it->hp);
    unpad_rows(v->dc0, r.c, r.first, r.m, v->hidden, it->hp);
}

int FN(recurrent_backward)(const args *v) {
    pass it = {.v = v};
    return run_pass(&it, pack_backward_task, 0, backward_task);
}
