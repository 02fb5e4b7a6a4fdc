/* Max-pooling: winners of many windows at once, one per lane.
 *
 * The winner of a window is the first maximum in row-major order, or the first NaN. Cells outside
 * the image do not take part; a window without any cell inside gives -inf and no gradient.
 *
 * A plane is cut into bands of output rows. A band's cells are laid out in phases (phases.h), where
 * a window's cell is at a fixed distance from its first one, so that the loop over windows knows no
 * rows, borders or strides. Windows of two columns side by side, the usual ones, need no phases.
 * The gradient of the image is scattered window by window, or gathered by the vector where a cell
 * is in few windows: to gather it from all windows around took up to five times as long for small
 * planes or large windows. */
#include "phases.h"
#include "vmath.h"

enum { CELLS = 4096 }; /* that the phases of a band aim at: 16 KiB of float32 */
enum { NOBODY = 255 }; /* the winner of a window without cells, if offsets are bytes */
enum { TASK = 32768 }; /* cells of a task that takes several bands */

typedef fastnn_pool_args pool;

/* Offsets of VL windows, as bytes or as words. */
typedef uint8_t bytes __attribute__((vector_size(VB / sizeof(T))));
typedef uint8_t bytesu __attribute__((vector_size(VB / sizeof(T)), aligned(1), may_alias));
typedef int32_t words __attribute__((vector_size(VB / sizeof(T) * 4)));
typedef int32_t wordsu __attribute__((vector_size(VB / sizeof(T) * 4), aligned(4), may_alias));

typedef struct {
    pool v;
    int small;              /* offsets are bytes */
    int borders;            /* there are windows that are not wholly inside */
    idx phases_h, phases_w; /* that cells of windows are in */
    idx up, across;         /* rows and columns of a phase between two of their cells */
    idx rows, pitch;        /* of a phase: of the largest band, and of one row */
    idx bands, group;       /* of a plane, of a task */
    idx *distance;          /* of a window's cells from the first */
    char *slots;
    size_t slot_bytes;
} plan;

static int has_borders(const pool *v) {
    return v->top > 0 || v->left > 0 || (v->P - 1) * v->sh - v->top + (v->R - 1) * v->dh >= v->H ||
           (v->Q - 1) * v->sw - v->left + (v->S - 1) * v->dw_step >= v->W;
}

/* Planes whose windows are apart from each other and cover all rows follow on each other. */
static pool joined(const pool *v) {
    pool w = *v;
    if (v->index || has_borders(v) || v->P * v->sh != v->H || (v->R - 1) * v->dh >= v->sh) return w;
    w.H *= v->planes;
    w.P *= v->planes;
    w.planes = 1;
    return w;
}

static inline idx cells(const pool *v) { return v->R * v->S; }
static inline idx phases(const plan *it) { return it->phases_h * it->phases_w; }
static inline idx offset_bytes(const plan *it) { return it->small ? 1 : 4; }
static inline idx phase_size(const plan *it) { return (it->rows + it->up) * it->pitch; }
/* What a vector loop over a band writes. */
static inline idx flat(const plan *it, idx rows) { return round_up(rows * it->pitch, 2 * VL); }

/* -- plans ----------------------------------------------------------------------------------- */

static plan make_plan(const pool *v) {
    idx tall = (v->R - 1) * v->dh, wide = (v->S - 1) * v->dw_step;
    plan it = {.v = *v,
               .small = cells(v) <= NOBODY,
               .borders = has_borders(v),
               .phases_h = least(v->sh, tall + 1),
               .phases_w = least(v->sw, wide + 1),
               .up = tall / v->sh,
               .across = wide / v->sw};
    it.pitch = v->Q + it.across;
    idx most_rows = most(1, CELLS / phases(&it) / it.pitch - it.up);
    it.bands = ceil_div(v->P, most_rows);
    it.rows = ceil_div(v->P, it.bands);
    it.group = ceil_div(TASK, v->sh * it.rows * it.pitch * v->sw);
    return it;
}

/* Window i sees its cell at i + distance. */
static void find_cells(const plan *it) {
    const pool *v = &it->v;
    for (idx r = 0; r < v->R; ++r)
        for (idx s = 0; s < v->S; ++s) {
            idx h = r * v->dh, w = s * v->dw_step;
            idx phase = h % v->sh * it->phases_w + w % v->sw;
            it->distance[r * v->S + s] = phase * phase_size(it) + h / v->sh * it->pitch + w / v->sw;
        }
}

