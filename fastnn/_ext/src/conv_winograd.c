/* Winograd convolution of 3x3 filters, stride 1: y, and dx as the same with filters turned round.
 *
 * Tiles are numbered over images, rows and columns. A task takes a block of them: it transforms
 * their cells to V[position][channels/DEEP][tile][DEEP], multiplies with the filters' transforms
 * U[filters/NR][position][channel][NR] position by position, and transforms the products back, NR
 * filters at a time, so that products never leave the second cache level. A product's rows are
 * tiles, at a fixed distance from each other in V: one address serves them all.
 *
 * An element of a product is one chain of multiply-adds per CHAIN channels, and chains are added in
 * order, so no bit depends on blocks, threads or the batch. */
#include "winograd_tiles.h"

enum { DEEP = 16 };             /* channels that lie together; a multiple of VL */
enum { CHAIN = 64 };            /* channels that are added up in one chain; of DEEP */
enum { CELLS = 768 << 10 };     /* bytes of V that a block aims at, in the second level */
enum { FILTERS = 12 << 20 };    /* bytes of U at a time, in the third level */
enum { LEAST = 24, MOST = 96 }; /* tiles of a block: fewer stream U too often */

/* y and dx in one: images of C channels H W to F channels P Q, per group. */
typedef struct {
    images x;
    const T *w, *w_end, *b;
    T *y;
    idx C, F, P, Q, groups;
    idx w_input, w_output; /* distance of a filter's input and output channels in w */
    int turned;            /* filters by 180 degrees */
    grid tiles;
    idx f0, f1;               /* the outputs of each group that are in work now */
    idx blocks, splits;       /* tasks of a group: of tiles, of panels of filters */
    idx most_tiles, v_stride; /* of a block; elements from one position of V to the next */
    idx m_stride;             /* the same of the products */
    idx slab;                 /* elements of U per group */
    T *u;
    char *slots;
    size_t slot_bytes, v_bytes, m_bytes, y_bytes;
} plan;

static inline idx panels(const plan *it) { return ceil_div(it->f1 - it->f0, NR); }
/* Elements of U from one position to the next. */
static inline idx u_stride(const plan *it, idx width) { return it->C * width + LINE; }
static inline idx width_of(const plan *it, idx panel) {
    return panel_width(it->f1 - it->f0, panel * NR);
}
static inline idx depth(idx C) { return round_up(C, DEEP); }

/* -- filters --------------------------------------------------------------------------------- */

/* U of one panel of filters; a task. */
INLINE void transform_filters(const plan *it, idx m, idx group, idx panel) {
    idx n = m + 2, first = it->f0 + panel * NR, width = width_of(it, panel);
    T *u = it->u + group * it->slab + panel * u_stride(it, NR) * n * n;
    /* Filters side by side in w are 9 apart, else their channels are. */
    idx together = it->w_input == 9 ? DEEP : 1;
    T taps[(DEEP * 9 + 2 * VB / sizeof(T)) * (VB / sizeof(T))] __attribute__((aligned(VB)));
    for (idx h = 0; h < width; h += VL) {
        idx lanes = least(VL, it->f1 - first - h);
        const T *w = it->w + (group * it->F + first + h) * it->w_output;
        if (it->turned) w = it->w + group * it->C * it->w_input + (first + h) * it->w_output;
        for (idx c0 = 0; c0 < it->C; c0 += together) {
            idx some = least(together, it->C - c0);
            load_lanes(taps, w + c0 * it->w_input, it->w_output, lanes, some * 9, it->w_end);
            for (idx c = c0; c < c0 + some; ++c) {
                const T *tap = taps + (c - c0) * 9 * VL;
                vec half[MOST_SIDE][3];
                for (idx j = 0; j < 3; ++j) {
                    vec g[3], t[MOST_SIDE];
                    for (idx i = 0; i < 3; ++i) {
                        idx k = i * 3 + j;
                        g[i] = load(tap + (it->turned ? 8 - k : k) * VL);
                    }
                    winograd_taps(m, g, t);
                    for (idx i = 0; i < n; ++i) half[i][j] = t[i];
                }
                for (idx i = 0; i < n; ++i) {
                    vec t[MOST_SIDE];
                    winograd_taps(m, half[i], t);
                    for (idx j = 0; j < n; ++j)
                        store(u + (i * n + j) * u_stride(it, width) + c * width + h, t[j]);
                }
            }
        }
    }
}

static void filters_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    idx group = task / panels(it), panel = task % panels(it);
    if (it->tiles.m == 2)
        transform_filters(it, 2, group, panel);
    else
        transform_filters(it, 4, group, panel);
    (void)slot;
}

/* -- products -------------------------------------------------------------------------------- */

