/* What attributes of tensors do before a function of Python is asked. */

#ifndef KF_METHODS_H
#define KF_METHODS_H

#include "records.h"

/* The tensor a composite gives of a tuple of arguments by a recipe; None where it has none.  names: of the last of them,
   NULL where none has one.  The user's frame is so far up, or further. */
PyObject *kf_applied(PyObject *recipes, PyObject *names, PyObject *arguments, long up);

/* What rows of nodes, and which of these are results, give of the nodes of a call's tensors: `composite.repeatable`. */
PyObject *kf_repeated(PyObject *known, PyObject *inputs, PyTypeObject *type, long up);

/* The view, or views, that a method gives of a tuple of arguments: by what was kept of such a call, else what the function of Python
   gives, of which is kept how it comes about.  keywords: NULL, or others. */
PyObject *kf_viewed(PyObject *kept, PyObject *function, PyObject *arguments, PyObject *keywords);

/* The steps of a tensor's place, borrowed; NULL where it has none. */
PyObject *kf_steps_of(const kf_tensor *tensor);

/* Whether a tensor's place is one of a family as they are made. */
bool kf_has_family(const kf_tensor *tensor);

/* The node that a chain leads to from another one: for each node on the way its operation, attribute, shape and type; a new
   reference. */
kf_node *kf_walked(kf_node *from, PyObject *chain);

/* A tensor whose part, which an index names, became a value, by (self, index, value); None where Python is to do it.  kept:
   what is known of indices; ways: recipes of the tensor with a part replaced, what tells the part of a new index, and
   what is kept of the views that indices name. */
PyObject *kf_assigned(PyObject *kept, PyObject *ways, PyObject *arguments);

/* A tensor, with the value of an operation's result: what `InPlace._in_place` does. */
PyObject *kf_changed(PyObject *tensor, PyObject *result);

#endif