/* Memory of a slot: phases of x, results, offsets, offsets for places. */
typedef struct {
    T *many, *few;
    void *offset, *told;
} memory;

static size_t slot_layout(const plan *it, char *base, memory *m) {
    size_t a = line_bytes(phases(it) * round_up(phase_size(it), 2 * VL) + it->pitch + 2 * VL);
    size_t b = line_bytes((it->rows + it->up + 1) * it->pitch + 4 * VL);
    if (m) *m = (memory){(T *)base, (T *)(base + a), base + a + b, base + a + 2 * b};
    return a + 3 * b;
}

/* -- forward --------------------------------------------------------------------------------- */

/* One cell of each window against the best so far. A NaN beats what is none; where there are no
 * NaNs, not asking takes half the time. */
static inline void contest(vec value, ivec cell, vec *best, ivec *winner, const int nans) {
    ivec take = nans ? ~(value <= *best) & (*best == *best) : value > *best;
    *best = nans ? select(take, value, *best) : larger(value, *best);
    *winner = (ivec)select(take, (vec)cell, (vec)*winner);
}

static inline void put_offset(void *offset, idx i, ivec winner, int small) {
    if (small)
        *(bytesu *)((uint8_t *)offset + i) = __builtin_convertvector(winner, bytes);
    else
        *(wordsu *)((int32_t *)offset + i) = __builtin_convertvector(winner, words);
}

/* Memory that is read soon: some of its lines are asked for with every vector of windows. */
typedef struct {
    const char *line;
    idx lines;
} ahead;

static inline void fetch(ahead *next) {
    for (idx k = 0; k < next->lines; ++k, next->line += 64) __builtin_prefetch(next->line);
}

/* `size` windows whose cells are at x[i + distance], two vectors of them at a time. */
static inline __attribute__((always_inline)) void play(const T *x, const idx *distance, idx n,
                                                       idx size, T *y, void *offset, ahead next,
                                                       const int small, const int nans) {
    for (idx i = 0; i < size; i += 2 * VL) {
        fetch(&next);
        vec b0 = load(x + i + distance[0]), b1 = load(x + i + VL + distance[0]);
        ivec w0 = {0}, w1 = {0}, cell = {0};
        for (idx c = 1; c < n; ++c) {
            const T *from = x + i + distance[c];
            cell += 1;
            contest(load(from), cell, &b0, &w0, nans);
            contest(load(from + VL), cell, &b1, &w1, nans);
        }
        store(y + i, b0);
        store(y + i + VL, b1);
        if (!offset) continue;
        put_offset(offset, i, w0, small);
        put_offset(offset, i + VL, w1, small);
    }
}

/* A vector of windows of two columns next to each other, from their cells at x. */
static inline vec play_pairs(const pool *v, const T *x, ivec *winner) {
    vec best = evens(x);
    *winner = (ivec){0};
    for (idx r = 0; r < v->R; ++r) {
        const T *row = x + r * v->dh * v->W;
        if (r) contest(evens(row), (ivec){0} + (I)(2 * r), &best, winner, 1);
        contest(odds(row), (ivec){0} + (I)(2 * r + 1), &best, winner, 1);
    }
    return best;
}

/* The same one by one, where a whole vector would reach out of an array. */
static void play_few_pairs(const pool *v, const T *x, idx size, T *y, uint8_t *offset) {
    for (idx q = 0; q < size; ++q, x += 2) {
        T best = x[0];
        idx winner = 0;
        for (idx c = 1; c < cells(v); ++c) {
            T value = x[c / 2 * v->dh * v->W + c % 2];
            if (!(value <= best) && best == best) best = value, winner = c;
        }
        y[q] = best;
        if (offset) offset[q] = (uint8_t)winner;
    }
}

/* Rows p .. p + rows - 1 of such windows. Rows shorter than a vector are written as a whole one in
 * ascending order: what is too much the next row mends. `room` are the results, from this band's
 * first, that the task owns. */