/* c[tile][2 or 1 vectors] (+)= sum over C channels; `a` has DEEP channels of a tile together. */
#define STEP_DEEP(i)                                                                               \
    x##i += a[i * DEEP] * b0;                                                                      \
    y##i += a[i * DEEP] * b1;
#define PUT_DEEP(i)                                                                                \
    store(c + i * NR, add ? x##i + load(c + i * NR) : x##i);                                       \
    store(c + i * NR + VL, add ? y##i + load(c + i * NR + VL) : y##i);
#define STEP_DEEP_NARROW(i) x##i += a[i * DEEP] * b0;
#define PUT_DEEP_NARROW(i) store(c + i * VL, add ? x##i + load(c + i * VL) : x##i);

typedef void product(idx C, const T *a, idx stride, const T *b, T *c, int add);

#define PRODUCT(m)                                                                                 \
    static void product_##m(idx C, const T *restrict a, idx stride, const T *restrict b, T *c,     \
                            int add) {                                                             \
        ROWS_##m(ZERO);                                                                            \
        for (; C > 0; C -= DEEP, a += stride - DEEP)                                               \
            for (const T *end = a + least(C, DEEP); a < end; ++a, b += NR) {                       \
                vec b0 = load(b), b1 = load(b + VL);                                               \
                ROWS_##m(STEP_DEEP);                                                               \
            }                                                                                      \
        ROWS_##m(PUT_DEEP);                                                                        \
    }                                                                                              \
    static void slim_##m(idx C, const T *restrict a, idx stride, const T *restrict b, T *c,        \
                         int add) {                                                                \
        ROWS_##m(ZERO_NARROW);                                                                     \
        for (; C > 0; C -= DEEP, a += stride - DEEP)                                               \
            for (const T *end = a + least(C, DEEP); a < end; ++a, b += VL) {                       \
                vec b0 = load(b);                                                                  \
                ROWS_##m(STEP_DEEP_NARROW);                                                        \
            }                                                                                      \
        ROWS_##m(PUT_DEEP_NARROW);                                                                 \
    }
EACH_HEIGHT(PRODUCT)
#define ENTRY(m) {slim_##m, product_##m},
static product *const products[MR + 1][2] = {{0, 0}, EACH_HEIGHT(ENTRY)};

/* -- blocks of tiles --------------------------------------------------------------------------- */

/* to[lane][i] = from[i][lane] for `lanes` planes `stride` apart. */
static inline void store_lanes(T *to, idx stride, idx lanes, const T *from, idx count) {
    for (idx i = 0; i < count; i += VL) {
        /* The last vector of a plane overlaps the one before: the same numbers again. */
        if (count - i < VL && count >= VL) i = count - VL;
        vec v[VB / sizeof(T)];
        for (int j = 0; j < (int)VL; ++j) v[j] = load(from + (i + j) * VL);
        transpose(v);
        if (lanes == VL && count >= VL) {
            for (int j = 0; j < (int)VL; ++j) store(to + j * stride + i, v[j]);
        } else {
            T aside[VB / sizeof(T)][VB / sizeof(T)] __attribute__((aligned(VB)));
            for (int j = 0; j < (int)VL; ++j) store(aside[j], v[j]);
            for (idx j = 0; j < lanes; ++j)
                memcpy(to + j * stride + i, aside[j], (size_t)least(VL, count - i) * sizeof(T));
        }
    }
}

/* The same to every `step`-th cell. */
static void store_steps(T *to, idx step, idx stride, idx lanes, const T *from, idx count) {
    for (idx i = 0; i < count; ++i, from += VL, to += step)
        for (idx j = 0; j < lanes; ++j) to[j * stride] = from[j];
}

/* VL results of bands [b0, b1), from the first one's products on. */
INLINE void transform_back(const plan *it, idx m, const T *products, idx width, idx plane,
                           idx lanes, vec bias, idx b0, idx b1, T *strip) {
    const grid *g = &it->tiles;
    idx n = m + 2;
    for (idx b = b0; b < b1; ++b) {
        band at = band_of(g, b);
        idx rows = least(m, ceil_div(it->P - at.p, g->dh));
        idx cols = least(at.tiles * m, ceil_div(it->Q - at.q, g->dw));
        /* From the last tile on: what it has beyond the image's edge lies where the next row
         * begins, and is written over by that row's first tile. */
        for (idx tile = at.tiles - 1; tile >= 0 && rows > 0 && cols > 0; --tile) {
            const T *from = products + tile * width;
            vec half[4][MOST_SIDE];
            for (idx j = 0; j < n; ++j) {
                vec t[MOST_SIDE], y[4];
                for (idx i = 0; i < n; ++i) t[i] = load(from + (i * n + j) * it->m_stride);
                winograd_results(m, t, y);
                for (idx i = 0; i < m; ++i) half[i][j] = y[i];
            }
            for (idx i = 0; i < m; ++i) {
                vec y[4];
                winograd_results(m, half[i], y);
                for (idx j = 0; j < m; ++j)
                    store(strip + (i * cols + tile * m + j) * VL, y[j] + bias);
            }
        }
        T *to = it->y + ((at.sample * it->groups * it->F + plane) * it->P + at.p) * it->Q + at.q;
        idx size = it->P * it->Q, whole = cols == it->Q && g->dh == 1 && g->dw == 1;
        idx runs = whole ? 1 : rows, run = whole ? rows * cols : cols;
        for (idx i = 0; i < runs; ++i, to += g->dh * it->Q)
            if (g->dw == 1)
                store_lanes(to, size, lanes, strip + i * run * VL, run);
            else
                store_steps(to, g->dw, size, lanes, strip + i * run * VL, run);
        products += at.tiles * width;
    }
}

