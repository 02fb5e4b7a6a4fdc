/* The one pool of threads.
 *
 * Tasks are claimed one by one from atomic words (generation << 32 | next task), and the caller
 * waits only for tasks that a worker has really claimed: a worker that wakes late finds nothing to
 * do and costs nothing. (A halted virtual CPU takes 20 to 80 us to wake, sometimes milliseconds.)
 * Which thread runs a task must not matter to its result.
 *
 * Every thread has a share of the tasks, neighbours, to begin with, and then helps the others. So
 * it is likely to find in its own cache what it wrote there in the region before: ReLU of half a
 * megabyte takes 7 us on two threads, where one list of tasks for all made it 13.
 *
 * One region runs at a time; a second Python thread that finds the pool busy runs its own tasks
 * itself, as does a task that asks for a region. After fork the child starts without workers.
 *
 * The calling thread looks for signals about every 50 ms: between tasks, in tasks that ask by
 * `fastnn_stopped`, and while it waits for a worker's last task. */
#define _GNU_SOURCE
#include "fastnn.h"

#include <limits.h>
#include <stdatomic.h>

#if defined(_WIN32)
#include <process.h>
#include <windows.h>
#else
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

enum { MAX_WORKERS = 255 };
enum { SPINS = 4000 }; /* about 20 to 40 us awake after a region, then sleep */
/* Below these a second thread gains less than the bell costs: while it spins, and asleep. */
static const double AWAKE_NS = 5e3, ASLEEP_NS = 2e4;
static const double LOOK_NS = 6e4; /* work that is worth a look at the clock */
static const uint64_t SECOND = 1000000000, CHECK_NS = 50 * 1000 * 1000, FOREVER = UINT64_MAX;
static const uint32_t CLOSED = UINT32_MAX;

/* What threads write in turn is apart from what they wait on, by two lines of a cache, for a CPU
 * may fetch them in pairs. */
#define APART _Alignas(128)

/* generation << 32 | next task of the share to claim; CLOSED: none */
enum { SHARES = 16 }; /* to open and close each takes 0.1 us */
static struct {
    APART _Atomic uint64_t ticket;
} shares[SHARES] = {[0 ... SHARES - 1] = {UINT32_MAX}};

static struct {
    APART _Atomic(fastnn_task) fn; /* these four change only while all tickets are CLOSED */
    _Atomic(void *) ctx;
    _Atomic uint32_t ntasks;
    _Atomic int threads;
    APART _Atomic uint32_t done; /* tasks finished in this generation */
    _Atomic int caller_sleeps;
    _Atomic int stopped;         /* workers need not finish their tasks */
    APART _Atomic uint32_t bell; /* rung once per region; idle workers sleep on it */
    _Atomic int sleepers;
    APART _Atomic int busy; /* a region is running */
    _Atomic int workers;    /* started so far; changes only while busy */
    uint32_t generation;    /* the same */
} pool;

static _Thread_local enum { FREE, CALLER, WORKER } role; /* not FREE: it runs tasks */

/* Of a calling thread. A call may consist of many short regions, so this outlives them. */
static _Thread_local struct {
    uint64_t looked; /* when it last looked for signals */
    double unlooked; /* estimated work of regions too short to look at the clock, in ns */
    int stopped;     /* a signal handler raised */
    int whole;       /* the region is not to be stopped */
} mine;

static int (*interrupt_check)(void);
static _Atomic unsigned forks;

void fastnn_set_interrupt_check(int (*check)(void)) { interrupt_check = check; }
unsigned fastnn_forks(void) { return atomic_load(&forks); }

/* -- what differs between systems: sleeping on a word, the clock, starting a thread ---------- */

#if defined(_WIN32)
static void sleep_while(_Atomic uint32_t *word, uint32_t value, uint64_t most_ns) {
    DWORD most_ms = most_ns == FOREVER ? INFINITE : (DWORD)(most_ns / 1000000u);
    WaitOnAddress((volatile void *)word, &value, sizeof value, most_ms);
}
static void wake_all(_Atomic uint32_t *word) { WakeByAddressAll((void *)word); }
static uint64_t now_ns(void) { return GetTickCount64() * 1000000u; }
#else
#if defined(__linux__)
static void sleep_while(_Atomic uint32_t *word, uint32_t value, uint64_t most_ns) {
    struct timespec most = {(time_t)(most_ns / SECOND), (long)(most_ns % SECOND)};
    syscall(SYS_futex, (void *)word, FUTEX_WAIT_PRIVATE, value, most_ns == FOREVER ? NULL : &most,
            NULL, 0);
}
static void wake_all(_Atomic uint32_t *word) {
    syscall(SYS_futex, (void *)word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
#else
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t rung = PTHREAD_COND_INITIALIZER;
static void sleep_while(_Atomic uint32_t *word, uint32_t value, uint64_t most_ns) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + most_ns % SECOND;
    until.tv_sec += (time_t)(most_ns / SECOND + ns / SECOND);
    until.tv_nsec = (long)(ns % SECOND);
    pthread_mutex_lock(&lock);
    if (atomic_load(word) != value) {
    } else if (most_ns == FOREVER) {
        pthread_cond_wait(&rung, &lock);
    } else {
        pthread_cond_timedwait(&rung, &lock, &until);
    }
    pthread_mutex_unlock(&lock);
}
static void wake_all(_Atomic uint32_t *word) {
    (void)word;
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&rung);
    pthread_mutex_unlock(&lock);
}
#endif
static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}
#endif

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* -- interruption ------------------------------------------------------------------------------ */