static void forward_pairs(const plan *it, idx plane, idx p, idx rows, idx room, T *y,
                          uint8_t *offset) {
    const pool *v = &it->v;
    for (idx r = 0; r < rows; ++r, y += v->Q, room -= v->Q) {
        const T *x = (const T *)v->x + (plane * v->H + (p + r) * v->sh) * v->W;
        if (v->Q < VL && room < VL) /* where so many follow, x is long enough as well */
            play_few_pairs(v, x, v->Q, y, offset);
        else
            for (idx q = 0; q < v->Q; q += VL) {
                idx at = v->Q < VL ? 0 : least(q, v->Q - VL); /* the last vector goes back a bit */
                ivec winner;
                store(y + at, play_pairs(v, x + 2 * at, &winner));
                if (offset) put_offset(offset, at, winner, 1);
            }
        if (offset) offset += v->Q;
    }
}

/* The first cell inside the image of window q of row p, or -1: the winner where all are -inf. */
static int32_t first_cell(const pool *v, idx p, idx q) {
    idx h = p * v->sh - v->top, w = q * v->sw - v->left;
    idx r = h < 0 ? ceil_div(-h, v->dh) : 0, s = w < 0 ? ceil_div(-w, v->dw_step) : 0;
    int none = r >= v->R || h + r * v->dh >= v->H || s >= v->S || w + s * v->dw_step >= v->W;
    return none ? -1 : (int32_t)(r * v->S + s);
}

static int any_lane(ivec found) {
    I any = 0;
    for (idx j = 0; j < VL; ++j) any |= found[j];
    return any != 0;
}

/* Cells outside are -inf too, and one of them may have come first. */
static void mend(const plan *it, const T *y, void *offset, idx p, idx rows) {
    const pool *v = &it->v;
    idx size = rows * v->Q, i = 0;
    ivec found = {0};
    for (; i + VL <= size; i += VL) found |= load(y + i) == splat(-(T)INFINITY);
    int any = any_lane(found);
    for (; i < size; ++i) any |= y[i] == -(T)INFINITY;
    for (i = 0; any && i < size; ++i)
        if (y[i] == -(T)INFINITY) {
            int32_t cell = first_cell(v, p + i / v->Q, i % v->Q);
            if (it->small)
                ((uint8_t *)offset)[i] = (uint8_t)cell;
            else
                ((int32_t *)offset)[i] = cell;
        }
}

/* Places in the plane from offsets of rows p .. p + rows - 1. */
static void put_index(const plan *it, const void *offset, idx p, idx rows, int64_t *index) {
    const pool *v = &it->v;
    for (idx end = p + rows; p < end; ++p)
        for (idx q = 0; q < v->Q; ++q, ++index) {
            idx i = (p + rows - end) * v->Q + q;
            int32_t cell = it->small ? ((const uint8_t *)offset)[i] : ((const int32_t *)offset)[i];
            idx first = (p * v->sh - v->top) * v->W + q * v->sw - v->left;
            if (cell < 0 || (it->small && cell == NOBODY))
                *index = -1;
            else
                *index = first + cell / v->S * v->dh * v->W + cell % v->S * v->dw_step;
        }
}

/* to[i .. i+n) = from[j .. j+n), bytes or words; whole vectors where `room` allows. */
static inline void copy_offsets(void *to, idx i, const void *from, idx j, idx n, idx room,
                                int small) {
    idx k = 0;
    if (small) {
        uint8_t *t = (uint8_t *)to + i;
        const uint8_t *f = (const uint8_t *)from + j;
        for (; k < n && k + VL <= room; k += VL) *(bytesu *)(t + k) = *(const bytesu *)(f + k);
        for (; k < n; ++k) t[k] = f[k];
    } else
        for (; k < n; ++k) ((int32_t *)to)[i + k] = ((const int32_t *)from)[j + k];
}

/* Also true if there is one in what is left of another band: that only costs time. */
static int any_nan(const T *x, idx size) {
    ivec f0 = {0}, f1 = {0};
    for (idx i = 0; i < size; i += 2 * VL) {
        vec v0 = load(x + i), v1 = load(x + i + VL);
        f0 |= v0 != v0;
        f1 |= v1 != v1;
    }
    return any_lane(f0 | f1);
}

