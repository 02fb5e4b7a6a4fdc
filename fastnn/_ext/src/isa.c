/* Which instruction sets were built, which this CPU has, and their tables of kernels. */
#include "fastnn.h"

#define TABLES(isa) extern const fastnn_kernels fastnn_table_f32_##isa, fastnn_table_f64_##isa;
TABLES(baseline)
#if defined(FASTNN_HAVE_avx2)
TABLES(avx2)
#endif
#if defined(FASTNN_HAVE_avx512)
TABLES(avx512)
#endif

typedef struct {
    const char *name;
    const fastnn_kernels *f32, *f64;
} level;

#define LEVEL(isa) {#isa, &fastnn_table_f32_##isa, &fastnn_table_f64_##isa}

static int find(level *found) {
    int n = 0;
    found[n++] = (level)LEVEL(baseline);
#if defined(FASTNN_HAVE_avx2)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return n;
    found[n++] = (level)LEVEL(avx2);
#endif
#if defined(FASTNN_HAVE_avx512)
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return n;
    found[n++] = (level)LEVEL(avx512);
#endif
    return n;
}

const char *fastnn_isa_name(int i) {
    level found[3];
    return i < find(found) ? found[i].name : NULL;
}

const fastnn_kernels *fastnn_table(int i, int is_double) {
    level found[3];
    if (i >= find(found)) return NULL;
    return is_double ? found[i].f64 : found[i].f32;
}