static inline idx block_start(const plan *it, idx block) {
    return part(bands(&it->tiles), it->blocks, block);
}

/* Products of `tiles` tiles and one panel of filters at one position. */
static void multiply_panel(const plan *it, idx group, idx panel, idx xi, const T *v, T *kept,
                           idx tiles) {
    idx width = width_of(it, panel), heights = row_panels(tiles);
    const T *u = it->u + group * it->slab + panel * u_stride(it, NR) * positions(it->tiles.m) +
                 xi * u_stride(it, width);
    for (idx c = 0; c < it->C; c += CHAIN)
        for (idx h = 0; h < heights; ++h) {
            idx t0 = part(tiles, heights, h), t1 = part(tiles, heights, h + 1);
            products[t1 - t0][width == NR](
                least(CHAIN, it->C - c), v + xi * it->v_stride + c * it->most_tiles + t0 * DEEP,
                it->most_tiles * DEEP, u + c * width, kept + xi * it->m_stride + t0 * width, c > 0);
        }
}

INLINE void transform_block(const plan *it, idx m, idx group, idx block, idx split, char *memory) {
    const grid *g = &it->tiles;
    idx b0 = block_start(it, block), b1 = block_start(it, block + 1);
    idx tiles = tiles_before(g, b1) - tiles_before(g, b0);
    T *v = (T *)memory, *kept = (T *)(memory + it->v_bytes);
    T *strip_y = (T *)(memory + it->v_bytes + it->m_bytes);
    strip s = make_strip(g, (T *)(memory + it->v_bytes + it->m_bytes + it->y_bytes));
    for (idx c = 0; c < it->C; c += VL)
        transform_bands(m, 0, g, &it->x, group * it->C + c, least(VL, it->C - c), b0, b1, &s,
                        v + c / DEEP * DEEP * it->most_tiles + c % DEEP, it->v_stride, DEEP);
    idx last = part(panels(it), it->splits, split + 1);
    for (idx p = part(panels(it), it->splits, split); p < last && !fastnn_stopped(); ++p) {
        for (idx xi = 0; xi < positions(m); ++xi) multiply_panel(it, group, p, xi, v, kept, tiles);
        idx width = width_of(it, p);
        for (idx f = 0; f < width; f += VL) {
            idx first = it->f0 + p * NR + f, lanes = least(VL, it->f1 - first);
            idx plane = group * it->F + first;
            T bias[VB / sizeof(T)] __attribute__((aligned(VB))) = {0};
            for (idx i = 0; it->b && i < lanes; ++i) bias[i] = it->b[plane + i];
            transform_back(it, m, kept + f, width, plane, lanes, load(bias), b0, b1, strip_y);
        }
    }
}

static void block_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    idx split = task % it->splits, block = task / it->splits % it->blocks;
    idx group = task / it->splits / it->blocks;
    char *memory = it->slots + (size_t)slot * it->slot_bytes;
    if (it->tiles.m == 2)
        transform_block(it, 2, group, block, split, memory);
    else
        transform_block(it, 4, group, block, split, memory);
}

/* Some filters, from their transforms on, of all tiles. */
static void own_filters_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    idx group = task / it->splits, split = task % it->splits;
    idx last = part(panels(it), it->splits, split + 1);
    for (idx p = part(panels(it), it->splits, split); p < last; ++p)
        filters_task(ctx, group * panels(it) + p, slot);
    for (idx block = 0; block < it->blocks; ++block)
        block_task(ctx, (group * it->blocks + block) * it->splits + split, slot);
}

/* -- the whole ------------------------------------------------------------------------------- */