int fastnn_stopped(void) {
    if (role == WORKER) return atomic_load_explicit(&pool.stopped, memory_order_relaxed);
    if (mine.stopped || mine.whole || !interrupt_check) return mine.stopped;
    if (now_ns() - mine.looked < CHECK_NS) return 0;
    mine.stopped = interrupt_check() != 0; /* whatever calls of a handler made of it */
    mine.looked = now_ns();
    return mine.stopped;
}

/* Whether a region is so long, or so many short ones were run, that the clock is worth its 20 ns.
 */
static int worth_a_look(double nanoseconds) {
    mine.unlooked += nanoseconds;
    if (mine.unlooked < LOOK_NS) return 0;
    mine.unlooked = 0;
    return 1;
}

/* -- claiming -------------------------------------------------------------------------------- */

static int shares_of(int threads) { return threads < SHARES ? threads : SHARES; }

static uint32_t share_start(uint32_t ntasks, int threads, int share) {
    return (uint32_t)((uint64_t)ntasks * (uint64_t)share / (uint64_t)shares_of(threads));
}

/* Claim the next task of a share and run it; 0 if there is none. The fields are read before the
 * claim: if the claim succeeds, the ticket did not change in between, hence neither did they. */
static int claim_and_run(int share, int slot) {
    uint64_t ticket = atomic_load_explicit(&shares[share].ticket, memory_order_acquire);
    for (;;) {
        uint32_t next = (uint32_t)ticket;
        uint32_t ntasks = atomic_load_explicit(&pool.ntasks, memory_order_relaxed);
        int threads = atomic_load_explicit(&pool.threads, memory_order_relaxed);
        if (slot >= threads || share >= shares_of(threads) ||
            next >= share_start(ntasks, threads, share + 1))
            return 0;
        fastnn_task fn = atomic_load_explicit(&pool.fn, memory_order_relaxed);
        void *ctx = atomic_load_explicit(&pool.ctx, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (!atomic_compare_exchange_weak(&shares[share].ticket, &ticket, ticket + 1)) continue;
        fn(ctx, (idx)next, slot);
        return 1;
    }
}

/* Until it has no tasks left or the call is interrupted. */
static int run_share(int share, int slot) {
    uint32_t done = 0;
    int status = FASTNN_OK;
    while (status == FASTNN_OK && claim_and_run(share, slot)) {
        ++done;
        if (slot == 0 && fastnn_stopped()) status = FASTNN_INTERRUPTED;
    }
    if (done) atomic_fetch_add(&pool.done, done);
    if (done && slot > 0 && atomic_load(&pool.caller_sleeps)) wake_all(&pool.done);
    return status;
}

/* The thread's own share, then the others. */
static int run_shares(int slot) {
    int status = FASTNN_OK;
    for (int i = 0; i < SHARES && status == FASTNN_OK; ++i)
        status = run_share((slot + i) % SHARES, slot);
    return status;
}

static void worker_loop(int slot) {
    role = WORKER;
    for (;;) {
        uint32_t heard = atomic_load(&pool.bell);
        run_shares(slot);
        for (int spin = 0; spin < SPINS && atomic_load(&pool.bell) == heard; ++spin) relax();
        atomic_fetch_add(&pool.sleepers, 1);
        while (atomic_load(&pool.bell) == heard) sleep_while(&pool.bell, heard, FOREVER);
        atomic_fetch_sub(&pool.sleepers, 1);
    }
}

#if defined(_WIN32)
static unsigned __stdcall worker(void *slot) {
    worker_loop((int)(intptr_t)slot);
    return 0;
}
static int start_worker(int slot) {
    uintptr_t handle = _beginthreadex(NULL, 0, worker, (void *)(intptr_t)slot, 0, NULL);
    if (handle) CloseHandle((HANDLE)handle);
    return handle != 0;
}
#else
static void *worker(void *slot) {
    worker_loop((int)(intptr_t)slot);
    return NULL;
}
/* Workers take no signals: Python's handlers belong to its main thread. */
static int start_worker(int slot) {
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attributes, worker, (void *)(intptr_t)slot);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !failed;
}

/* Only the forking thread lives on in the child: there are no workers and no region there. Should
 * it have forked in a signal handler within a region, it has nothing to wait for. */
static void forget_workers(void) {
    atomic_fetch_add(&forks, 1);
    for (int i = 0; i < SHARES; ++i) atomic_store(&shares[i].ticket, CLOSED);
    atomic_store(&pool.done, atomic_load(&pool.ntasks));
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.caller_sleeps, 0);
    atomic_store(&pool.busy, 0);
    pool.workers = 0;
