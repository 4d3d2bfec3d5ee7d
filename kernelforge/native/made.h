/* Constants that a tensor is computed as without a kernel. */

#ifndef KF_MADE_H
#define KF_MADE_H

#include "records.h"

/* Gives a tensor whose elements are one known value memory of its own; 1 when it has it, 0 where it is another matter,
   -1 with an error set.  under: the switches that hold. */
int kf_fill(kf_tensor *tensor, PyObject *under);

/* A dictionary of nodes that are computed before what reads them, or NULL. */
extern PyObject *kf_held;

/* Has what a tensor stands for stay once it is computed: among these as long as it does; false with an error set. */
bool kf_hold(kf_tensor *tensor);

/* How many words were drawn where nothing is out of the ordinary, and which node the last ones are, or were. */
extern uint64_t kf_draws;
extern uintptr_t kf_last_words;

/* The node of the next call's words on a device; a new reference. */
PyObject *kf_next_words(PyObject *device);

#endif
