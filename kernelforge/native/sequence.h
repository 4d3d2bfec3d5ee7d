/* Sequences of kernels, and functions made of them, for the other C files. */

#ifndef KF_SEQUENCE_H
#define KF_SEQUENCE_H

#include "records.h"

extern PyTypeObject *kf_sequence_type, *kf_function_type;

/* Calls the kernels of a sequence on memories at as many addresses as it has places; false with an error set. */
bool kf_sequence_run(PyObject *sequence, const uint64_t *addresses);

/* How many addresses it needs. */
size_t kf_sequence_places(PyObject *sequence);

enum { KF_MOST_NEW = 512 }; /* memories that a function takes anew */
enum { KF_RAN_INTO_FAULTS = 2 };

/* Runs a function on buffers: 1 when it ran, KF_RAN_INTO_FAULTS when kernels found indices out of range on the way, 0
   where launches have to do it, also while such a finding is not reported yet, -1 with an error set.
   found: gets its results' memories, new references. */
int kf_function_run(PyObject *function, PyObject *const *buffers, Py_ssize_t count, PyObject *given, PyObject **found);

/* How many results a function has. */
Py_ssize_t kf_function_results(PyObject *function);

#endif