/* Rows p .. p + rows - 1 of a plane by way of its phases. */
static void forward_band(const plan *it, const memory *m, idx plane, idx p, idx rows, T *y,
                         void *offset) {
    const pool *v = &it->v;
    const T *x = (const T *)v->x + plane * v->H * v->W;
    const T *end = (const T *)v->x + v->planes * v->H * v->W;
    T *to = m->many;
    for (idx a = 0; a < it->phases_h; ++a)
        for (idx b = 0; b < it->phases_w; ++b, to += phase_size(it))
            pack(to, rows + it->up, it->pitch, x, v->W, v->H, v->W, p * v->sh - v->top + a, v->sh,
                 b - v->left, v->sw, -(T)INFINITY, end);
    idx n = cells(v), size = flat(it, rows);
    void *offsets = offset ? m->offset : NULL;
    const T *below = x + least(v->H, most(0, (p + rows) * v->sh - v->top)) * v->W;
    ahead next = {(const char *)below,
                  rows * v->sh * v->W * (idx)sizeof(T) / 64 / most(1, size / (2 * VL)) + 1};
    if (any_nan(m->many, phases(it) * phase_size(it)))
        if (it->small)
            play(m->many, it->distance, n, size, m->few, offsets, next, 1, 1);
        else
            play(m->many, it->distance, n, size, m->few, offsets, next, 0, 1);
    else if (it->small)
        play(m->many, it->distance, n, size, m->few, offsets, next, 1, 0);
    else
        play(m->many, it->distance, n, size, m->few, offsets, next, 0, 0);
    for (idx r = 0; r < rows; ++r) {
        copy(y + r * v->Q, m->few + r * it->pitch, v->Q, (rows - r) * v->Q);
        if (offset)
            copy_offsets(offset, r * v->Q, m->offset, r * it->pitch, v->Q, (rows - r) * v->Q,
                         it->small);
    }
    if (offset && it->borders) mend(it, y, offset, p, rows);
}

/* Whether windows can be read from x as they are, in whole vectors. */
static int in_pairs(const pool *v) {
    return v->S == 2 && v->sw == 2 && v->dw_step == 1 && cells(v) <= NOBODY && !has_borders(v);
}

static void forward_task(void *ctx, idx task, int slot) {
    const plan *it = ctx;
    const pool *v = &it->v;
    memory m;
    slot_layout(it, it->slots + (size_t)slot * it->slot_bytes, &m);
    idx end = least((task + 1) * it->group, v->planes * it->bands);
    idx last = (end / it->bands * v->P + part(v->P, it->bands, end % it->bands)) * v->Q;
    for (idx i = task * it->group; i < end; ++i) {
        idx plane = i / it->bands, band = i % it->bands;
        idx p = part(v->P, it->bands, band), rows = part(v->P, it->bands, band + 1) - p;
        idx at = (plane * v->P + p) * v->Q;
        T *y = (T *)v->y + at;
        void *offset = v->offset ? (char *)v->offset + at * offset_bytes(it) : NULL;
        void *told = v->index && !offset ? m.told : offset;
        if (in_pairs(v))
            forward_pairs(it, plane, p, rows, last - at, y, told);
        else
            forward_band(it, &m, plane, p, rows, y, told);
        if (v->index) put_index(it, told, p, rows, v->index + at);
    }
}

int FN(max_pool_forward)(const pool *args) {
    pool v = joined(args);
    plan it = make_plan(&v);
    double windows = (double)v.planes * (double)(v.P * v.Q);
    double work = (double)v.planes * (double)(v.H * v.W) + windows * (double)cells(&v);
    size_t list = ((size_t)cells(&v) * sizeof(idx) + 63) / 64 * 64;
    it.slot_bytes = slot_layout(&it, NULL, NULL);
    char *base = fastnn_scratch(list + (size_t)v.threads * it.slot_bytes);
    if (!base) return FASTNN_NOMEM;
    it.distance = (idx *)base;
    it.slots = base + list;
    find_cells(&it);
    idx tasks = ceil_div(v.planes * it.bands, it.group);
    int status = fastnn_parallel_for(tasks, forward_task, &it, v.threads, work / 16);
    fastnn_scratch_release(base);
    return status;
}

/* -- backward -------------------------------------------------------------------------------- */

/* Bytes as integers. GCC's conversion goes lane by lane, in about 50 instructions. */
static inline ivec widened(const uint8_t *p) {
#if VB > 16
    ivec w;
#if FASTNN_BITS == 32
    __asm__("vpmovzxbd %1, %0" : "=v"(w) : "m"(*(const bytesu *)p));
#else
    __asm__("vpmovzxbq %1, %0" : "=v"(w) : "m"(*(const bytesu *)p));
#endif
    return w;
#else
    return __builtin_convertvector(*(const bytesu *)p, ivec);
#endif
}

