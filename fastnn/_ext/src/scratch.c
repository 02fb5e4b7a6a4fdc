/* A small cache of scratch blocks. Lock-free slots: nothing to repair in a forked child. */
#define _GNU_SOURCE
#include "fastnn.h"

#include <stdatomic.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(_WIN32)
#include <malloc.h>
#endif

enum { SLOTS = 4 };
static const size_t LINE = 64, HUGE_PAGE = (size_t)2 << 20;
static const size_t KEEP = (size_t)64 << 20; /* larger blocks are not kept */

typedef struct {
    size_t bytes;
    char pad[56];
} header;

static _Atomic(header *) slots[SLOTS];

static void *aligned(size_t alignment, size_t bytes) {
#if defined(_WIN32)
    return _aligned_malloc(bytes, alignment);
#else
    void *p = NULL;
    return posix_memalign(&p, alignment, bytes) ? NULL : p;
#endif
}

static void give_back(header *block) {
#if defined(_WIN32)
    _aligned_free(block);
#else
    free(block);
#endif
}

void *fastnn_scratch(size_t bytes) {
    if (bytes > PTRDIFF_MAX / 2) return NULL;
    for (int i = 0; i < SLOTS; ++i) {
        header *block = atomic_exchange(&slots[i], NULL);
        if (!block) continue;
        if (block->bytes >= bytes) return block + 1;
        give_back(block); /* too small: the larger one that follows takes its place */
        break;
    }
    size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : LINE;
    size_t whole = (bytes + sizeof(header) + LINE - 1) / LINE * LINE;
    header *block = aligned(alignment, whole);
    if (!block) return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (alignment == HUGE_PAGE) madvise(block, whole, MADV_HUGEPAGE); /* a wish; 2 to 5 % */
#endif
    block->bytes = whole - sizeof(header);
    return block + 1;
}

void fastnn_scratch_release(void *memory) {
    if (!memory) return;
    header *block = (header *)memory - 1;
    if (block->bytes <= KEEP)
        for (int i = 0; i < SLOTS; ++i) {
            header *none = NULL;
            if (atomic_compare_exchange_strong(&slots[i], &none, block)) return;
        }
    give_back(block);
}

size_t fastnn_clear_scratch(void) {
    size_t freed = 0;
    for (int i = 0; i < SLOTS; ++i) {
        header *block = atomic_exchange(&slots[i], NULL);
        if (!block) continue;
        freed += block->bytes;
        give_back(block);
    }
    return freed;
}
