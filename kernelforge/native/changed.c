/* Which tensors that changed in place are computed with others: what `changed_with` of `kernelforge.tensor.convert` tells.

Nothing here runs Python but the end of what is let go of. */

#include "changed.h"
#include "structure.h"

enum { MOST_WAITING = 64 };

/* long_after: operations one after the other for which a tensor waits that is computed with whatever is. */
static PyObject *changed, *iterating, *late; /* late: identities of those that went while somebody went through them */
static Py_ssize_t long_after;

/* A tensor that waits, the graph it was found to share work with others by, or NULL. */
struct waiting {
    kf_tensor *tensor;
    struct kf_graph *graph;
};

static bool is_among(const kf_tensor *tensor, kf_tensor *const *tensors, Py_ssize_t count)
{
    bool is = false;
    for (Py_ssize_t i = 0; !is && i < count; i++)
        is = tensors[i] == tensor;
    return is;
}

/* The tensors that wait beside these, borrowed; -1 where there are too many or one is another matter. */
static Py_ssize_t find_waiting(struct waiting *found, kf_tensor *const *tensors, Py_ssize_t count)
{
    Py_ssize_t place = 0, met = 0;
    PyObject *key, *reference;
    while (PyDict_Next(changed, &place, &key, &reference)) {
        kf_tensor *tensor = (kf_tensor *)(PyWeakref_Check(reference) ? PyWeakref_GetObject(reference) : NULL);
        if (!tensor || !PyObject_TypeCheck((PyObject *)tensor, kf_tensor_type) || is_among(tensor, tensors, count) ||
            kf_is_there(tensor))
            continue;
        if (!kf_is_plain(tensor) || met == MOST_WAITING)
            return -1;
        if (!kf_is_known_value((kf_node *)tensor->node))
            found[met++] = (struct waiting){tensor, NULL};
    }
    return met;
}

/* Whether something in a graph has to be computed that keeps the number of a walk, or is a gradient of what does: gradients
   of one value share work though it is computed. */
static bool has_marked(const struct kf_graph *graph, uint64_t walk)
{
    bool has = false;
    for (Py_ssize_t i = 0; !has && i < graph->nodes; i++) {
        const kf_node *node = graph->node[i], *output = kf_is_work(node) ? kf_differentiated(node) : NULL;
        has = (node->visit >> KF_WALK == walk && kf_is_work(node)) || (output && output->visit >> KF_WALK == walk);
    }
    return has;
}

/* Finds those that share work with a graph, or with others that do, and those that wait for long; false where one is another matter. */
static bool join(struct waiting *waiting, Py_ssize_t count, const struct kf_graph *whole)
{
    for (bool again = true; again;) {
        again = false;
        for (Py_ssize_t i = 0; i < count; i++) {
            if (waiting[i].graph)
                continue;
            kf_node *node = (kf_node *)waiting[i].tensor->node;
            bool shares = node->depth >= long_after;
            uint64_t number = shares ? 1 : kf_mark_work(node);
            shares = shares || (number && has_marked(whole, number));
            for (Py_ssize_t j = 0; number && !shares && j < count; j++)
                shares = waiting[j].graph && has_marked(waiting[j].graph, number);
            if (!number || (shares && !(waiting[i].graph = kf_walk_as_needed(&node, 1, KF_PLAIN))))
                return false;
            again = again || shares;
        }
    }
    return true;
}

Py_ssize_t kf_with_changed(kf_tensor **tensors, Py_ssize_t count, Py_ssize_t most)
{
    struct waiting waiting[MOST_WAITING];
    Py_ssize_t found = changed && PyDict_Size(changed) ? find_waiting(waiting, tensors, count) : 0, all = count;
    if (found <= 0)
        return found < 0 ? -1 : count;
    kf_node *nodes[MOST_WAITING];
    if (count > MOST_WAITING)
        return -1;
    for (Py_ssize_t i = 0; i < count; i++)
        nodes[i] = (kf_node *)tensors[i]->node;
    struct kf_graph *whole = kf_walk_as_needed(nodes, count, KF_PLAIN);
    bool done = whole && join(waiting, found, whole);
    for (Py_ssize_t i = 0; i < found; i++) {
        if (!waiting[i].graph)
            continue;
        if (done && all < most)
            tensors[all++] = (kf_tensor *)Py_NewRef((PyObject *)waiting[i].tensor);
        else
            done = false;
        kf_leave(waiting[i].graph);
    }
    kf_leave(whole);
    while (!done && all > count)
        Py_DECREF((PyObject *)tensors[--all]);
    return done ? all : -1;
}

bool kf_forget_changed(kf_tensor *const *tensors, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; changed && PyDict_Size(changed) && i < count; i++) {
        PyObject *identity = PyLong_FromVoidPtr(tensors[i]);
        int is_one = identity ? PyDict_Contains(changed, identity) : -1;
        if (is_one > 0)
            is_one = PyDict_DelItem(changed, identity);
        Py_XDECREF(identity);
        if (is_one < 0)
            return false;
    }
    return true;
}

/* A tensor that changed is gone: what `WeakValueDictionary` does then. */
static PyObject *gone(PyObject *identity, PyObject *reference)
{
    if (PyDict_GetItemWithError(changed, identity) != reference) /* another one has the identity by now */
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    bool waits = iterating != Py_None && PySet_Size(iterating) > 0;
    return (waits ? PyList_Append(late, identity) : PyDict_DelItem(changed, identity)) ? NULL : Py_NewRef(Py_None);
}

bool kf_note_changed(kf_tensor *tensor)
{
    static PyMethodDef callback = {"gone", gone, METH_O, NULL};
    PyObject *identity = changed ? PyLong_FromVoidPtr(tensor) : NULL;
    PyObject *leave = identity ? PyCFunction_New(&callback, identity) : NULL;
    PyObject *reference = leave ? PyWeakref_NewRef((PyObject *)tensor, leave) : NULL;
    bool done = reference && !PyDict_SetItem(changed, identity, reference);
    Py_XDECREF(reference);
    Py_XDECREF(leave);
    Py_XDECREF(identity);
    return done || (!changed && !PyErr_Occurred());
}

PyObject *kf_heed_changed(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *tensors, *goes_on, *gone_late;
    if (!PyArg_ParseTuple(given, "O!nOO:heed_changed", &PyDict_Type, &tensors, &long_after, &goes_on, &gone_late))
        return NULL;
    if (goes_on != Py_None && (!PyAnySet_Check(goes_on) || !PyList_Check(gone_late)))
        return PyErr_Format(PyExc_TypeError, "%R and %R are no set and no list", goes_on, gone_late);
    kf_put(&changed, tensors);
    kf_put(&iterating, goes_on);
    kf_put(&late, gone_late);
    Py_RETURN_NONE;
}
