/* Calls of functions that gave several nodes before, made again on other tensors. */

#include "methods.h"

enum { MOST_NODES = 48 };

static PyObject *tuple_new; /* of Python: makes a tuple of a class */

/* The sources of a row, by their numbers among the nodes that are made; a new tuple. */
static PyObject *sources(PyObject *numbers, PyObject *const *node, Py_ssize_t made)
{
    PyObject *taken[MOST_NODES], *found;
    Py_ssize_t count = PyTuple_Size(numbers);
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t number = PyLong_AsSsize_t(PyTuple_GetItem(numbers, i));
        if (number < 0 || number >= made || count > MOST_NODES)
            return PyErr_Format(PyExc_ValueError, "a node is made of nodes before it");
        taken[i] = node[number];
    }
    if ((found = PyTuple_New(count)))
        for (Py_ssize_t i = 0; i < count; i++)
            PyTuple_SetItem(found, i, Py_NewRef(taken[i]));
    return found;
}

/* What a row gives: a node like another one, of others; a new reference. */
static PyObject *of_row(PyObject *row, PyObject *const *node, Py_ssize_t made)
{
    const kf_node *like = (kf_node *)PyTuple_GetItem(row, 0);
    PyObject *numbers = PyTuple_GetItem(row, 1);
    if (numbers == Py_None)
        return Py_NewRef((PyObject *)like);
    PyObject *src = sources(numbers, node, made);
    kf_node *found = src ? kf_interned(like->op, like->mark, src, like->attr, like->shape, like->dtype, like->device) : NULL;
    Py_XDECREF(src);
    return (PyObject *)found;
}

/* The tensors of some of the nodes, as the class has it, or the only one. */
static PyObject *results_of(PyObject *known, PyTypeObject *type, PyObject *const *node, long up)
{
    PyObject *rows = PyTuple_GetItem(known, 1), *class = PyTuple_GetItem(known, 2);
    PyObject *found = PyTuple_New(PyTuple_Size(rows));
    for (Py_ssize_t i = 0; found && i < PyTuple_Size(rows); i++) {
        PyObject *row = PyTuple_GetItem(rows, i), *made = node[PyLong_AsSsize_t(PyTuple_GetItem(row, 0))];
        PyObject *tensor = kf_wrapped(type, (kf_node *)Py_NewRef(made), PyTuple_GetItem(row, 1), up);
        if (!tensor)
            Py_CLEAR(found);
        else
            PyTuple_SetItem(found, i, tensor);
    }
    PyObject *whole = !found ? NULL : class == Py_None ? Py_NewRef(PyTuple_GetItem(found, 0))
                      : class == (PyObject *)&PyTuple_Type ? Py_NewRef(found)
                      : PyObject_CallFunctionObjArgs(tuple_new, class, found, NULL);
    Py_XDECREF(found);
    return whole;
}

/* Nodes that are made on the way belong to the line of what they are made for. */
static void place_alike(PyObject *const *node, Py_ssize_t first, Py_ssize_t count, const kf_node *result)
{
    for (Py_ssize_t i = first; i < count; i++)
        if (((kf_node *)node[i])->place == Py_None && PyTuple_Size(((kf_node *)node[i])->src))
            kf_put(&((kf_node *)node[i])->place, result->place);
}

PyObject *kf_repeated(PyObject *known, PyObject *inputs, PyTypeObject *type, long up)
{
    PyObject *node[MOST_NODES], *rows = PyTuple_GetItem(known, 0), *found = NULL;
    Py_ssize_t given = PyTuple_Size(inputs), count = given + PyTuple_Size(rows), made = 0;
    if (count > MOST_NODES)
        return Py_NewRef(Py_None);
    for (; made < given; made++)
        node[made] = Py_NewRef(PyTuple_GetItem(inputs, made));
    for (; made < count; made++)
        if (!(node[made] = of_row(PyTuple_GetItem(rows, made - given), node, made)))
            break;
    if (made == count && (found = results_of(known, type, node, up))) {
        PyObject *first = PyTuple_GetItem(PyTuple_GetItem(known, 1), 0);
        place_alike(node, given, count, (kf_node *)node[PyLong_AsSsize_t(PyTuple_GetItem(first, 0))]);
    }
    while (made)
        Py_DECREF(node[--made]);
    return found;
}

int kf_add_repeated(PyObject *module)
{
    (void)module;
    return !tuple_new && !(tuple_new = PyObject_GetAttrString((PyObject *)&PyTuple_Type, "__new__")) ? -1 : 0;
}
