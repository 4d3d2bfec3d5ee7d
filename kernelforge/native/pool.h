/* Kernels as functions, and the threads that run their groups.  It knows nothing of Python. */

#ifndef KF_POOL_H
#define KF_POOL_H

#include <stdbool.h>
#include <stdint.h>

enum { KF_DIMENSIONS = 3, KF_MOST_THREADS = 255, KF_STACK = 16 << 20 };

/* The machine code of a kernel: where its arguments are, the numbers of a group, and what it needs of a driver: nothing. */
typedef void (*kf_function)(const void *arguments, const uint64_t *group, void *driver);

/* All groups of a kernel on certain arguments. */
struct kf_work {
    kf_function function;
    const void *arguments;
    uint64_t grid[KF_DIMENSIONS];
    uint64_t groups;
};

/* Nanoseconds of a clock that only goes forward. */
uint64_t kf_now(void);

/* How many threads may run kernels, the caller's own included. */
void kf_set_threads(int threads);
int kf_threads(void);

/* Runs all groups, in this thread alone. */
void kf_run_alone(const struct kf_work *work);

/* Runs all groups, in several threads of which this is one; alone while another thread uses the others.
   long_enough: it takes so long that it pays to wake threads that sleep. */
void kf_run_together(const struct kf_work *work, bool long_enough);

#endif
