/* Tensors that take the value of an operation's result: `InPlace._in_place` where nothing is out of the ordinary. */

#include "changed.h"
#include "methods.h"

/* Of views: recipes of a tensor with the elements of one replaced, and the numbers of ways that lead to one. */
static PyObject *recorder, *default_device, *any_in_place, *put_back, *numbers;

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

/* Whether a tensor takes a result as it is: no leaf, of one shape and type, and where the tensor is; -1 with an error set. */
static int is_usual(const kf_tensor *tensor, PyObject *given)
{
    const kf_tensor *result = (kf_tensor *)given;
    if (!recorder || !PyObject_TypeCheck(given, kf_tensor_type) || !is_whole(tensor) || !is_whole(result) ||
        tensor->leaf != Py_False)
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

/* The tensor that shows what a view's change changes, a new reference, and the way from it to the view: where there is one, and
   gradients flow through none of them; the view itself, and no way, where nobody else is left.  NULL where that is another matter,
   with an error set or not. */
static kf_tensor *whole_of(const kf_tensor *view, PyObject **way)
{
    if (!kf_has_family(view))
        return NULL;
    PyObject *family = PyTuple_GetItem(view->place, 0), *members = ((kf_family *)family)->members;
    PyObject *steps = kf_steps_of(view), *own = NULL;
    kf_tensor *whole = NULL;
    for (Py_ssize_t i = 0; i < PyList_Size(members); i++) {
        PyObject *member = PyList_GetItem(members, i);
        kf_tensor *other = (kf_tensor *)(PyWeakref_Check(member) ? PyWeakref_GetObject(member) : Py_None);
        if ((PyObject *)other == Py_None || other == view)
            continue;
        if (!PyObject_TypeCheck((PyObject *)other, kf_tensor_type) || !other->place)
            continue; /* it became one of its own */
        if (!kf_has_family(other))
            return NULL;
        if (PyTuple_GetItem(other->place, 0) != family || other == whole)
            continue;
        if (whole)
            return NULL;
        whole = other;
    }
    if (!whole)
        return (kf_tensor *)Py_NewRef((PyObject *)view);
    if (view->tracked == Py_True || !is_whole(whole) || whole->leaf != Py_False || whole->tracked == Py_True)
        return NULL;
    own = kf_steps_of(whole);
    Py_ssize_t before = PyTuple_Size(own), count = PyTuple_Size(steps);
    for (Py_ssize_t i = 0; i < before; i++)
        if (i >= count || PyTuple_GetItem(own, i) != PyTuple_GetItem(steps, i))
            return NULL;
    Py_INCREF((PyObject *)whole);
    *way = before < count ? PyTuple_GetSlice(steps, before, count) : NULL;
    if (!*way)
        Py_CLEAR(whole);
    return whole;
}

/* Lets a view, and the tensor it is one of, take a result: TAKEN, or ALONE where nobody else is left, OTHER where it is another
   matter, ERROR with an error set. */
enum taken { ERROR = -1, OTHER, TAKEN, ALONE };

static enum taken take(kf_tensor *view, PyObject *result)
{
    PyObject *way = NULL, *found = NULL;
    kf_tensor *whole = put_back ? whole_of(view, &way) : NULL;
    if (whole == view) {
        Py_DECREF((PyObject *)whole);
        return ALONE;
    }
    PyObject *key = whole && ((kf_tensor *)result)->tracked != Py_True ? PyTuple_Pack(2, ((kf_node *)whole->node)->shape, way) : NULL;
    PyObject *number = key ? Py_XNewRef(PyDict_GetItemWithError(numbers, key)) : NULL;
    if (number && PyLong_CheckExact(number)) {
        PyObject *arguments = PyTuple_Pack(3, whole, number, result);
        found = arguments ? kf_applied(put_back, NULL, arguments, 0) : NULL;
        Py_XDECREF(arguments);
    }
    enum taken taken = PyErr_Occurred() ? ERROR : OTHER;
    if (found && PyObject_TypeCheck(found, kf_tensor_type) && is_whole((kf_tensor *)found)) {
        kf_put(&whole->node, ((kf_tensor *)found)->node);
        kf_put(&view->node, ((kf_tensor *)result)->node);
        taken = kf_note_changed(whole) && kf_note_changed(view) ? TAKEN : ERROR;
    }
    Py_XDECREF(found);
    Py_XDECREF(number);
    Py_XDECREF(key);
    Py_XDECREF(way);
    Py_XDECREF((PyObject *)whole);
    return taken;
}

PyObject *kf_changed(PyObject *given, PyObject *result)
{
    kf_tensor *tensor = (kf_tensor *)given;
    int usual = is_usual(tensor, result);
    enum taken taken = usual > 0 && tensor->place ? take(tensor, result) : ALONE;
    if (taken == TAKEN)
        return Py_NewRef(given);
    if (taken != ALONE)
        usual = taken;
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

static PyObject *set_put_back(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *recipes, *ways;
    if (!PyArg_ParseTuple(given, "O!O!:set_put_back", &PyDict_Type, &recipes, &PyDict_Type, &ways))
        return NULL;
    kf_put(&put_back, recipes);
    kf_put(&numbers, ways);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_in_place", set_in_place, METH_VARARGS, "Takes what tells who records a function, and the default device."},
    {"set_put_back", set_put_back, METH_VARARGS, "Takes recipes of tensors with a view replaced, and the numbers of ways."},
    {NULL, NULL, 0, NULL}};

int kf_add_in_place(PyObject *module)
{
    if (!any_in_place && !(any_in_place = PyUnicode_InternFromString("_any_in_place")))
        return -1;
    return PyModule_AddFunctions(module, functions);
}
