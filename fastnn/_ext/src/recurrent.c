/* Recurrent layers: plain, LSTM and GRU.
 *
 * A task owns some sequences and runs all their steps, so that nothing waits inside the time loop.
 * A step is two matrix products, of the sequences' inputs and states (rows) with the packed
 * weights, then the gates. Arrays inside are padded: a plane has `hp` columns for H hidden units,
 * a row of `planes` planes per step and sequence is the tape that backward reads. What is in the
 * padding never enters a sum. Backward goes through the steps in chunks, whose gates' gradients
 * become those of weights and input (recurrent_gradients.c) while they are in the cache. */
#include "recurrent.h"
#include "vgates.h"

enum { PAD = 16 };        /* hp is a multiple: whole vectors of every instruction set */
enum { TASK_PANELS = 4 }; /* of rows of a task at most: a panel of weights is read once for them */

typedef fastnn_recurrent_args args;

/* -- cells ----------------------------------------------------------------------------------- */

/* Gates from their sums `a` to `g`, the same place or another, and the next states. */
typedef void forward_row(const T *a, T *g, T *h, T *c, idx hp);

/* `d`, gradients of the sums, from those of the states, which become those of the states before as
 * far as they do not go through the recurrent product; `before`: the state on the tape, then. For
 * `columns` of all; planes of d are `dp` apart. */
typedef void backward_row(const T *g, const T *before, T *d, T *dh, T *dc, idx hp, idx dp,
                          idx columns);

#define EACH_VECTOR for (idx j = 0; j < hp; j += VL)
#define EACH_COLUMN for (idx j = 0; j < columns; j += VL)
#define PLANE(p, i) ((p) + (i) * hp + j)
#define GRADIENT(i) (d + (i) * dp + j)

static inline vec slope_sigmoid(vec s) { return s * (splat(1) - s); }
static inline vec slope_tanh(vec t) { return splat(1) - t * t; }

static void tanh_forward(const T *a, T *g, T *h, T *c, idx hp) {
    EACH_VECTOR {
        vec s = gate_tanh(load(a + j));
        store(g + j, s);
        store(h + j, s);
    }
    (void)c;
}

static void tanh_backward(const T *g, const T *before, T *d, T *dh, T *dc, idx hp, idx dp,
                          idx columns) {
    EACH_COLUMN {
        store(GRADIENT(0), load(dh + j) * slope_tanh(load(g + j)));
        store(dh + j, splat(0));
    }
    (void)before, (void)dc, (void)hp, (void)dp;
}

static void relu_forward(const T *a, T *g, T *h, T *c, idx hp) {
    EACH_VECTOR {
        vec x = load(a + j), s = select(x <= splat(0), splat(0), x);
        store(g + j, s);
        store(h + j, s);
    }
    (void)c;
}

static void relu_backward(const T *g, const T *before, T *d, T *dh, T *dc, idx hp, idx dp,
                          idx columns) {
    EACH_COLUMN {
        store(GRADIENT(0), select(load(g + j) <= splat(0), splat(0), load(dh + j)));
        store(dh + j, splat(0));
    }
    (void)before, (void)dc, (void)hp, (void)dp;
}

/* Planes: i f g o c. */
static void lstm_forward(const T *a, T *g, T *h, T *c, idx hp) {
    EACH_VECTOR {
        vec in = gate_sigmoid(load(PLANE(a, 0))), forget = gate_sigmoid(load(PLANE(a, 1)));
        vec cell = gate_tanh(load(PLANE(a, 2))), output = gate_sigmoid(load(PLANE(a, 3)));
        vec state = forget * load(c + j) + in * cell;
        store(PLANE(g, 0), in);
        store(PLANE(g, 1), forget);
        store(PLANE(g, 2), cell);
        store(PLANE(g, 3), output);
        store(PLANE(g, 4), state);
        store(c + j, state);
    }
    /* A loop of its own: in one with the gates, chains are too long for the CPU to overlap. */
    EACH_VECTOR store(h + j, load(PLANE(g, 3)) * gate_tanh(load(c + j)));
}

