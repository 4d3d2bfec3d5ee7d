/* Words that random numbers are computed of, as they are drawn, and values that stay once they are computed. */

#include "made.h"

uint64_t kf_draws;
uintptr_t kf_last_words;

/* What Python gives.  next_state: the node of a call's random words on a device, whatever else is to be done; recorder,
   noted: who records a function, and who notes what is drawn; generator: the one that is drawn from; canonical: a
   device's one name; shape, dtype: of the words. */
static PyObject *next_state, *recorder, *noted, *generator, *canonical, *shape, *dtype, *four, *words_name;
static PyTypeObject *buffer_class;

static PyObject *note(PyObject *node)
{
    kf_draws++;
    kf_last_words = (uintptr_t)node;
    return node;
}

/* Whether nobody but a generator has a say in what is drawn; -1 with an error set. */
static int is_usual(void)
{
    PyObject *records = PyObject_CallNoArgs(recorder), *notes = records ? PyObject_CallNoArgs(noted) : NULL;
    int usual = notes ? records == Py_None && PyTuple_Check(notes) && !PyTuple_Size(notes) : -1;
    Py_XDECREF(records);
    Py_XDECREF(notes);
    return usual;
}

/* A buffer of the next call's words. */
static PyObject *next_buffer(PyObject *device)
{
    PyObject *place = PyObject_CallFunctionObjArgs(canonical, device, NULL);
    PyObject *current = place ? PyObject_CallNoArgs(generator) : NULL;
    PyObject *host = current ? PyObject_CallMethodObjArgs(current, words_name, NULL) : NULL;
    kf_buffer *buffer = host ? kf_new(buffer_class) : NULL;
    Py_XDECREF(current);
    if (!buffer) {
        Py_XDECREF(host);
        Py_XDECREF(place);
        return NULL;
    }
    buffer->size = Py_NewRef(four);
    buffer->dtype = Py_NewRef(dtype);
    buffer->device = place;
    buffer->host = host;
    buffer->memory = Py_NewRef(Py_None);
    buffer->shared = Py_NewRef(Py_False);
    return (PyObject *)buffer;
}

/* The node of the next call's words where nothing is out of the ordinary, else None; NULL with an error set. */
static PyObject *usual_words(PyObject *device)
{
    int usual = next_state ? is_usual() : 0;
    if (usual <= 0)
        return usual ? NULL : Py_NewRef(Py_None);
    PyObject *buffer = next_buffer(device);
    PyObject *node = buffer ? (PyObject *)kf_leaf(buffer, shape, dtype) : NULL;
    Py_XDECREF(buffer);
    return node ? note(node) : NULL;
}

PyObject *kf_next_words(PyObject *device)
{
    PyObject *node = usual_words(device);
    if (node != Py_None)
        return node;
    Py_DECREF(node);
    return PyObject_CallFunctionObjArgs(next_state, device, NULL);
}

/* ------------------------------------------------------------------------------------------------- what stays */

/* Who held a node is gone, or holds another one by now. */
static PyObject *let_go(PyObject *node, PyObject *reference)
{
    if (PyDict_GetItemWithError(kf_held, node) == reference && PyDict_DelItem(kf_held, node))
        return NULL;
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

bool kf_hold(kf_tensor *tensor)
{
    static PyMethodDef callback = {"let_go", let_go, METH_O, NULL};
    PyObject *leave = kf_held ? PyCFunction_New(&callback, tensor->node) : NULL;
    PyObject *reference = leave ? PyWeakref_NewRef((PyObject *)tensor, leave) : NULL;
    bool done = reference && !PyDict_SetItem(kf_held, tensor->node, reference);
    Py_XDECREF(reference);
    Py_XDECREF(leave);
    return done || (!kf_held && !PyErr_Occurred());
}

/* -------------------------------------------------------------------------------------------------- for Python */

static PyObject *set_drawn(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *class, **kept[] = {&next_state, &recorder, &noted, &generator, &canonical, &shape, &dtype};
    PyObject *found[sizeof kept / sizeof *kept];
    if (!PyArg_ParseTuple(given, "O!OOOOOO!O:set_drawn", &PyType_Type, &class, found, found + 1, found + 2, found + 3,
                          found + 4, &PyTuple_Type, found + 5, found + 6))
        return NULL;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        kf_put(kept[i], found[i]);
    kf_put((PyObject **)&buffer_class, class);
    Py_RETURN_NONE;
}

static PyObject *usual_words_of(PyObject *module, PyObject *device)
{
    (void)module;
    return usual_words(device);
}

static PyMethodDef functions[] = {
    {"set_drawn", set_drawn, METH_VARARGS, "Takes what draws random words, and what that depends on."},
    {"usual_words", usual_words_of, METH_O, "The node of the next call's words; None where more is to be done."},
    {NULL, NULL, 0, NULL}};

int kf_add_drawn(PyObject *module)
{
    if (!four && !(four = PyLong_FromLong(4)))
        return -1;
    if (!words_name && !(words_name = PyUnicode_InternFromString("words")))
        return -1;
    return PyModule_AddFunctions(module, functions);
}
