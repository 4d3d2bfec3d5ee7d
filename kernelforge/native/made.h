/* Constants that a tensor is computed as without a kernel. */

#ifndef KF_MADE_H
#define KF_MADE_H

#include "records.h"

/* Gives a tensor whose elements are one known value memory of its own; 1 when it has it, 0 where it is another matter,
   -1 with an error set.  under: the switches that hold. */
int kf_fill(kf_tensor *tensor, PyObject *under);

/* A dictionary of nodes that are computed before what reads them, or NULL. */
extern PyObject *kf_held;

#endif
