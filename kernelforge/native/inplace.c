/* Tensors that take the value of an operation's result: `InPlace._in_place` where nothing is out of the ordinary. */

#include "changed.h"
#include "methods.h"

static PyObject *recorder, *default_device, *any_in_place;

/* Whether a tensor has all its fields, and a node that has. */
static bool is_whole(const kf_tensor *tensor)
{
    return kf_is_node(tensor->node) && tensor->tracked && tensor->leaf;
}

/* Whether a node would be computed where another one is: a constant on the default device; -1 with an error set. */
static int is_at_home(const kf_node *node, const kf_node *mine)
{
    if (node->device != Py_None || mine->device == Py_None)
        return 1;
    PyObject *home = PyObject_CallNoArgs(default_device);
    int same = home ? PyObject_RichCompareBool(home, mine->device, Py_EQ) : -1;
    Py_XDECREF(home);
    return same;
}

/* Whether nothing but a tensor itself changes with it, and takes a result as it is: no leaf, no view, of one shape and type,
   and where the tensor is; -1 with an error set. */
static int is_usual(const kf_tensor *tensor, PyObject *given)
{
    const kf_tensor *result = (kf_tensor *)given;
    if (!recorder || !PyObject_TypeCheck(given, kf_tensor_type) || !is_whole(tensor) || !is_whole(result) ||
        tensor->leaf != Py_False || tensor->place)
        return 0;
    const kf_node *mine = (kf_node *)tensor->node, *node = (kf_node *)result->node;
    if (mine->dtype != node->dtype)
        return 0;
    int same = mine->shape == node->shape ? 1 : PyObject_RichCompareBool(mine->shape, node->shape, Py_EQ);
    if (same > 0)
        same = is_at_home(node, mine);
    PyObject *records = same > 0 ? PyObject_CallNoArgs(recorder) : NULL;
    Py_XDECREF(records);
    return same <= 0 ? same : !records ? -1 : records == Py_None;
}

PyObject *kf_changed(PyObject *given, PyObject *result)
{
    kf_tensor *tensor = (kf_tensor *)given;
    int usual = is_usual(tensor, result);
    if (usual > 0 && tensor->tracked == Py_True && ((kf_tensor *)result)->tracked != Py_True)
        usual = 0; /* gradients may not see the change */
    if (usual <= 0)
        return usual ? NULL : PyObject_CallMethodObjArgs(given, any_in_place, result, NULL);
    PyObject *tracked = ((kf_tensor *)result)->tracked;
    if (tracked != Py_True && tracked != kf_spent)
        tracked = tensor->tracked == Py_True ? Py_None : tensor->tracked;
    kf_put(&tensor->tracked, tracked);
    kf_put(&tensor->node, ((kf_tensor *)result)->node);
    return kf_note_changed(tensor) ? Py_NewRef(given) : NULL;
}

static PyObject *set_in_place(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *records, *device;
    if (!PyArg_ParseTuple(given, "OO:set_in_place", &records, &device))
        return NULL;
    kf_put(&recorder, records);
    kf_put(&default_device, device);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_in_place", set_in_place, METH_VARARGS, "Takes what tells who records a function, and the default device."}, {NULL, NULL, 0, NULL}};

int kf_add_in_place(PyObject *module)
{
    if (!any_in_place && !(any_in_place = PyUnicode_InternFromString("_any_in_place")))
        return -1;
    return PyModule_AddFunctions(module, functions);
}
