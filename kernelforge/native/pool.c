/* Threads that share the groups of one kernel at a time.

A job is posted under a number; its chunks, runs of groups, are shared out beforehand, so that a thread works on the same
part of an array in kernel after kernel and finds it in its cache.  Who has finished its own takes from the end of what
others have left, so nobody has to arrive: a thread that is late finds nothing to do.

A claim is one exchange of one word that holds the job's number, the next chunk and the end.  It succeeds only while that
very job has chunks left, and then the job cannot end before this chunk is done.  So whoever has claimed a chunk has read
the job's fields as they are, however late it was.

Between jobs threads spin for a while, since to wake one takes longer than many a kernel, and then sleep.  One that is
woken on the processor where the job was posted moves to another: while either of the two ran there, the other would
wait, and a busy system may leave them together for long. */

#define _GNU_SOURCE
#include "pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#define PAUSE() _mm_pause()
#define PLAIN_ARITHMETIC() _mm_setcsr(0x1F80) /* as a thread begins: denormals count, nothing traps */
#else
#define PAUSE() atomic_signal_fence(memory_order_seq_cst)
#define PLAIN_ARITHMETIC() (void)0
#endif

enum {
    CHUNKS = 64,            /* most chunks of one thread: what is uneven among threads is less than one of them */
    FIELD = 16,             /* bits of a chunk's number */
    SPINS = 64,             /* looks at a word between two at the clock */
    WORKER_SPINS = 100000,  /* nanoseconds without a job after which a thread sleeps */
    CALLER_SPINS = 50000,   /* nanoseconds after which one sleeps that waits for the others' last chunks */
    TAKEN_AWAY = 200000     /* nanoseconds between two looks at the clock: others want this processor */
};

#define MASK ((UINT64_C(1) << FIELD) - 1)

static struct {
    struct {
        _Alignas(64) _Atomic uint64_t word; /* number of the job, next chunk, end */
    } claims[KF_MOST_THREADS];
    _Alignas(64) _Atomic uint32_t posted; /* number of the last job; 0 is none */
    _Atomic(kf_function) function;
    const void *_Atomic arguments;
    _Atomic uint64_t grid[KF_DIMENSIONS], groups;
    _Atomic uint32_t chunks, sharers;
    _Atomic int poster; /* processor it was posted on, -1 where the system does not tell */
    _Alignas(64) _Atomic uint32_t done; /* chunks of the job */
    _Atomic uint32_t awaited;           /* its caller sleeps until all are */
    _Alignas(64) _Atomic uint32_t sleeping;
    atomic_flag taken;
    _Atomic int threads; /* that may be */
    int started;         /* that are, the caller counted; the rest belongs to who has the pool */
    uint64_t last;       /* when the last job ended */
} pool = {.taken = ATOMIC_FLAG_INIT, .threads = 1, .started = 1};

uint64_t kf_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void sleep_on(const void *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake(const void *word, int most)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, most, NULL, NULL, 0);
}

static void run_groups(const struct kf_work *work, uint64_t first, uint64_t end)
{
    const uint64_t *grid = work->grid;
    if (first == end)
        return; /* there may be no groups at all */
    uint64_t group[KF_DIMENSIONS] = {first % grid[0], first / grid[0] % grid[1], first / grid[0] / grid[1]};
    for (uint64_t i = first; i < end; i++) {
        uint64_t given[KF_DIMENSIONS] = {group[0], group[1], group[2]};
        work->function(work->arguments, given, NULL);
        if (++group[0] == grid[0]) {
            group[0] = 0;
            if (++group[1] == grid[1]) {
                group[1] = 0;
                group[2]++;
            }
        }
    }
}

void kf_run_alone(const struct kf_work *work)
{
    run_groups(work, 0, work->groups);
}

