/* Cross-entropy of logits x[outer,c,inner], whose classes are not next to each other: a unit is
 * WIDE neighbouring columns, a row per lane. Included by xent.c. */

static idx column_units(const xent *v) { return v->n / v->inner * ceil_div(v->inner, WIDE); }
static idx units_per_task(const xent *v) { return most(1, KEPT / (v->c * WIDE)); }

/* Where a unit is: its first logit, its first row and how many there are. */
typedef struct {
    idx at, row, size;
} unit;

static unit unit_of(const xent *v, idx i) {
    idx blocks = ceil_div(v->inner, WIDE), outer = i / blocks, column = i % blocks * WIDE;
    return (unit){outer * v->c * v->inner + column, outer * v->inner + column,
                  least(WIDE, v->inner - column)};
}

/* Sums over c of t and of t (top - x), t = a w; NULL stands for ones, `size` columns count. */
INLINE void column_gaps(const xent *v, const T *x, const T *a, const T *w, idx size, vec top,
                        double *weight, double *gap) {
    column_sums weights = {0}, gaps = {0};
    for (idx k = 0; k < v->c; ++k) {
        vec t = a ? get(a + k * v->inner, size, 0) : splat(1);
        if (w) t *= splat(w[k]);
        add_column(&weights, t, k, v->c);
        add_column(&gaps, t * (top - get(x + k * v->inner, size, 0)), k, v->c);
    }
    memcpy(weight, weights.total, sizeof weights.total);
    memcpy(gap, gaps.total, sizeof gaps.total);
}

/* The labels of some rows; none is the label of a class where it is ignored, or where there are
 * probabilities. */
INLINE void labels_of(const xent *v, unit u, I *label) {
    for (idx j = 0; j < WIDE; ++j) label[j] = -1;
    for (idx j = 0; v->labels && j < u.size; ++j)
        label[j] = ignored(v, u.row + j) ? -1 : (I)v->labels[u.row + j];
}

INLINE void forward_unit(const xent *v, unit u) {
    const T *x = (const T *)v->x + u.at, *target = v->target ? (const T *)v->target + u.at : NULL;
    const T *w = v->w;
    T top[WIDE], high[WIDE], found[WIDE], kept[KEPT];
    I label[WIDE];
    double sum[WIDE], weight[WIDE], gap[WIDE], all_weight[WIDE], all_gap[WIDE];
    int keeps = v->c * WIDE <= KEPT;
    labels_of(v, u, label);
    column_tops(x, v->inner, v->c, u.size, top, keeps ? kept : NULL);
    for (idx i = 0; i < u.size; i += VL) {
        column_sums s = {0};
        vec t = load(top + i), at = t;
        ivec y = (ivec)load((const T *)label + i);
        for (idx k = 0; k < v->c; ++k) {
            vec e = keeps ? load(kept + k * WIDE + i) : get(x + k * v->inner + i, u.size - i, 0);
            at = select(y == (I)k, e, at);
            add_column(&s, vexp_fall(e - t), k, v->c);
        }
        store(found + i, at);
        memcpy(sum + i, s.total, sizeof s.total);
        if (target) column_gaps(v, x + i, target + i, w, u.size - i, t, weight + i, gap + i);
        if (v->smoothing > 0)
            column_gaps(v, x + i, NULL, w, u.size - i, t, all_weight + i, all_gap + i);
    }
    ends(sum, high, u.size, 1);
    for (idx j = 0; v->labels && j < u.size; ++j) { /* nothing of an ignored row, whatever it is */
        weight[j] = label[j] < 0 ? 0 : 1;
        gap[j] = label[j] < 0 ? 0 : (double)top[j] - (double)found[j];
        high[j] = label[j] < 0 ? 0 : high[j];
    }
    for (idx j = 0; v->labels && w && j < u.size; ++j) {
        if (label[j] < 0) continue;
        weight[j] = (double)w[label[j]];
        gap[j] *= weight[j];
    }
    double keep = 1 - v->smoothing, spread = v->smoothing / (double)v->c;
    double *restrict loss = v->loss + u.row;
    for (idx j = 0; j < u.size; ++j) loss[j] = keep * (gap[j] + weight[j] * (double)high[j]);
    for (idx j = 0; j < u.size; ++j) weight[j] *= keep;
    for (idx j = 0; spread > 0 && j < u.size; ++j) {
        if (v->labels && label[j] < 0) continue;
        loss[j] += spread * (all_gap[j] + all_weight[j] * (double)high[j]);
        weight[j] += spread * all_weight[j];
    }
    if (!v->state) return;
    double *tops = states(v, TOP) + u.row;
    for (idx j = 0; j < u.size; ++j) tops[j] = (double)top[j];
    memcpy(states(v, SUM) + u.row, sum, (size_t)u.size * sizeof(double));
    memcpy(states(v, WEIGHT) + u.row, weight, (size_t)u.size * sizeof(double));
}

