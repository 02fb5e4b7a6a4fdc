/* Blocks of memory that are used again: kernels' scratch, and the arrays that calls return.
 *
 * Fresh pages cost 0.1 to 0.7 us per KiB, as much as a kernel that is bound by memory. So released
 * blocks are kept, up to a number of bytes, and fitting ones are handed out again. Lock-free
 * slots: nothing to wait for, nothing to repair in a forked child. */
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

#if defined(__SANITIZE_ADDRESS__)
#define ROUNDING 1 /* so that a read of one element too many is seen */
#else
#define ROUNDING LINE
#endif

enum { SLOTS = 64 };
static const size_t LINE = 64, HUGE_PAGE = (size_t)2 << 20;

typedef struct {
    size_t bytes, asked; /* a kept block may be larger than what was asked for */
    char pad[48];
} header;

/* A block may only be looked into by whom has taken it, so its size stands beside it as a hint. */
static struct {
    _Atomic(header *) block;
    atomic_size_t bytes;
} slots[SLOTS];
static atomic_size_t kept;
static atomic_size_t most_kept = (size_t)256 << 20;
static atomic_uint oldest; /* the slot to empty next where there is no room */

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

/* The block of a slot, which is empty afterwards; NULL if it was. */
static header *take(int i) {
    header *block = atomic_exchange(&slots[i].block, NULL);
    if (block) atomic_fetch_sub(&kept, block->bytes);
    return block;
}

static size_t drop(int i) {
    header *block = take(i);
    size_t bytes = block ? block->bytes : 0;
    if (block) give_back(block);
    return bytes;
}

/* A kept block of at least `bytes` and not much more, or NULL. */
static header *find(size_t bytes) {
    size_t most = bytes + bytes / 4 + 4096;
    for (int i = 0; i < SLOTS && atomic_load(&kept); ++i) {
        size_t hint = atomic_load_explicit(&slots[i].bytes, memory_order_relaxed);
        if (hint < bytes || hint > most) continue;
        header *block = take(i);
        if (!block) continue;
        if (block->bytes >= bytes && block->bytes <= most) return block;
        fastnn_block_release(block + 1); /* the hint was out of date */
    }
    return NULL;
}

void *fastnn_block(size_t bytes) {
    if (bytes > PTRDIFF_MAX / 2) return NULL;
    header *block = find(bytes);
    if (block) return block + 1;
    size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : LINE;
    size_t whole = (bytes + sizeof(header) + ROUNDING - 1) / ROUNDING * ROUNDING;
    block = aligned(alignment, whole);
    if (!block && fastnn_clear_blocks()) block = aligned(alignment, whole);
    if (!block) return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (alignment == HUGE_PAGE) madvise(block, whole, MADV_HUGEPAGE); /* a wish; 2 to 5 % */
#endif
    block->bytes = whole - sizeof(header);
    return block + 1;
}

size_t fastnn_block_bytes(const void *memory) { return ((const header *)memory - 1)->bytes; }

void fastnn_block_release(void *memory) {
    if (!memory) return;
    header *block = (header *)memory - 1;
    size_t bytes = block->bytes, most = atomic_load(&most_kept);
    if (bytes <= most) {
        size_t now = atomic_fetch_add(&kept, bytes) + bytes;
        for (int turn = 0; now > most && turn < SLOTS; ++turn) {
            drop((int)(atomic_fetch_add(&oldest, 1) % SLOTS));
            now = atomic_load(&kept);
        }
        for (int i = 0; i < SLOTS; ++i) {
            header *none = NULL;
            if (atomic_load_explicit(&slots[i].block, memory_order_relaxed)) continue;
            if (!atomic_compare_exchange_strong(&slots[i].block, &none, block)) continue;
            atomic_store_explicit(&slots[i].bytes, bytes, memory_order_relaxed);
            return;
        }
        int i = (int)(atomic_fetch_add(&oldest, 1) % SLOTS); /* every slot is taken */
        header *old = atomic_exchange(&slots[i].block, block);
        atomic_store_explicit(&slots[i].bytes, bytes, memory_order_relaxed);
        if (!old) return;
        atomic_fetch_sub(&kept, old->bytes);
        block = old;
    }
    give_back(block);
}

size_t fastnn_clear_blocks(void) {
    size_t freed = 0;
    for (int i = 0; i < SLOTS; ++i) freed += drop(i);
    return freed;
}

void fastnn_keep_blocks(size_t bytes) {
    atomic_store(&most_kept, bytes);
    if (atomic_load(&kept) > bytes) fastnn_clear_blocks();
}

/* -- scratch of kernels, counted ------------------------------------------------------------- */

static atomic_size_t scratch_now, scratch_most;

void *fastnn_scratch(size_t bytes) {
    void *block = fastnn_block(bytes);
    if (!block) return NULL;
    ((header *)block - 1)->asked = bytes;
    size_t now = atomic_fetch_add(&scratch_now, bytes) + bytes, most = atomic_load(&scratch_most);
    while (now > most && !atomic_compare_exchange_weak(&scratch_most, &most, now)) continue;
    return block;
}

void fastnn_scratch_release(void *block) {
    if (block) atomic_fetch_sub(&scratch_now, ((header *)block - 1)->asked);
    fastnn_block_release(block);
}

size_t fastnn_scratch_most(void) {
    return atomic_exchange(&scratch_most, atomic_load(&scratch_now));
}