/* Takes a chunk of a job from what a thread was given: its own from the front, another's from the end. */
static bool claim(uint32_t thread, uint32_t number, bool own, uint64_t *chunk)
{
    _Atomic uint64_t *place = &pool.claims[thread].word;
    uint64_t word = atomic_load_explicit(place, memory_order_acquire);
    while (word >> (2 * FIELD) == number) {
        uint64_t next = word >> FIELD & MASK, end = word & MASK;
        if (next >= end)
            return false;
        uint64_t left = own ? word + (UINT64_C(1) << FIELD) : word - 1;
        if (atomic_compare_exchange_weak_explicit(place, &word, left, memory_order_acq_rel, memory_order_acquire)) {
            *chunk = own ? next : end - 1;
            return true;
        }
    }
    return false;
}

/* Has this thread go on where the job's poster does not run, if it may; it may run anywhere again afterwards. */
static void move_away(int poster)
{
    cpu_set_t allowed, others;
    if (poster < 0 || poster >= CPU_SETSIZE || sched_getcpu() != poster || sched_getaffinity(0, sizeof allowed, &allowed))
        return;
    others = allowed;
    CPU_CLR(poster, &others);
    if (CPU_COUNT(&others) && !sched_setaffinity(0, sizeof others, &others))
        sched_setaffinity(0, sizeof allowed, &allowed);
}

/* Does what there is to do of a job. */
static void take_part(uint32_t thread, uint32_t number)
{
    struct kf_work work = {.function = atomic_load_explicit(&pool.function, memory_order_relaxed),
                           .arguments = atomic_load_explicit(&pool.arguments, memory_order_relaxed),
                           .groups = atomic_load_explicit(&pool.groups, memory_order_relaxed)};
    for (int i = 0; i < KF_DIMENSIONS; i++)
        work.grid[i] = atomic_load_explicit(&pool.grid[i], memory_order_relaxed);
    uint32_t chunks = atomic_load_explicit(&pool.chunks, memory_order_relaxed);
    uint32_t sharers = atomic_load_explicit(&pool.sharers, memory_order_relaxed), done = 0;
    uint64_t chunk;
    if (thread >= sharers)
        return;
    if (thread)
        move_away(atomic_load_explicit(&pool.poster, memory_order_relaxed));
    for (uint32_t i = 0; i < sharers; i++)
        while (claim((thread + i) % sharers, number, i == 0, &chunk)) {
            run_groups(&work, chunk * work.groups / chunks, (chunk + 1) * work.groups / chunks);
            done++;
        }
    if (done && atomic_fetch_add(&pool.done, done) + done == chunks && atomic_load(&pool.awaited))
        wake(&pool.done, 1);
}

/* Waits for another job than the one of a number; spins first. */
static void await_job(uint32_t number)
{
    uint64_t start = kf_now(), before = start;
    for (;;) {
        for (int i = 0; i < SPINS; i++) {
            if (atomic_load_explicit(&pool.posted, memory_order_acquire) != number)
                return;
            PAUSE();
        }
        uint64_t now = kf_now();
        if (now - start > WORKER_SPINS || now - before > TAKEN_AWAY)
            break;
        before = now;
    }
    atomic_fetch_add(&pool.sleeping, 1);
    if (atomic_load(&pool.posted) == number)
        sleep_on(&pool.posted, number);
    atomic_fetch_sub(&pool.sleeping, 1);
}

static void *work_for_ever(void *thread)
{
    uint32_t number = 0;
    PLAIN_ARITHMETIC();
    for (;;) {
        uint32_t posted = atomic_load_explicit(&pool.posted, memory_order_acquire);
        if (posted == number) {
            await_job(number);
            continue;
        }
        number = posted;
        take_part((uint32_t)(uintptr_t)thread, number);
    }
    return NULL;
}

/* A copy of a process has none of its threads. */
static void start_anew(void)
{
    pool.started = 1;
    for (int i = 0; i < KF_MOST_THREADS; i++)
        atomic_store(&pool.claims[i].word, 0); /* nobody goes on with a job of the original */
    atomic_store(&pool.sleeping, 0);
    atomic_store(&pool.awaited, 0);
    atomic_flag_clear(&pool.taken);
}

