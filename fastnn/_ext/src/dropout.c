/* Dropout: y = x * scale where an element's random bits are at least `least`, else 0. The bits are
 * Philox4x32-10's: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as
 * easy as 1, 2, 3" (SC 2011), section 3.3. */
#include "simd.h"

/* A task is CHUNKS times WIDE blocks of four elements; a chunk's rounds run side by side. */
enum { WIDE = 64, CHUNKS = 64 };

typedef fastnn_dropout_args dropout;

/* bits[4 j + k] = word k of block first + j. */
static void philox(uint64_t first, const uint64_t *key, uint32_t *bits) {
    uint32_t a[WIDE], b[WIDE], c[WIDE], d[WIDE];
    for (idx j = 0; j < WIDE; ++j) {
        a[j] = (uint32_t)(first + (uint64_t)j);
        b[j] = (uint32_t)((first + (uint64_t)j) >> 32);
        c[j] = (uint32_t)key[1];
        d[j] = (uint32_t)(key[1] >> 32);
    }
    uint32_t left = (uint32_t)key[0], right = (uint32_t)(key[0] >> 32);
    for (int round = 0; round < 10; ++round) {
        for (idx j = 0; j < WIDE; ++j) {
            uint64_t one = (uint64_t)a[j] * 0xD2511F53u, two = (uint64_t)c[j] * 0xCD9E8D57u;
            a[j] = (uint32_t)(two >> 32) ^ b[j] ^ left;
            c[j] = (uint32_t)(one >> 32) ^ d[j] ^ right;
            b[j] = (uint32_t)two;
            d[j] = (uint32_t)one;
        }
        left += 0x9E3779B9u;
        right += 0xBB67AE85u;
    }
    for (idx j = 0; j < WIDE; ++j) {
        bits[4 * j] = a[j];
        bits[4 * j + 1] = b[j];
        bits[4 * j + 2] = c[j];
        bits[4 * j + 3] = d[j];
    }
}

static void chunk(const dropout *v, idx start) {
    uint32_t bits[4 * WIDE];
    idx size = least(4 * WIDE, v->size - start);
    const T *restrict x = (const T *)v->x + start;
    T *restrict y = (T *)v->y + start, scale = (T)v->scale;
    /* From 0 to 2^32, which is one more than a word can hold; in its place nothing is kept. */
    uint32_t lowest = (uint32_t)v->least, keep = v->least >> 32 ? 0 : ~(uint32_t)0;
    philox((uint64_t)start / 4, v->key, bits);
    for (idx i = 0; i < size; ++i) y[i] = (bits[i] >= lowest) & keep ? x[i] * scale : 0;
}

static void task_of(void *ctx, idx task, int slot) {
    const dropout *v = ctx;
    const idx step = 4 * WIDE, end = least(v->size, (task + 1) * CHUNKS * step);
    for (idx start = task * CHUNKS * step; start < end; start += step) chunk(v, start);
    (void)slot;
}

int FN(dropout)(const dropout *v) {
    return fastnn_parallel_for(ceil_div(v->size, 4 * WIDE * CHUNKS), task_of, (void *)v, v->threads,
                               (double)v->size * 1.5);
}