static inline vec won(ivec winner, idx cell, vec g) { return (vec)((winner == (I)cell) & (ivec)g); }

/* A row of cells of windows of two columns, the window's row r. */
static inline void row_of_pairs(const pool *v, const T *dy, const uint8_t *offset, idx r, T *dx) {
    idx cell = 2 * r;
    if (2 * v->Q <= VL) {
        vec g = load(dy);
        ivec winner = widened(offset);
        store(dx, SHUFFLE(won(winner, cell, g), won(winner, cell + 1, g), ZIP_LOW));
        return;
    }
    for (idx q = 0; q < v->Q; q += VL) {
        idx at = v->Q < VL ? 0 : least(q, v->Q - VL);
        vec g = load(dy + at);
        ivec winner = widened(offset + at);
        interleave(dx + 2 * at, won(winner, cell, g), won(winner, cell + 1, g));
    }
}

static void few_of_pairs(const pool *v, const T *dy, const uint8_t *offset, idx r, T *dx) {
    for (idx w = 0; w < 2 * v->Q; ++w) dx[w] = offset[w / 2] == 2 * r + w % 2 ? dy[w / 2] : 0;
}

/* A plane whose windows are of two columns, apart from each other and all inside. Rows shorter than
 * a vector are mended by the next, as forward; the task owns dx as far as `end`. */
static void backward_pairs(const pool *v, idx plane, const T *end) {
    idx windows = v->P * v->Q, left = (v->planes - plane) * windows; /* to read */
    T *dx = (T *)v->dx + plane * v->H * v->W;
    const T *dy = (const T *)v->dy + plane * windows;
    const uint8_t *offset = (const uint8_t *)v->offset + plane * windows;
    for (idx p = 0; p < v->P; ++p, dy += v->Q, offset += v->Q, left -= v->Q)
        for (idx a = 0; a < v->sh && p * v->sh + a < v->H; ++a, dx += v->W) {
            idx r = v->dh == 1 ? a : a / v->dh;
            if (r >= v->R || r * v->dh != a) {
                memset(dx, 0, (size_t)v->W * sizeof(T));
                continue;
            }
            if (v->Q < VL && (left < VL || end - dx < 2 * VL))
                few_of_pairs(v, dy, offset, r, dx);
            else
                row_of_pairs(v, dy, offset, r, dx);
            idx rest = v->W - 2 * v->Q;
            if (rest == 1) /* the usual one, 5 ns less than memset, which a loop would become */
                dx[2 * v->Q] = 0;
            else if (rest)
                memset(dx + 2 * v->Q, 0, (size_t)rest * sizeof(T));
        }
    if (v->P * v->sh < v->H) memset(dx, 0, (size_t)((v->H - v->P * v->sh) * v->W) * sizeof(T));
}

/* The windows of AlexNet and ResNet: 3x3 cells, 2 apart, so that a cell is in four at most. Each
 * cell gathers from these, in their order. */
enum { MOST_COLUMNS = 1024 };

static int in_threes(const pool *v) {
    return v->R == 3 && v->S == 3 && v->sh == 2 && v->sw == 2 && v->dh == 1 && v->dw_step == 1 &&
           v->left <= 1 && v->Q >= VL && v->Q <= MOST_COLUMNS;
}

/* A row of windows with room for a vector on both sides, where gradients are 0. */
typedef struct {
    T g[MOST_COLUMNS + 4 * VB / sizeof(T)];
    uint8_t winner[MOST_COLUMNS + 4 * VB / sizeof(T)];
} padded_row;

static void pad_row(const pool *v, idx row, padded_row *to) {
    memset(to->g, 0, VB);
    memcpy(to->g + VL, (const T *)v->dy + row * v->Q, (size_t)v->Q * sizeof(T));
    memset(to->g + VL + v->Q, 0, 3 * VB);
    memcpy(to->winner + VL, (const uint8_t *)v->offset + row * v->Q, (size_t)v->Q);
}

/* Cells 2j and 2j + 1 of a row, from row r of the windows. Column 2m of a window's frame of
 * reference is first in window m and last in m - 1. */