/* Starts the threads that are missing; where the system gives none, the others do the work. */
static void start_threads(int threads)
{
    static bool watched;
    pthread_attr_t attributes;
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}; /* faults of the thread itself */
    sigset_t others, before;
    pthread_t thread;
    if (!watched)
        watched = !pthread_atfork(NULL, NULL, start_anew);
    if (!watched || pthread_attr_init(&attributes))
        return;
    pthread_attr_setstacksize(&attributes, KF_STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&others);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&others, own[i]);
    pthread_sigmask(SIG_SETMASK, &others, &before); /* those are for the program's own threads */
    while (pool.started < threads && !pthread_create(&thread, &attributes, work_for_ever, (void *)(uintptr_t)pool.started))
        pool.started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

/* Posts a job; how many chunks it has. */
static uint32_t post(const struct kf_work *work, uint32_t number, uint32_t sharers)
{
    uint64_t most = (uint64_t)sharers * CHUNKS, chunks = work->groups < most ? work->groups : most;
    atomic_store_explicit(&pool.function, work->function, memory_order_relaxed);
    atomic_store_explicit(&pool.arguments, work->arguments, memory_order_relaxed);
    for (int i = 0; i < KF_DIMENSIONS; i++)
        atomic_store_explicit(&pool.grid[i], work->grid[i], memory_order_relaxed);
    atomic_store_explicit(&pool.groups, work->groups, memory_order_relaxed);
    atomic_store_explicit(&pool.chunks, (uint32_t)chunks, memory_order_relaxed);
    atomic_store_explicit(&pool.sharers, sharers, memory_order_relaxed);
    atomic_store_explicit(&pool.poster, sched_getcpu(), memory_order_relaxed);
    atomic_store_explicit(&pool.done, 0, memory_order_relaxed);
    for (uint64_t i = 0; i < sharers; i++) {
        uint64_t word = (uint64_t)number << (2 * FIELD) | i * chunks / sharers << FIELD | (i + 1) * chunks / sharers;
        atomic_store_explicit(&pool.claims[i].word, word, memory_order_release);
    }
    atomic_store(&pool.posted, number);
    return (uint32_t)chunks;
}

/* Waits until all chunks are done; most often the others have at most one each. */
static void await_end(uint32_t chunks)
{
    uint64_t start = kf_now();
    do {
        for (int i = 0; i < SPINS; i++) {
            if (atomic_load_explicit(&pool.done, memory_order_acquire) == chunks)
                return;
            PAUSE();
        }
    } while (kf_now() - start < CALLER_SPINS);
    atomic_store(&pool.awaited, 1);
    for (uint32_t done; (done = atomic_load(&pool.done)) != chunks;)
        sleep_on(&pool.done, done);
    atomic_store(&pool.awaited, 0);
}

void kf_run_together(const struct kf_work *work, bool long_enough)
{
    int threads = kf_threads();
    if (threads < 2 || work->groups < 2 || atomic_flag_test_and_set_explicit(&pool.taken, memory_order_acquire)) {
        kf_run_alone(work);
        return;
    }
    if (pool.started < threads)
        start_threads(threads);
    uint32_t sharers = (uint32_t)(threads < pool.started ? threads : pool.started);
    uint32_t number = atomic_load(&pool.posted) + 1;
    number += !number;
    uint32_t chunks = post(work, number, sharers);
    if (atomic_load(&pool.sleeping) && (long_enough || kf_now() - pool.last < WORKER_SPINS))
        wake(&pool.posted, (int)(chunks < sharers ? chunks : sharers) - 1);
    take_part(0, number);
    await_end(chunks);
    pool.last = kf_now();
    atomic_flag_clear_explicit(&pool.taken, memory_order_release);
}

void kf_set_threads(int threads)
{
    atomic_store(&pool.threads, threads < 1 ? 1 : threads > KF_MOST_THREADS ? KF_MOST_THREADS : threads);
}

int kf_threads(void)
{
    return atomic_load(&pool.threads);
}