/* Blocks of about `aim` tiles, and the scratch memory of one that is being worked on. */
static void cut_blocks(plan *it, const conv *v, idx aim) {
    idx m = v->tile;
    it->tiles = make_grid(m, v, it->P, it->Q, aim);
    idx all = bands(&it->tiles), widest = widest_band(&it->tiles), some = most(1, aim / widest);
    it->blocks = ceil_div(all, some);
    it->most_tiles = least(ceil_div(all, it->blocks), all) * widest;
    it->v_stride = depth(it->C) * it->most_tiles + LINE;
    it->m_stride = NR * it->most_tiles + LINE;
    it->v_bytes = line_bytes(positions(m) * it->v_stride);
    it->m_bytes = line_bytes(positions(m) * it->m_stride);
    it->y_bytes = line_bytes((m * m * widest + 2 * VL) * VL);
    it->slot_bytes = it->v_bytes + it->m_bytes + it->y_bytes + line_bytes(strip_size(&it->tiles));
}

static int run(plan *it, const conv *v) {
    idx xi = positions(v->tile), threads = v->threads;
    /* At most three quarters of the workspace for U, one for blocks. */
    idx quarter = v->workspace / 4;
    idx limit = least(3 * quarter, FILTERS) / (idx)sizeof(T) / (it->groups * xi * it->C);
    idx pass = limit < NR ? VL : limit / NR * NR;
    if (pass >= NR) pass = round_up(ceil_div(it->F, ceil_div(it->F, pass)), NR);
    pass = least(it->F, pass);
    idx aim = CELLS / (xi * depth(it->C) * (idx)sizeof(T));
    aim = most(LEAST, least(aim, MOST));
    for (cut_blocks(it, v, aim); aim > 1 && (idx)it->slot_bytes * threads > quarter;)
        cut_blocks(it, v, aim /= 2);
    threads = most(1, least(threads, quarter / (idx)it->slot_bytes));
    it->slab = ceil_div(pass, NR) * u_stride(it, pass > VL ? NR : VL) * xi;
    size_t u_bytes = line_bytes(it->groups * it->slab);
    char *memory = fastnn_scratch(u_bytes + (size_t)threads * it->slot_bytes);
    if (!memory) return FASTNN_NOMEM;
    it->u = (T *)memory;
    it->slots = memory + u_bytes;
    idx tiles = it->tiles.images * it->tiles.TP * it->tiles.TQ;
    int status = FASTNN_OK;
    for (it->f0 = 0; it->f0 < it->F && status == FASTNN_OK; it->f0 = it->f1) {
        it->f1 = least(it->F, it->f0 + pass);
        double filters = (double)it->groups * (double)it->C * (double)(it->f1 - it->f0);
        double work = filters * (double)(tiles * xi) / 32;
        /* With few tiles a thread transforms its own filters, and all tiles for them: a line that
         * another core has written costs more (1x 28x28, 128 channels: 0.39 against 0.25 ms). */
        it->splits = least(panels(it), ceil_div(threads, it->groups));
        if (it->splits * it->groups >= threads && it->splits * tiles < 4 * it->F) {
            status = fastnn_parallel_for(it->groups * it->splits, own_filters_task, it,
                                         (int)threads, work);
            continue;
        }
        /* A single image may be one block: threads share its filters then. */
        it->splits = least(panels(it), ceil_div(2 * threads, it->groups * it->blocks));
        status = fastnn_parallel_for(it->groups * panels(it), filters_task, it, (int)threads,
                                     filters * (double)xi / 8);
        if (status == FASTNN_OK)
            status = fastnn_parallel_for(it->groups * it->blocks * it->splits, block_task, it,
                                         (int)threads, work);
    }
    fastnn_scratch_release(memory);
    return status;
}

int FN(conv_winograd_forward)(const conv *v) {
    const T *x = v->x, *w = v->w;
    idx C = v->C / v->groups;
    plan it = {.x = {x, x + v->N * v->C * v->H * v->W, v->C, v->H, v->W, v->top, v->left},
               .w = w,
               .w_end = w + v->K * C * 9,
               .b = v->b,
               .y = v->y,
               .C = C,
               .F = v->K / v->groups,
               .P = v->P,
               .Q = v->Q,
               .groups = v->groups,
               .w_input = 9,
               .w_output = C * 9};
    return run(&it, v);
}

int FN(conv_winograd_backward_data)(const conv *v) {
    const T *dy = v->dy, *w = v->w;
    idx F = v->C / v->groups;
    plan it = {.x = {dy, dy + v->N * v->K * v->P * v->Q, v->K, v->P, v->Q, 2 * v->dh - v->top,
                     2 * v->dw_step - v->left},
               .w = w,
               .w_end = w + v->K * F * 9,
               .b = v->b,
               .y = v->dx,
               .C = v->K / v->groups,
               .F = F,
               .P = v->H,
               .Q = v->W,
               .groups = v->groups,
               .w_input = F * 9,
               .w_output = 9,
               .turned = 1};
    return run(&it, v);
}