static inline void gather_threes(const padded_row *from, idx j, idx r, idx left, vec *even,
                                 vec *odd) {
    idx at = VL + j - 1 + left, cell = 3 * r;
    vec g0 = load(from->g + at), g1 = load(from->g + at + 1);
    ivec w0 = widened(from->winner + at), w1 = widened(from->winner + at + 1);
    vec both = won(w0, cell + 2, g0), one = left ? won(w0, cell + 1, g0) : won(w1, cell + 1, g1);
    *(left ? odd : even) += both;
    *(left ? odd : even) += won(w1, cell, g1);
    *(left ? even : odd) += one;
}

static inline __attribute__((always_inline)) void backward_threes(const pool *v, idx plane,
                                                                  const idx left) {
    padded_row row[2];
    memset(row, 0, sizeof row);
    T *dx = (T *)v->dx + plane * v->H * v->W;
    idx ready = 0;
    for (idx h = 0; h < v->H; ++h, dx += v->W) {
        idx u = h + v->top, first = most(0, (u - 1) / 2), last = least(u / 2, v->P - 1);
        for (; ready <= last; ++ready) pad_row(v, plane * v->P + ready, &row[ready % 2]);
        for (idx j = 0; 2 * j < v->W; j += VL) {
            vec even = {0}, odd = {0};
            for (idx p = first; p <= last; ++p)
                gather_threes(&row[p % 2], j, u - 2 * p, left, &even, &odd);
            T end[2 * VB / sizeof(T)];
            idx room = v->W - 2 * j;
            interleave(room < 2 * VL ? end : dx + 2 * j, even, odd);
            if (room < 2 * VL) memcpy(dx + 2 * j, end, (size_t)room * sizeof(T));
        }
    }
}

/* Any plane, window by window. */
static inline __attribute__((always_inline)) void scatter(const pool *v, idx plane,
                                                          const idx *place, const int small) {
    idx area = v->H * v->W, at = plane * v->P * v->Q, clear = 0;
    T *dx = (T *)v->dx + plane * area;
    const T *dy = v->dy;
    for (idx p = 0; p <= v->P; ++p) {
        /* Rows are cleared when the first window comes to them. */
        idx top = p * v->sh - v->top;
        idx end = p == v->P ? v->H : least(v->H, most(0, top + (v->R - 1) * v->dh + 1));
        if (end > clear) memset(dx + clear * v->W, 0, (size_t)((end - clear) * v->W) * sizeof(T));
        clear = most(clear, end);
        for (idx q = 0; q < v->Q && p < v->P; ++q, ++at) {
            idx first = top * v->W + q * v->sw - v->left;
            if (small) {
                uint8_t cell = ((const uint8_t *)v->offset)[at];
                if (cell != NOBODY) dx[first + place[cell]] += dy[at];
            } else {
                int32_t cell = ((const int32_t *)v->offset)[at];
                if (cell >= 0)
                    dx[first + cell / v->S * v->dh * v->W + cell % v->S * v->dw_step] += dy[at];
            }
        }
    }
}

static inline idx planes_per_task(const pool *v) { return ceil_div(TASK, v->H * v->W); }

static void backward_task(void *ctx, idx task, int slot) {
    const pool *v = ctx;
    int small = cells(v) <= NOBODY, threes = in_threes(v),
        pairs = in_pairs(v) && (v->R - 1) * v->dh < v->sh;
    idx place[NOBODY + 1] = {0}, some = planes_per_task(v);
    for (idx c = 0; small && c < cells(v); ++c)
        place[c] = c / v->S * v->dh * v->W + c % v->S * v->dw_step;
    idx last = least((task + 1) * some, v->planes);
    for (idx i = task * some; i < last; ++i)
        if (pairs)
            backward_pairs(v, i, (const T *)v->dx + last * v->H * v->W);
        else if (threes && v->left)
            backward_threes(v, i, 1);
        else if (threes)
            backward_threes(v, i, 0);
        else if (small)
            scatter(v, i, place, 1);
        else
            scatter(v, i, place, 0);
    (void)slot;
}

int FN(max_pool_backward)(const pool *v) {
    double cells = (double)v->planes * (double)(v->H * v->W + 4 * v->P * v->Q);
    return fastnn_parallel_for(ceil_div(v->planes, planes_per_task(v)), backward_task, (void *)v,
                               v->threads, cells / 4);
}