static void lstm_backward(const T *g, const T *before, T *d, T *dh, T *dc, idx hp, idx dp,
                          idx columns) {
    EACH_COLUMN {
        vec in = load(PLANE(g, 0)), forget = load(PLANE(g, 1)), cell = load(PLANE(g, 2));
        vec output = load(PLANE(g, 3)), u = gate_tanh(load(PLANE(g, 4))), up = load(dh + j);
        vec down = load(dc + j) + up * output * slope_tanh(u);
        store(GRADIENT(0), down * cell * slope_sigmoid(in));
        store(GRADIENT(1), down * load(before + j) * slope_sigmoid(forget));
        store(GRADIENT(2), down * in * slope_tanh(cell));
        store(GRADIENT(3), up * u * slope_sigmoid(output));
        store(dc + j, down * forget);
        store(dh + j, splat(0));
    }
}

/* Planes: r z n q h, q the recurrent part of n. */
static void gru_forward(const T *a, T *g, T *h, T *c, idx hp) {
    EACH_VECTOR {
        vec reset = gate_sigmoid(load(PLANE(a, 0))), update = gate_sigmoid(load(PLANE(a, 1)));
        vec product = load(PLANE(a, 3)), fresh = gate_tanh(load(PLANE(a, 2)) + reset * product);
        vec state = (splat(1) - update) * fresh + update * load(h + j);
        store(PLANE(g, 0), reset);
        store(PLANE(g, 1), update);
        store(PLANE(g, 2), fresh);
        store(PLANE(g, 3), product);
        store(PLANE(g, 4), state);
        store(h + j, state);
    }
    (void)c;
}

static void gru_backward(const T *g, const T *before, T *d, T *dh, T *dc, idx hp, idx dp,
                         idx columns) {
    EACH_COLUMN {
        vec reset = load(PLANE(g, 0)), update = load(PLANE(g, 1)), fresh = load(PLANE(g, 2));
        vec up = load(dh + j), dn = up * (splat(1) - update) * slope_tanh(fresh);
        store(GRADIENT(0), dn * load(PLANE(g, 3)) * slope_sigmoid(reset));
        store(GRADIENT(1), up * (load(before + j) - fresh) * slope_sigmoid(update));
        store(GRADIENT(2), dn);
        store(GRADIENT(3), dn * reset);
        store(dh + j, up * update);
    }
    (void)dc;
}

