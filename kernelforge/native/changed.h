/* Tensors that changed in place and are to be computed with what shares work with them. */

#ifndef KF_CHANGED_H
#define KF_CHANGED_H

#include "records.h"

/* Whether a tensor may be computed by what is known, and whether it shows what is in memory, in any history. */
bool kf_is_plain(const kf_tensor *tensor);
bool kf_is_there(const kf_tensor *tensor);

/* What holds something while an error may be told, a dict; NULL before it is known. */
extern PyObject *kf_faults;

/* The buffer that a tensor is the row-major image of, borrowed; NULL where there is none yet. */
PyObject *kf_stored(const kf_tensor *tensor);

/* 1 where tensors are computed by now, as a graph that is known, else 0; -1 with an error set.  The caller holds them. */
int kf_computed(kf_tensor *const *tensors, Py_ssize_t count);

/* Puts behind tensors those that changed and share work with them or wait for long; new references.  How many there are then: as many as
   before where none do, and -1 where there would be more than `most`, or it is another matter. */
Py_ssize_t kf_with_changed(kf_tensor **tensors, Py_ssize_t count, Py_ssize_t most);

/* Tensors are computed, and to be computed no more; false with an error set. */
bool kf_forget_changed(kf_tensor *const *tensors, Py_ssize_t count);

/* A tensor changed, and is to be computed; false with an error set. */
bool kf_note_changed(kf_tensor *tensor);

/* Takes the dictionary of weak references to the tensors that changed, by their identities, and after how many operations
   they are computed with others in any case; who goes through it, and the list of those that go meanwhile, or None. */
PyObject *kf_heed_changed(PyObject *module, PyObject *given);

#endif