INLINE void backward_unit(const xent *v, unit u) {
    const T *x = (const T *)v->x + u.at, *target = v->target ? (const T *)v->target + u.at : NULL;
    const T *w = v->w;
    T *dx = v->dx ? (T *)v->dx + u.at : NULL, *dt = v->dtarget ? (T *)v->dtarget + u.at : NULL;
    T top[WIDE] = {0}, gain[WIDE] = {0}, part[WIDE] = {0}, hit[WIDE] = {0}, high[WIDE];
    I label[WIDE];
    double sum[WIDE], keep = 1 - v->smoothing;
    const double *tops = states(v, TOP) + u.row, *weights = states(v, WEIGHT) + u.row;
    const double *scales = v->scale ? v->scale + u.row : NULL;
    memcpy(sum, states(v, SUM) + u.row, (size_t)u.size * sizeof(double));
    for (idx j = 0; j < u.size; ++j) top[j] = (T)tops[j];
    for (idx j = 0; j < u.size; ++j) part[j] = (T)(scales ? scales[j] : v->gain);
    for (idx j = 0; j < u.size; ++j)
        gain[j] = (T)(weights[j] * (scales ? scales[j] : v->gain) / sum[j]);
    labels_of(v, u, label);
    for (idx j = 0; j < u.size; ++j) hit[j] = (T)(keep * (scales ? scales[j] : v->gain));
    for (idx j = 0; v->labels && w && j < u.size; ++j)
        if (label[j] >= 0)
            hit[j] = (T)(keep * (scales ? scales[j] : v->gain) * (double)w[label[j]]);
    if (dt) ends(sum, high, u.size, 1);
    T spread = (T)(v->smoothing / (double)v->c);
    for (idx k = 0; k < v->c; ++k) {
        T weight = w ? w[k] : 1;
        for (idx i = 0; i < u.size; i += VL) {
            idx at = k * v->inner + i, size = u.size - i;
            vec value = get(x + at, size, 0), t = load(top + i), scale = load(part + i);
            if (dx) {
                vec d = vexp_fall(value - t) * load(gain + i);
                vec p = target ? get(target + at, size, 0) * splat((T)keep) + splat(spread)
                               : splat(spread);
                if (target || v->smoothing > 0) d -= p * scale * splat(weight);
                if (v->labels) {
                    ivec y = (ivec)load((const T *)label + i);
                    d -= (vec)((ivec)load(hit + i) & (y == (I)k));
                    d = (vec)((ivec)d & (y >= 0));
                }
                put(dx + at, size, d);
            }
            if (dt)
                put(dt + at, size,
                    (load(high + i) + (t - value)) * (scale * splat((T)keep * weight)));
        }
    }
}

static void forward_columns(void *ctx, idx task, int slot) {
    const xent *v = ctx;
    idx step = units_per_task(v);
    for (idx i = task * step; i < least(column_units(v), (task + 1) * step); ++i) {
        unit u = unit_of(v, i);
        if (u.size == WIDE) /* a constant in these loops */
            forward_unit(v, (unit){u.at, u.row, WIDE});
        else
            forward_unit(v, u);
    }
    (void)slot;
}

static void backward_columns(void *ctx, idx task, int slot) {
    const xent *v = ctx;
    idx step = units_per_task(v);
    for (idx i = task * step; i < least(column_units(v), (task + 1) * step); ++i) {
        unit u = unit_of(v, i);
        if (u.size == WIDE)
            backward_unit(v, (unit){u.at, u.row, WIDE});
        else
            backward_unit(v, u);
    }
    (void)slot;
}
