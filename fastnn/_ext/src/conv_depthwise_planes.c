/* Depthwise convolution of planes about a vector wide or wider, with windows of 3, 5 or 7 rows,
 * stride 1: a vector is of pixels, nothing is transposed. 1.2 to 1.5 times as fast on AVX-512, 1.5
 * to 2.4 times on AVX2; the gradient of the filters gains nothing by it.
 *
 * A tile of a plane is copied, with its zeros. Some rows of outputs are summed at the same time,
 * for a column of the window after the other, so that a cell is loaded once for all rows that see
 * it in that column: without that, loads would set the pace. The gradient of the image is the same
 * with the window turned round.
 *
 * What a vector holds behind the end of a narrow row the next row's mends; the last plane of a task
 * is summed aside.
 *
 * Tiles follow from the shape alone, and no number of y or dx depends on them. */
#include "conv_depthwise.h"

enum { CELLS = 4096 }; /* of a tile: in the first level */
enum { TASK = 16384 }; /* outputs of a task, or a plane */
enum { ROWS = 8 };     /* of outputs at the same time: with a column they fit the registers */

typedef struct {
    const conv *v;
    int back;                             /* whether the window is turned round */
    idx planes;                           /* of a task */
    idx rows, cols, row_tiles, col_tiles; /* of the largest tile */
    idx pitch;
    char *slots;
    size_t slot_bytes, cells_bytes;
} plan;

/* Cells that a tile of `rows` by `cols` outputs looks at. */
static inline idx look(const conv *v, idx rows, idx cols) {
    return (rows + v->R - 1) * (cols + v->S - 1);
}

/* Such planes are a tile each. */
static inline int is_narrow(const conv *v) { return v->Q < VL; }

static plan make_plan(const conv *v, int back) {
    plan it = {.v = v, .back = back, .rows = v->P, .cols = v->Q};
    while (look(v, it.rows, it.cols) > CELLS)
        if (it.rows > ROWS)
            it.rows = ceil_div(it.rows, 2);
        else if (it.cols > 2 * VL)
            it.cols = ceil_div(it.cols, 2);
        else
            break;
    it.row_tiles = ceil_div(v->P, it.rows);
    it.col_tiles = ceil_div(v->Q, it.cols);
    it.pitch = it.cols + v->S - 1;
    it.planes = most(1, TASK / (v->P * v->Q));
    it.cells_bytes = line_bytes((it.rows + v->R - 1) * it.pitch + VL);
    it.slot_bytes = it.cells_bytes + (is_narrow(v) ? line_bytes(v->P * v->Q + VL) : 0);
    return it;
}

static tile_place tile_of(const plan *it, idx index) {
    const conv *v = it->v;
    idx r = index / it->col_tiles, c = index % it->col_tiles;
    tile_place t = {.i = part(v->P, it->row_tiles, r), .j = part(v->Q, it->col_tiles, c)};
    t.rows = part(v->P, it->row_tiles, r + 1) - t.i;
    t.cols = part(v->Q, it->col_tiles, c + 1) - t.j;
    return t;
}

/* Fewer cells than a vector has, and zeros, where there is a border or the next row follows. */
static inline void copy_narrow(T *to, const T *from, idx count, const T *end) {
    if (end - from < VL) {
        for (idx i = 0; i < count; ++i) to[i] = from[i];
        return;
    }
    ivec lane;
    for (int i = 0; i < VL; ++i) lane[i] = i;
    store(to, select(lane < (I)count, load(from), (vec){0}));
}

/* The cells that a tile looks at; without `borders` only those of the image. */
static void pack_tile(const plan *it, T *to, const T *plane, const tile_place *t, int borders) {
    const conv *v = it->v;
    idx h0 = t->i - v->top, w0 = t->j - v->left, top, bottom, left, right;
    idx rows = t->rows + v->R - 1;
    steps_inside(h0, 1, v->H, rows, &top, &bottom);
    steps_inside(w0, 1, v->W, it->pitch, &left, &right);
    const T *end = (const T *)v->x + v->N * v->C * v->H * v->W;
    if (borders) zeros(to, rows * it->pitch);
    for (idx i = top; i < bottom; ++i) {
        const T *from = plane + (h0 + i) * v->W + w0;
        T *row = to + i * it->pitch;
        if (right - left < VL) {
            copy_narrow(row + left, from + left, right - left, end);
            continue;
        }
        for (idx j = left; j < right; j += VL) {
            j = least(j, right - VL); /* the last ones once more rather than fewer */
            store(row + j, load(from + j));
        }
    }
}

/* Loaded once: GCC would rather load it again for every product. */
static inline vec load_once(const T *p) { return *(const volatile vecu *)p; }

/* n rows of vectors `put` apart: first + the sum of w * x over windows of R rows, all constants but
 * S. The rows of x are `get` apart, `reversed` says that the last weight comes first. */