#if !defined(__linux__)
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&rung, NULL);
#endif
}
#endif

void fastnn_threads_init(void) {
#if !defined(_WIN32)
    pthread_atfork(NULL, NULL, forget_workers);
#endif
}

/* -- regions --------------------------------------------------------------------------------- */

static int run_serially(idx ntasks, fastnn_task fn, void *ctx, double nanoseconds) {
    int outer = role, looks = outer != WORKER && worth_a_look(nanoseconds);
    if (outer == FREE) role = CALLER;
    for (idx task = 0; task < ntasks; ++task) {
        fn(ctx, task, 0);
        if (looks && fastnn_stopped()) break;
    }
    int stopped = outer == WORKER ? fastnn_stopped() : mine.stopped;
    role = outer;
    if (outer == FREE) mine.stopped = 0;
    return stopped ? FASTNN_INTERRUPTED : FASTNN_OK;
}

static void open_region(uint32_t ntasks, fastnn_task fn, void *ctx, int threads) {
    uint64_t generation = ++pool.generation;
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&pool.fn, fn, memory_order_relaxed);
    atomic_store_explicit(&pool.ctx, ctx, memory_order_relaxed);
    atomic_store_explicit(&pool.ntasks, ntasks, memory_order_relaxed);
    atomic_store_explicit(&pool.threads, threads, memory_order_relaxed);
    atomic_store_explicit(&pool.done, 0, memory_order_relaxed);
    atomic_store_explicit(&pool.stopped, 0, memory_order_relaxed);
    for (int i = 0; i < shares_of(threads); ++i)
        atomic_store_explicit(&shares[i].ticket, generation << 32 | share_start(ntasks, threads, i),
                              memory_order_release);
    atomic_fetch_add(&pool.bell, 1);
    if (atomic_load(&pool.sleepers)) wake_all(&pool.bell);
}

/* Close the tickets; the number of tasks that were claimed. */
static uint32_t close_region(uint32_t ntasks, int threads) {
    uint32_t claimed = 0;
    for (int i = 0; i < shares_of(threads); ++i) {
        uint64_t ticket = atomic_load(&shares[i].ticket);
        while (!atomic_compare_exchange_weak(&shares[i].ticket, &ticket, ticket | CLOSED)) {}
        uint32_t next = (uint32_t)ticket, stop = share_start(ntasks, threads, i + 1);
        claimed += (next < stop ? next : stop) - share_start(ntasks, threads, i);
    }
    return claimed;
}

/* Wait until all that was claimed is done. An interruption asks the workers to be quick. */
static int wait_for_claimed(uint32_t claimed, int status) {
    if (status != FASTNN_OK) atomic_store(&pool.stopped, 1);
    for (int spin = 0; spin < SPINS; ++spin) {
        if (atomic_load(&pool.done) >= claimed) return status;
        relax();
    }
    atomic_store(&pool.caller_sleeps, 1);
    uint32_t done;
    while ((done = atomic_load(&pool.done)) < claimed) {
        sleep_while(&pool.done, done, CHECK_NS);
        if (status != FASTNN_OK || !fastnn_stopped()) continue;
        status = FASTNN_INTERRUPTED;
        atomic_store(&pool.stopped, 1);
    }
    atomic_store(&pool.caller_sleeps, 0);
    return status;
}

static int worth_a_bell(int threads, double nanoseconds) {
    if (nanoseconds >= ASLEEP_NS) return 1;
    return nanoseconds >= AWAKE_NS && pool.workers >= threads - 1 &&
           !atomic_load_explicit(&pool.sleepers, memory_order_relaxed);
}

int fastnn_parallel_for(idx ntasks, fastnn_task fn, void *ctx, int threads, double nanoseconds) {
    if (threads > MAX_WORKERS + 1) threads = MAX_WORKERS + 1;
    if (threads > ntasks) threads = (int)ntasks;
    if (threads <= 1 || !worth_a_bell(threads, nanoseconds) || role != FREE ||
        ntasks >= (idx)CLOSED || atomic_exchange(&pool.busy, 1))
        return run_serially(ntasks, fn, ctx, nanoseconds);
    while (pool.workers < threads - 1 && start_worker(pool.workers + 1)) ++pool.workers;
    role = CALLER;
    open_region((uint32_t)ntasks, fn, ctx, threads);
    int status = run_shares(0);
    status = wait_for_claimed(close_region((uint32_t)ntasks, threads), status);
    role = FREE;
    mine.stopped = 0;
    atomic_store(&pool.busy, 0);
    return status;
}

int fastnn_parallel_whole(idx ntasks, fastnn_task fn, void *ctx, int threads, double nanoseconds) {
    mine.whole = 1;
    int status = fastnn_parallel_for(ntasks, fn, ctx, threads, nanoseconds);
    mine.whole = 0;
    return status;
}
