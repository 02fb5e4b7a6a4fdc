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

INLINE void forward_unit(const xent *v, unit u) {
    const T *x = (const T *)v->x + u.at, *target = v->target ? (const T *)v->target + u.at : NULL;
    T top[WIDE], high[WIDE], kept[KEPT];
    double sum[WIDE], weight[2][WIDE] = {0}, gap[2][WIDE] = {0};
    int keeps = v->c * WIDE <= KEPT;
    column_tops(x, v->inner, v->c, u.size, top, keeps ? kept : NULL);
    for (idx i = 0; i < u.size; i += VL) {
        column_sums s = {0};
        vec t = load(top + i);
        for (idx k = 0; k < v->c; ++k) {
            vec e = keeps ? load(kept + k * WIDE + i) : get(x + k * v->inner + i, u.size - i, 0);
            add_column(&s, vexp_fall(e - t), k, v->c);
        }
        memcpy(sum + i, s.total, sizeof s.total);
        if (target)
            column_gaps(v, x + i, target + i, v->w, u.size - i, t, weight[0] + i, gap[0] + i);
        if (v->smoothing > 0)
            column_gaps(v, x + i, NULL, v->w, u.size - i, t, weight[1] + i, gap[1] + i);
    }
    ends(sum, high, u.size, 1);
    for (idx j = 0; j < u.size; ++j) {
        idx n = u.row + j;
        if (ignored(v, n)) {
            v->loss[n] = 0;
            continue;
        }
        gaps hit = {weight[0][j], gap[0][j]}, all = {weight[1][j], gap[1][j]};
        if (v->labels) hit = label_gap(v, n, top[j], x[(idx)v->labels[n] * v->inner + j]);
        finish_row(v, n, top[j], sum[j], (double)high[j], hit, all);
    }
}

INLINE void backward_unit(const xent *v, unit u) {
    const T *x = (const T *)v->x + u.at, *target = v->target ? (const T *)v->target + u.at : NULL;
    const T *w = v->w;
    T *dx = v->dx ? (T *)v->dx + u.at : NULL, *dt = v->dtarget ? (T *)v->dtarget + u.at : NULL;
    T top[WIDE] = {0}, gain[WIDE] = {0}, part[WIDE] = {0}, high[WIDE];
    I counts[WIDE] = {0};
    double sum[WIDE], keep = 1 - v->smoothing;
    for (idx j = 0; j < WIDE; ++j) sum[j] = 1;
    for (idx j = 0; j < u.size; ++j) {
        const double *state = v->state + (u.row + j) * STATE;
        if (ignored(v, u.row + j)) continue;
        counts[j] = -1;
        top[j] = (T)state[0];
        sum[j] = state[1];
        part[j] = (T)scale_of(v, u.row + j);
        gain[j] = (T)(state[2] * scale_of(v, u.row + j) / state[1]);
    }
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
                put(dx + at, size, (vec)((ivec)d & (ivec)load((const T *)counts + i)));
            }
            if (dt)
                put(dt + at, size,
                    (load(high + i) + (t - value)) * (scale * splat((T)keep * weight)));
        }
    }
    for (idx j = 0; dx && v->labels && j < u.size; ++j) {
        if (!counts[j]) continue;
        idx y = (idx)v->labels[u.row + j];
        dx[y * v->inner + j] -= (T)(keep * scale_of(v, u.row + j) * (w ? (double)w[y] : 1));
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