static inline __attribute__((always_inline)) void sum_rows(T *to, idx put, const T *x, idx get,
                                                           idx S, const T *w, int reversed,
                                                           vec first, const int n, const int R) {
    vec sums[ROWS], weights[7];
    idx step = reversed ? -1 : 1;
    if (reversed) w += R * S - 1;
    UNROLL(8)
    for (int m = 0; m < n; ++m) sums[m] = first;
    for (idx s = 0; s < S; ++s, ++x, w += step) {
        const T *cell = x;
        UNROLL(7)
        for (int r = 0; r < R; ++r) weights[r] = splat(w[r * S * step]);
        UNROLL(14)
        for (int i = 0; i < n + R - 1; ++i, cell += get) {
            vec here = load_once(cell);
            UNROLL(7)
            for (int r = 0; r < R; ++r)
                if (i - r >= 0 && i - r < n) sums[i - r] += weights[r] * here;
        }
    }
    UNROLL(8)
    for (int m = 0; m < n; ++m) store(to + m * put, sums[m]);
}

typedef void rows_kernel(T *to, idx put, const T *x, idx get, idx S, const T *w, int reversed,
                         vec first);
#define KERNEL_OF(n, R)                                                                            \
    static void rows_##n##_##R(T *to, idx put, const T *x, idx get, idx S, const T *w,             \
                               int reversed, vec first) {                                          \
        sum_rows(to, put, x, get, S, w, reversed, first, n, R);                                    \
    }
#define KERNELS(n) KERNEL_OF(n, 3) KERNEL_OF(n, 5) KERNEL_OF(n, 7)
#define ALL(F) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8)
ALL(KERNELS)
#define ENTRY(n) {rows_##n##_3, rows_##n##_5, rows_##n##_7},
static rows_kernel *const kernels[ROWS + 1][3] = {{0}, ALL(ENTRY)};

static void planes_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const conv *v = it->v;
    char *memory = it->slots + (size_t)slot * it->slot_bytes;
    T *cells = (T *)memory, *aside = (T *)(memory + it->cells_bytes);
    idx first = task * it->planes, last = least(first + it->planes, v->N * v->C);
    idx pc = per_channel(v);
    for (idx i = 0; i < it->row_tiles * it->col_tiles && !fastnn_stopped(); ++i) {
        tile_place t = tile_of(it, i);
        for (idx plane = first; plane < last; ++plane) {
            pack_tile(it, cells, (const T *)v->x + plane * v->H * v->W, &t, plane == first);
            for (idx j = 0; j < pc; ++j) {
                idx f = plane % v->C * pc + j;
                const T *w = (const T *)v->w + f * taps(v);
                vec b = v->b ? splat(((const T *)v->b)[f]) : (vec){0};
                T *y = (T *)v->y + ((plane * pc + j) * v->P + t.i) * v->Q + t.j;
                int apart = is_narrow(v) && plane + 1 == last && j + 1 == pc;
                T *to = apart ? aside : y;
                for (idx p = 0, n; p < t.rows; p += n) {
                    n = ceil_div(t.rows - p, ceil_div(t.rows - p, ROWS));
                    rows_kernel *sum = kernels[n][v->R / 2 - 1];
                    for (idx q = 0; q < t.cols; q += VL) {
                        q = most(0, least(q, t.cols - VL)); /* the last ones once more */
                        sum(to + p * v->Q + q, v->Q, cells + p * it->pitch + q, it->pitch, v->S, w,
                            it->back, b);
                    }
                }
                if (apart) memcpy(y, aside, (size_t)(t.rows * t.cols) * sizeof(T));
            }
        }
    }
}

int FN(depthwise_planes_suit)(const conv *v) {
    idx cols = least(v->W, v->Q), rows = most(v->H, v->P);
    return v->sh == 1 && v->sw == 1 && v->dh == 1 && v->dw_step == 1 &&
           (v->R == 3 || v->R == 5 || v->R == 7) &&
           (cols >= VL || (4 * cols >= 3 * VL && look(v, rows, VL) <= CELLS));
}

static int run(const conv *v, int back) {
    plan it = make_plan(v, back);
    it.slots = fastnn_scratch((size_t)v->threads * it.slot_bytes);
    if (!it.slots) return FASTNN_NOMEM;
    double products = (double)v->N * (double)v->K * (double)(v->P * v->Q) * (double)taps(v);
    int status = fastnn_parallel_for(ceil_div(v->N * v->C, it.planes), planes_task, &it, v->threads,
                                     products / 32);
    fastnn_scratch_release(it.slots);
    return status;
}

int FN(depthwise_planes_forward)(const conv *v) { return run(v, 0); }

int FN(depthwise_planes_image)(const conv *v) {
    conv turned = *v; /* dy is what is looked at, through the window turned round */
    turned.x = v->dy;
    turned.y = v->dx;
    turned.H = v->P, turned.W = v->Q, turned.P = v->H, turned.Q = v->W;
    turned.top = v->R - 1 - v->top;
    turned.left = v->S - 1 - v->left;
    return run(&turned, 1);
}
