/* Sums of contiguous rows: short chains of vectors, totals in float64. */
#ifndef FASTNN_SUMS_H
#define FASTNN_SUMS_H

#include "simd.h"

/* A chain of additions stays this short, for its error grows with its length. */
enum { CHAIN_BLOCK = 4096 };

/* In halves down to 16 bytes, then in float64. */
static inline double total(vec s) {
    typedef T quarter __attribute__((vector_size(16), may_alias));
#if VB == 64
    typedef T half __attribute__((vector_size(32), may_alias));
    half h = ((half *)&s)[0] + ((half *)&s)[1];
    quarter q = ((quarter *)&h)[0] + ((quarter *)&h)[1];
#elif VB == 32
    quarter q = ((quarter *)&s)[0] + ((quarter *)&s)[1];
#else
    quarter q = s;
#endif
#if FASTNN_BITS == 32
    return ((double)q[0] + (double)q[2]) + ((double)q[1] + (double)q[3]);
#else
    return q[0] + q[1];
#endif
}

/* The last `rest` numbers before `end` at the end of a vector, zeros before them; `end` is at least
 * VL numbers behind the row's first. */
static inline vec masked(vec v, idx rest) { return select(COUNT >= (I)(VL - rest), v, (vec){0}); }
static inline vec last_of(const T *end, idx rest) { return masked(load(end - VL), rest); }

/* The numbers of a row behind its last whole vector, in float64 and four side by side too. */
enum { QUAD = 4 };

static inline double quad_total(const double *s) { return (s[0] + s[1]) + (s[2] + s[3]); }

/* Sum of row[0 .. size). */
static inline double row_sum(const T *row, idx size) {
    double sum = 0;
    const int vectors = size >= VL;
    for (; size > 0; row += CHAIN_BLOCK, size -= CHAIN_BLOCK) {
        idx block = least(size, CHAIN_BLOCK), i = 0;
        vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
        for (; i + 4 * VL <= block; i += 4 * VL) {
            s0 += load(row + i);
            s1 += load(row + i + VL);
            s2 += load(row + i + 2 * VL);
            s3 += load(row + i + 3 * VL);
        }
        for (; i + VL <= block; i += VL) s0 += load(row + i);
        if (vectors) {
            if (i < block) s1 += last_of(row + block, block - i);
            sum += total((s0 + s1) + (s2 + s3));
            continue;
        }
        double rest[QUAD] = {0};
        for (; i + QUAD <= block; i += QUAD)
            for (idx j = 0; j < QUAD; ++j) rest[j] += (double)row[i + j];
        for (; i < block; ++i) rest[0] += (double)row[i];
        sum += quad_total(rest);
    }
    return sum;
}

/* A float64 number as the sum of two T: x - mean loses nothing when the mean is far from 0. */
typedef struct {
    T high, low;
} pair;

static inline pair split(double value) {
    T high = (T)value;
    return (pair){high, (T)(value - (double)high)};
}

typedef struct {
    double sum, squares;
} moments;

/* Add the sums of row[i] - mean and of its squares. The first corrects a mean from row_sum, whose
 * chains lose digits when the mean is large: Chan, Golub, LeVeque, "Algorithms for computing the
 * sample variance" (1983), equation 1.7. */
static inline void row_moments(const T *row, idx size, pair mean, moments *to) {
    vec high = splat(mean.high), low = splat(mean.low);
    const int vectors = size >= VL;
    for (; size > 0; row += CHAIN_BLOCK, size -= CHAIN_BLOCK) {
        idx block = least(size, CHAIN_BLOCK), i = 0;
        vec s0 = {0}, s1 = {0}, q0 = {0}, q1 = {0}, q2 = {0}, q3 = {0};
        for (; i + 4 * VL <= block; i += 4 * VL) {
            vec d0 = load(row + i) - high - low, d1 = load(row + i + VL) - high - low;
            vec d2 = load(row + i + 2 * VL) - high - low, d3 = load(row + i + 3 * VL) - high - low;
            s0 += d0 + d1;
            s1 += d2 + d3;
            q0 += d0 * d0;
            q1 += d1 * d1;
            q2 += d2 * d2;
            q3 += d3 * d3;
        }
        for (; i + VL <= block; i += VL) {
            vec d = load(row + i) - high - low;
            s0 += d;
            q0 += d * d;
        }
        if (vectors) {
            if (i < block) {
                vec d = masked(load(row + block - VL) - high - low, block - i);
                s1 += d;
                q1 += d * d;
            }
            to->sum += total(s0 + s1);
            to->squares += total((q0 + q1) + (q2 + q3));
            continue;
        }
        double sum[QUAD] = {0}, squares[QUAD] = {0};
        for (; i + QUAD <= block; i += QUAD)
            for (idx j = 0; j < QUAD; ++j) {
                double d = (double)(row[i + j] - mean.high - mean.low);
                sum[j] += d;
                squares[j] += d * d;
            }
        for (; i < block; ++i) {
            double d = (double)(row[i] - mean.high - mean.low);
            sum[0] += d;
            squares[0] += d * d;
        }
        to->sum += quad_total(sum);
        to->squares += quad_total(squares);
    }
}

/* The variance of `count` numbers from their moments about `mean`, which is corrected. */
static inline double corrected(const moments *rest, double count, double *mean) {
    double shifted = rest->sum / count, var = rest->squares / count - shifted * shifted;
    *mean += shifted;
    return var < 0 ? 0 : var;
}

typedef struct {
    double plain, product;
} product_sums;

/* Sums of dy[i] and of dy[i] * (row[i] - mean). In one pass: two streams from memory wait for each
 * other's first lines of a page no longer. */
static inline product_sums row_product_sums(const T *dy, const T *row, idx size, pair mean) {
    product_sums sum = {0, 0};
    const int vectors = size >= VL;
    vec high = splat(mean.high), low = splat(mean.low);
    for (; size > 0; row += CHAIN_BLOCK, dy += CHAIN_BLOCK, size -= CHAIN_BLOCK) {
        idx block = least(size, CHAIN_BLOCK), i = 0;
        vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, p0 = {0}, p1 = {0}, p2 = {0}, p3 = {0};
        for (; i + 4 * VL <= block; i += 4 * VL) {
            vec g0 = load(dy + i), g1 = load(dy + i + VL);
            vec g2 = load(dy + i + 2 * VL), g3 = load(dy + i + 3 * VL);
            s0 += g0;
            s1 += g1;
            s2 += g2;
            s3 += g3;
            p0 += g0 * (load(row + i) - high - low);
            p1 += g1 * (load(row + i + VL) - high - low);
            p2 += g2 * (load(row + i + 2 * VL) - high - low);
            p3 += g3 * (load(row + i + 3 * VL) - high - low);
        }
        for (; i + VL <= block; i += VL) {
            vec g = load(dy + i);
            s0 += g;
            p0 += g * (load(row + i) - high - low);
        }
        if (vectors) {
            if (i < block) {
                vec g = load(dy + block - VL), d = load(row + block - VL) - high - low;
                s1 += masked(g, block - i);
                p1 += masked(g * d, block - i);
            }
            sum.plain += total((s0 + s1) + (s2 + s3));
            sum.product += total((p0 + p1) + (p2 + p3));
            continue;
        }
        for (; i < block; ++i) {
            sum.plain += (double)dy[i];
            sum.product += (double)dy[i] * (double)(row[i] - mean.high - mean.low);
        }
    }
    return sum;
}

#endif