/* Planes: r z n h. r is made first, by `classic_reset`, for n's product is with r * h. */
static void classic_forward(const T *a, T *g, T *h, T *c, idx hp) {
    EACH_VECTOR {
        vec update = gate_sigmoid(load(PLANE(a, 1))), fresh = gate_tanh(load(PLANE(a, 2)));
        vec state = (splat(1) - update) * fresh + update * load(h + j);
        store(PLANE(g, 0), load(PLANE(a, 0)));
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
static void classic_backward(const T *g, const T *before, T *d, T *dh, T *dc, idx hp, idx dp,
                             idx columns) {
    EACH_COLUMN {
        vec update = load(PLANE(g, 1)), fresh = load(PLANE(g, 2)), up = load(dh + j);
        store(GRADIENT(1), up * (load(before + j) - fresh) * slope_sigmoid(update));
        store(GRADIENT(2), up * (splat(1) - update) * slope_tanh(fresh));
        store(dh + j, up * update);
    }
    (void)dc;
}

/* Also turns u into r * h, which the gradient of n's weights needs. */
static void classic_reset_back(const T *g, const T *before, T *d, T *dh, T *u, idx columns) {
    EACH_COLUMN {
        vec reset = load(g + j), state = load(before + j), up = load(u + j);
        store(d + j, up * state * slope_sigmoid(reset));
        store(dh + j, load(dh + j) + up * reset);
        store(u + j, reset * state);
    }
}

typedef struct {
    int gates, planes, state; /* `state`: the plane whose last value a step's gates use */
    int grads;                /* planes of the gates' gradients */
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
    if (m == 1) { /* blocks of one row lie as they come */
        memcpy(a, from, (size_t)k * sizeof(T));
        return;
    }
    idx blocks = k_blocks(k);
    for (idx p = 0; p < blocks; ++p) {
        idx k0 = part(k, blocks, p), depth = part(k, blocks, p + 1) - k0;
        pack_a(a + m * k0, from + k0, m, depth, line, 1);
    }
}

/* A few rows times several panels: tiles of so few rows have too few chains to fill the adders. */
static inline __attribute__((always_inline)) void panels_at_once(idx k, const T *restrict a,
                                                                 const T *restrict b, T *c, idx ldc,
                                                                 const epilogue *e, const int m,
                                                                 const int panels) {
    vec sum[3][2 * 4] = {0};
    for (idx i = 0; i < k; ++i) {
        UNROLL(8)
        for (int v = 0; v < 2 * panels; ++v) {
            vec w = load(b + (v / 2 * k + i) * NR + v % 2 * VL);
            UNROLL(3)
            for (int r = 0; r < m; ++r) sum[r][v] += splat(a[i * m + r]) * w;
        }
    }
    UNROLL(3)
    for (int r = 0; r < m; ++r) {
        UNROLL(8)
        for (int v = 0; v < 2 * panels; ++v) finish(c + r * ldc + v * VL, sum[r][v], e, r, v * VL);
    }
}

/* Column after the last that this was done for; more than three rows have tiles. */
static idx few_rows(idx m, idx columns, idx k, const T *a, const T *b, T *c, idx ldc, epilogue e) {
    idx j = 0, step = (m == 1 ? 4 : 2) * NR;
    for (; m <= 3 && j + step <= columns; j += step) {
        if (m == 1)
            panels_at_once(k, a, b + j * k, c + j, ldc, &e, 1, 4);
        else if (m == 2)
            panels_at_once(k, a, b + j * k, c + j, ldc, &e, 2, 2);
        else
            panels_at_once(k, a, b + j * k, c + j, ldc, &e, 3, 2);
        if (e.column_bias) e.column_bias += step;
    }
    return j;
}

/* Some columns of a plane. */
typedef struct {
    idx from, to;
} range;

/* c[m][hp] (+)= a b (+ bias) for these columns, b packed by `pack_weights`. */
static void multiply_rows(idx m, idx hp, range q, idx k, const T *a, const T *b, T *c, idx ldc,
                          int accumulate, const T *bias) {
    idx blocks = k_blocks(k);
    for (idx p = 0; p < blocks; ++p) {
        idx k0 = part(k, blocks, p), depth = part(k, blocks, p + 1) - k0, j = q.from;
        epilogue e = {.accumulate = accumulate || p > 0};
        if (p + 1 == blocks && bias) e.column_bias = bias + j;
        j += few_rows(m, q.to - j, depth, a + m * k0, b + hp * k0 + j * depth, c + j, ldc, e);
        if (e.column_bias) e.column_bias = bias + j;
        multiply(m, q.to - j, depth, a + m * k0, b + hp * k0 + j * depth, c + j, ldc, e);
    }
}

/* -- one pass over the sequences --------------------------------------------------------------- */

typedef struct {
    const args *v;
    const cell *cell;
    idx hp;
    idx tasks;
    int split;      /* a step's columns are shared among threads, not the sequences */
    int status;     /* of those shared steps */
    idx together;   /* steps whose input products are made at once */
    T *w_ih, *w_hh; /* packed, hp columns per gate, or those of dx */
    T *b_ih, *b_hh; /* padded, added together where the products are */
    T *h, *c;       /* of all sequences, or their gradients: rows of hp, see `states` */
    T *start;       /* of the states on the tape, those before the first step */
    recurrent_chunk chunk;
    char *slots;
    size_t slot_bytes;
} pass;

/* The rows of one task, and its memory. */
typedef struct {
    idx first, m;
    idx end;          /* of its longest sequence: nothing is computed for times beyond it */
    T *h, *c, *start; /* its part of these */
    T *a, *b;         /* packed inputs and states */
    T *u;             /* m rows of hp */
    T *sums;          /* rows of planes: sums of the gates, or their gradients */
    T *x;             /* inputs of steps together */
    T *dx;            /* their gradients, of one step */
} rows;

static inline T *tape_row(const pass *it, idx t, idx n) {
    return (T *)it->v->tape + (t * it->v->batch + n) * it->cell->planes * it->hp;
}

static idx task_rows(const pass *it, idx task) { return part(it->v->batch, it->tasks, task); }

/* What tasks write at every step is a page apart and more: closer, the CPU fetches lines ahead that
 * another core is about to write, and two threads of few sequences took longer than one. */
enum { APART = (4096 + 256) / sizeof(T) };

/* Where the states of a task are, and how many numbers those of all take. */
static idx states(const pass *it, idx task) { return task_rows(it, task) * it->hp + task * APART; }
static idx all_states(const pass *it) { return states(it, it->tasks); }

/* States from rows of H, or zeros. */
static void pad_states(const pass *it, T *to, const void *from) {
    idx h = it->v->hidden;
    memset(to, 0, (size_t)all_states(it) * sizeof(T));
    for (idx task = 0; from && task < it->tasks; ++task) {
        idx first = task_rows(it, task), m = task_rows(it, task + 1) - first;
        T *rows = to + states(it, task);
        for (idx i = 0; i < m; ++i)
            memcpy(rows + i * it->hp, (const T *)from + (first + i) * h, (size_t)h * sizeof(T));
    }
}

static void unpad_rows(void *to, const T *from, idx m, idx h, idx hp) {
    for (idx i = 0; to && i < m; ++i) memcpy((T *)to + i * h, from + i * hp, (size_t)h * sizeof(T));
}

static void unpad_states(const pass *it, void *to, const T *from) {
    for (idx task = 0; to && task < it->tasks; ++task) {
        idx first = task_rows(it, task), m = task_rows(it, task + 1) - first, h = it->v->hidden;
        unpad_rows((T *)to + first * h, from + states(it, task), m, h, it->hp);
    }
}

static rows take_rows(const pass *it, idx task, int slot) {
    const args *v = it->v;
    idx first = task_rows(it, task), m = task_rows(it, task + 1) - first, hp = it->hp;
    rows r = {.first = first, .m = m, .end = v->lengths ? 0 : v->steps};
    for (idx n = first; v->lengths && n < first + m; ++n) r.end = most(r.end, v->lengths[n]);
    r.h = it->h + states(it, task);
    r.c = it->c + states(it, task);
    r.start = it->start + states(it, task);
    r.b = (T *)(it->slots + (size_t)slot * it->slot_bytes);
    r.u = r.b + (it->split ? it->cell->gates : 1) * packed_rows(m, v->hidden);
    r.sums = r.u + m * hp;
    r.a = r.sums + it->together * m * it->cell->planes * hp;
    r.x = r.dx = r.a + packed_rows(it->together * m, v->inputs);
    return r;
}

/* Steps of one task have at least so many rows together in the products with the input. */
enum { TOGETHER = 2 * MR };

/* From so many bytes of recurrent weights on, about a second cache level, reading them is most of
 * the time of a few sequences, and a region of threads per step costs a tenth of it at most. */
static const idx SPLIT_BYTES = 1 << 20;

/* Sizes of tasks and of their memory. */
static void cut(pass *it) {
    const args *v = it->v;
    it->cell = &cells[v->cell];
    it->hp = round_up(v->hidden, PAD);
    /* As few panels per task as give every thread one; results do not depend on it. */
    it->tasks = round_up(ceil_div(v->batch, TASK_PANELS * MR), v->threads);
    it->tasks = least(it->tasks, v->batch);
    idx bytes = it->cell->gates * it->hp * v->hidden * (idx)sizeof(T);
    it->split = v->threads > 1 && v->batch <= MR && bytes >= SPLIT_BYTES;
    if (it->split) it->tasks = 1;
    idx m = ceil_div(v->batch, it->tasks);
    it->together = least(ceil_div(TOGETHER, m), v->steps);
    idx together = it->together * m;
    it->slot_bytes =
        line_bytes(packed_rows(m, v->hidden) + m * it->hp + together * it->cell->planes * it->hp +
                   packed_rows(together, v->inputs) + together * padded_inputs(v) + APART);
}

/* Estimated time of a product of all weights with `rows` rows. */
static double nanoseconds(const pass *it, idx inputs, idx rows) {
    return (double)it->cell->gates * (double)it->hp * (double)(inputs + it->v->hidden) *
           (double)rows / 32;
}

/* Pieces of one block of memory, one after the other; without a block only its size counts. */
typedef struct {
    char *block;
    size_t used;
} arena;

static T *take(arena *from, idx elements) {
    size_t start = from->used;
    from->used += line_bytes(elements);
    return from->block ? (T *)(from->block + start) : NULL;
}

/* Of a pass, outside the workspace's bound: the weights once more, which every step needs whole, so
 * as much again as the arguments, and a few rows per thread; backward a chunk besides. */
static char *take_slots(arena *from, const pass *it) {
    size_t bytes = (size_t)it->v->threads * it->slot_bytes;
    return (char *)take(from, (idx)(bytes / sizeof(T)));
}

/* All sequences: steps that share their columns start from here, for regions do not nest. */
static int run_tasks(pass *it, fastnn_task task, double cost) {
    if (!it->split) return fastnn_parallel_for(it->tasks, task, it, it->v->threads, cost);
    task(it, 0, 0);
    return it->status;
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

/* Part of a step: a product of gates first .. first + gates, to `g`. */
typedef struct step step;
typedef void part_of_step(const step *st, idx gate, range q);
struct step {
    const pass *it;
    const rows *r;
    part_of_step *run;
    idx m, first, gates, parts;
    T *g;
};

static void step_task(void *ctx, idx task, int slot) {
    const step *st = ctx;
    idx panels = ceil_div(st->it->hp, NR);
    range q = {part(panels, st->parts, task) * NR,
               least(part(panels, st->parts, task + 1) * NR, st->it->hp)};
    for (idx gate = 0; q.from < q.to && gate < st->gates; ++gate) st->run(st, st->first + gate, q);
    (void)slot;
}

/* All columns here, or shared with other threads; the results are the same. */
static void run_step(step st) {
    pass *it = (pass *)st.it;
    st.parts = it->split ? it->v->threads : 1;
    if (!it->split)
        step_task(&st, 0, 0);
    else if (it->status == FASTNN_OK) /* of many such regions: the wake-up is paid once */
        it->status = fastnn_parallel_for(st.parts, step_task, &st, it->v->threads, 1e9);
}

static void add_input(const step *st, idx gate, range q) {
    const pass *it = st->it;
    idx hp = it->hp, k = it->v->inputs;
    multiply_rows(st->m, hp, q, k, st->r->a, it->w_ih + gate * hp * k, st->g + gate * hp,
                  it->cell->planes * hp, 0, it->b_ih + gate * hp);
}

/* Sums of all gates, input's part, for `count` steps from s on. */
static void add_inputs(const pass *it, const rows *r, idx s, idx count) {
    const args *v = it->v;
    idx k = v->inputs, m = r->m;
    const T *x = NULL;
    for (idx i = 0; i < count; ++i) {
        x = (const T *)v->x + (time_of(v, s + i) * v->batch + r->first) * k;
        if (count > 1) memcpy(r->x + i * m * k, x, (size_t)(m * k) * sizeof(T));
    }
    pack_rows(r->a, count > 1 ? r->x : x, count * m, k, k);
    run_step((step){it, r, add_input, count * m, 0, it->cell->gates, 0, r->sums});
}

/* Sums of a gate, recurrent part, for the packed states in r->b. */
static void add_recurrent(const step *st, idx gate, range q) {
    const pass *it = st->it;
    idx plane = gate == it->cell->gates - 1 ? it->cell->last_plane : gate;
    idx h = it->v->hidden, hp = it->hp, ldc = it->cell->planes * hp;
    multiply_rows(st->m, hp, q, h, st->r->b, it->w_hh + gate * hp * h, st->g + plane * hp, ldc,
                  plane == gate, plane == gate ? NULL : it->b_hh + gate * hp);
}

/* The step at t from the sums of its inputs `a`. */
static void forward_step(const pass *it, const rows *r, idx t, T *a) {
    const args *v = it->v;
    idx hp = it->hp, line = it->cell->planes * hp, gates = it->cell->gates;
    if (t >= r->end) {
        memset((T *)v->y + (t * v->batch + r->first) * v->hidden, 0,
               (size_t)(r->m * v->hidden) * sizeof(T));
        return;
    }
    pack_rows(r->b, r->h, r->m, v->hidden, hp);
    int classic = v->cell == CLASSIC;
    run_step((step){it, r, add_recurrent, r->m, 0, gates - classic, 0, a});
    if (classic) {
        for (idx n = 0; n < r->m; ++n)
            classic_reset(a + n * line, r->h + n * hp, r->u + n * hp, hp);
        pack_rows(r->b, r->u, r->m, v->hidden, hp);
        run_step((step){it, r, add_recurrent, r->m, gates - 1, 1, 0, a});
    }
    for (idx n = 0; n < r->m; ++n) {
        T *y = (T *)v->y + (t * v->batch + r->first + n) * v->hidden, *sums = a + n * line;
        if (active(v, r->first + n, t)) {
            it->cell->forward(sums, v->tape ? tape_row(it, t, r->first + n) : sums, r->h + n * hp,
                              r->c + n * hp, hp);
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
    /* About 100 us of steps. With columns shared, each step is a region that looks itself. */
    idx unasked = most(1, (idx)(1e5 / nanoseconds(it, v->inputs, r.m * it->together)));
    for (idx s = 0, i = 1; s < v->steps; s += it->together, ++i) {
        if (!it->split && i % unasked == 0 && fastnn_stopped()) return;
        idx count = least(it->together, v->steps - s);
        if (least(time_of(v, s), time_of(v, s + count - 1)) < r.end) add_inputs(it, &r, s, count);
        for (idx i = 0; i < count; ++i)
            forward_step(it, &r, time_of(v, s + i), r.sums + i * r.m * it->cell->planes * it->hp);
    }
}

static void place_forward(pass *it, arena *m) {
    const args *v = it->v;
    idx columns = it->cell->gates * it->hp;
    it->w_ih = take(m, columns * v->inputs);
    it->w_hh = take(m, columns * v->hidden);
    it->b_ih = take(m, columns);
    it->b_hh = take(m, columns);
    it->h = take(m, all_states(it));
    it->c = take(m, all_states(it));
    it->start = it->h; /* not in use */
    it->slots = take_slots(m, it);
}

int FN(recurrent_forward)(const args *v) {
    pass it = {.v = v};
    arena memory = {0};
    cut(&it);
    place_forward(&it, &memory);
    memory = (arena){fastnn_scratch(memory.used), 0};
    if (!memory.block) return FASTNN_NOMEM;
    place_forward(&it, &memory);
    pad_states(&it, it.h, v->h0);
    pad_states(&it, it.c, v->c0);
    int status = fastnn_parallel_for(it.cell->gates * ceil_div(it.hp, NR), pack_forward_task, &it,
                                     v->threads, 16 * nanoseconds(&it, v->inputs, 1));
    if (status == FASTNN_OK)
        status = run_tasks(&it, forward_task, nanoseconds(&it, v->inputs, v->steps * v->batch));
    unpad_states(&it, v->h, it.h);
    unpad_states(&it, v->c, it.c);
    fastnn_scratch_release(memory.block);
    return status;
}

/* -- backward -------------------------------------------------------------------------------- */

/* Columns of w[gates*H][columns], `padded` of them: element (k, j) is w[k][j] of the gate. */
static void pack_back(T *to, const T *w, idx gate, idx h, idx columns, idx padded) {
    idx blocks = k_blocks(h);
    for (idx p = 0; p < blocks; ++p) {
        idx k0 = part(h, blocks, p), depth = part(h, blocks, p + 1) - k0;
        for (idx j = 0; j < padded; j += NR)
            pack_columns(to + gate * padded * h + padded * k0 + j * depth, panel_width(padded, j),
                         w + (gate * h + k0) * columns + j, least(columns - j, NR), columns, depth);
    }
}

static void pack_backward_task(void *ctx, idx task, int slot) {
    const pass *it = ctx;
    const args *v = it->v;
    idx gate = task / 2;
    if (task % 2 == 0)
        pack_back(it->w_hh, v->w_hh, gate, v->hidden, v->hidden, it->hp);
    else if (v->dx)
        pack_back(it->w_ih, v->w_ih, gate, v->hidden, v->inputs, padded_inputs(v));
    (void)slot;
}

static idx recurrent_plane(const pass *it, idx gate) {
    return gate == it->cell->gates - 1 ? it->cell->last_plane : gate;
}

/* to (+)= w_hh^T of a gate's gradients, which stay packed; `line`: the task's first. */
static void back_through(const pass *it, const rows *r, idx gate, idx line, T *to, int accumulate) {
    idx h = it->v->hidden, hp = it->hp;
    pack_gradient_rows(r->b, &it->chunk, recurrent_plane(it, gate), line, r->m);
    multiply_rows(r->m, hp, (range){0, hp}, h, r->b, it->w_hh + gate * hp * h, to, hp, accumulate,
                  NULL);
}

/* The same of all gates st->first .. for some columns; these come packed, one after the other. */
static void back_in_parts(const step *st, idx none, range q) {
    const pass *it = st->it;
    idx h = it->v->hidden, hp = it->hp, gates = it->cell->gates - (it->v->cell == CLASSIC);
    for (idx gate = 0; gate < gates; ++gate)
        multiply_rows(st->m, hp, q, h, st->r->b + gate * packed_rows(st->m, h),
                      it->w_hh + gate * hp * h, st->g, hp, 1, NULL);
    (void)none;
}

static void back_together(const pass *it, const rows *r, idx line) {
    idx gates = it->cell->gates - (it->v->cell == CLASSIC);
    for (idx gate = 0; gate < gates; ++gate)
        pack_gradient_rows(r->b + gate * packed_rows(r->m, it->v->hidden), &it->chunk,
                           recurrent_plane(it, gate), line, r->m);
    run_step((step){it, r, back_in_parts, r->m, 0, 1, 0, r->h});
}

/* dx += w_ih^T of a gate's gradients; `packed` if these are. */
static void back_to_input(const pass *it, const rows *r, idx gate, idx line, int packed) {
    idx h = it->v->hidden, ip = padded_inputs(it->v);
    if (!packed) pack_gradient_rows(r->b, &it->chunk, gate, line, r->m);
    multiply_rows(r->m, ip, (range){0, ip}, h, r->b, it->w_ih + gate * ip * h, r->dx, ip, gate > 0,
                  NULL);
}

/* The tape's state before the step of row n at t. */
static const T *state_before(const pass *it, const rows *r, idx n, idx t) {
    if (t == first_time(it->v, r->first + n)) return r->start + n * it->hp;
    idx before = it->v->reverse ? t + 1 : t - 1;
    return tape_row(it, before, r->first + n) + it->cell->state * it->hp;
}

static void reset_step(const pass *it, const rows *r, idx t, idx line) {
    idx hp = it->hp;
    back_through(it, r, it->cell->gates - 1, line, r->u, 0);
    for (idx n = 0; n < r->m; ++n) {
        T *u = r->u + n * hp;
        if (!active(it->v, r->first + n, t)) continue;
        const T *g = tape_row(it, t, r->first + n), *before = state_before(it, r, n, t);
        for (idx j = 0; j < hp; j += NR) {
            idx width = panel_width(hp, j);
            T *d = gradient_panel(&it->chunk, 0, j) + (line + n) * width;
            classic_reset_back(g + j, before + j, d, r->h + n * hp + j, u + j, width);
        }
        memcpy(it->chunk.rh + (line + n) * hp, u, (size_t)hp * sizeof(T));
    }
}

/* Gradients of the gates of row n, panel after panel. */
static void gates_step(const pass *it, const rows *r, idx n, idx t, idx line) {
    const args *v = it->v;
    idx hp = it->hp, dp = hp * panel_lines(it->chunk.lines), h = v->hidden;
    T *dh = r->h + n * hp, *dc = r->c + n * hp;
    const T *g = tape_row(it, t, r->first + n), *before = state_before(it, r, n, t);
    const T *dy = (const T *)v->dy + (t * v->batch + r->first + n) * h;
    for (idx j = 0; v->dy && j < h; ++j) dh[j] += dy[j];
    for (idx j = 0; j < hp; j += NR) {
        idx width = panel_width(hp, j);
        T *d = gradient_panel(&it->chunk, 0, j) + line * width;
        it->cell->backward(g + j, before + j, d, dh + j, dc + j, hp, dp, width);
    }
}

static void no_gradients(const recurrent_chunk *c, idx line) {
    for (idx plane = 0; plane < c->planes; ++plane)
        for (idx j = 0; j < c->hp; j += NR) {
            idx width = panel_width(c->hp, j);
            memset(gradient_panel(c, plane, j) + line * width, 0, (size_t)width * sizeof(T));
        }
}

static void backward_step(const pass *it, const rows *r, idx s) {
    const args *v = it->v;
    idx t = time_of(v, s), line = (s - it->chunk.first) * v->batch + r->first;
    idx gates = it->cell->gates, ip = padded_inputs(v);
    for (idx n = 0; n < r->m; ++n) {
        if (active(v, r->first + n, t))
            gates_step(it, r, n, t, line + n);
        else
            no_gradients(&it->chunk, line + n);
    }
    if (t >= r->end) {
        if (it->chunk.dx_done)
            memset((T *)v->dx + (t * v->batch + r->first) * v->inputs, 0,
                   (size_t)(r->m * v->inputs) * sizeof(T));
        return;
    }
    int classic = v->cell == CLASSIC, same = it->cell->last_plane == gates - 1;
    if (classic) reset_step(it, r, t, line);
    if (it->split) {
        back_together(it, r, line);
        return;
    }
    for (idx gate = 0; gate < gates; ++gate) {
        int last = gate == gates - 1, done = classic && last;
        if (!done) back_through(it, r, gate, line, r->h, 1);
        if (it->chunk.dx_done) back_to_input(it, r, gate, line, !done && (same || !last));
    }
    if (it->chunk.dx_done)
        unpad_rows((T *)v->dx + (t * v->batch + r->first) * v->inputs, r->dx, r->m, v->inputs, ip);
}

static void backward_task(void *ctx, idx task, int slot) {
    const pass *it = ctx;
    rows r = take_rows(it, task, slot);
    idx steps = it->chunk.lines / it->v->batch;
    for (idx i = steps - 1; i >= 0; --i) backward_step(it, &r, it->chunk.first + i);
}

/* Bytes of the gates' gradients of a chunk: about what the second cache levels hold. One step of
 * all sequences is the least: a T-th of what forward keeps. */
static const idx CHUNK_BYTES = 2 << 20;

static idx chunk_steps(const pass *it) {
    idx bytes = it->v->batch * it->cell->grads * it->hp * (idx)sizeof(T);
    return least(most(CHUNK_BYTES / bytes, 1), it->v->steps);
}

static void place_backward(pass *it, arena *m) {
    const args *v = it->v;
    recurrent_chunk *c = &it->chunk;
    idx columns = it->cell->gates * it->hp;
    idx lines = chunk_steps(it) * v->batch;
    it->w_hh = take(m, columns * v->hidden);
    it->w_ih = take(m, v->dx ? it->cell->gates * padded_inputs(v) * v->hidden : 0);
    it->h = take(m, all_states(it));
    it->c = take(m, all_states(it));
    it->start = take(m, all_states(it));
    c->dg = take(m, panel_lines(lines) * it->cell->grads * it->hp);
    c->rh = take(m, v->cell == CLASSIC ? lines * it->hp : 0);
    c->sums[0] = take(m, columns * (v->hidden + 1));
    c->sums[1] = take(m, columns * (v->inputs + 1));
    /* dx where the gates' gradients are packed anyway, if their weights fit the cache beside. */
    c->dx_done = v->dx && !it->split && v->batch / it->tasks >= MR / 2 && v->inputs <= 4 * VL;
    it->slot_bytes = (size_t)most((idx)it->slot_bytes, (idx)FN(gradient_bytes)(v));
    it->slots = c->slots = take_slots(m, it);
}

static int run_chunks(pass *it) {
    const args *v = it->v;
    recurrent_chunk *c = &it->chunk;
    idx chunks = ceil_div(v->steps, chunk_steps(it));
    int status = fastnn_parallel_for(2 * it->cell->gates, pack_backward_task, it, v->threads,
                                     16 * nanoseconds(it, v->dx ? v->inputs : 0, 1));
    for (idx i = chunks - 1; i >= 0 && status == FASTNN_OK; --i) {
        c->first = part(v->steps, chunks, i);
        c->lines = (part(v->steps, chunks, i + 1) - c->first) * v->batch;
        status = run_tasks(it, backward_task, nanoseconds(it, 0, c->lines));
        if (status == FASTNN_OK) status = FN(recurrent_gradients)(c, v->threads);
        c->begun = 1;
    }
    return status;
}

int FN(recurrent_backward)(const args *v) {
    pass it = {.v = v};
    arena memory = {0};
    cut(&it);
    it.chunk =
        (recurrent_chunk){.v = v, .hp = it.hp, .gates = it.cell->gates, .planes = it.cell->grads};
    place_backward(&it, &memory);
    memory = (arena){fastnn_scratch(memory.used), 0};
    if (!memory.block) return FASTNN_NOMEM;
    place_backward(&it, &memory);
    it.chunk.w_ih = it.w_ih;
    pad_states(&it, it.h, v->dh);
    pad_states(&it, it.c, v->dc);
    pad_states(&it, it.start, v->cell == LSTM ? v->c0 : v->h0);
    int status = run_chunks(&it);
    if (status == FASTNN_OK) FN(recurrent_finish)(&it.chunk);
    unpad_states(&it, v->dh0, it.h);
    unpad_states(&it, v->dc0, it.c);
    fastnn_scratch_release(memory.block);
    return status;
}
