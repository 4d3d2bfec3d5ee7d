/* Values of tensors as numbers of Python: what `Convert.item` gives of one that is computed, or is a known graph. */

#include "changed.h"
#include "structure.h"

#include <string.h>

static PyObject *types; /* of elements */
PyObject *kf_faults;
static char letters[] = "fdbBhHiIqQ?"; /* of these types, as `struct` has them */

/* The number at an address, of a type that has a letter; NULL with an error set. */
static PyObject *number(const void *address, char kind)
{
    union {
        float f;
        double d;
        int8_t b;
        uint8_t B;
        int16_t h;
        uint16_t H;
        int32_t i;
        uint32_t I;
        int64_t q;
        uint64_t Q;
    } value;
    memcpy(&value, address, strchr("dqQ", kind) ? 8 : strchr("fiI", kind) ? 4 : strchr("hH", kind) ? 2 : 1);
    switch (kind) {
    case 'f':
        return PyFloat_FromDouble((double)value.f);
    case 'd':
        return PyFloat_FromDouble(value.d);
    case '?':
        return PyBool_FromLong(value.B);
    case 'b':
        return PyLong_FromLong(value.b);
    case 'B':
        return PyLong_FromLong(value.B);
    case 'h':
        return PyLong_FromLong(value.h);
    case 'H':
        return PyLong_FromLong(value.H);
    case 'i':
        return PyLong_FromLong(value.i);
    case 'I':
        return PyLong_FromUnsignedLong(value.I);
    case 'q':
        return PyLong_FromLongLong(value.q);
    default:
        return PyLong_FromUnsignedLongLong(value.Q);
    }
}

/* The letter of a tensor's type; 0 where it has none. */
static char kind_of(const kf_tensor *tensor)
{
    for (Py_ssize_t i = 0; i < PyTuple_Size(types); i++)
        if (PyTuple_GetItem(types, i) == ((kf_node *)tensor->node)->dtype)
            return letters[i];
    return 0;
}

/* Where the only element of a device that is this processor lies, when no kernel may still write to it; else NULL. */
static const void *place_in(PyObject *memory)
{
    if (!memory || !PyObject_TypeCheck(memory, kf_memory_type))
        return NULL;
    const kf_block *block = (kf_block *)((kf_memory *)memory)->block;
    if (!block || !PyObject_TypeCheck((PyObject *)block, kf_block_type) || !block->last_use ||
        PyLong_AsLong(block->last_use) != 0)
        return NULL;
    return (const void *)(uintptr_t)block->address;
}

/* The only element of a tensor that is computed; None where it has others, or that is another matter. */
static PyObject *element_of(const kf_tensor *tensor, char kind)
{
    const kf_buffer *buffer = (kf_buffer *)kf_stored(tensor);
    if (!buffer || !buffer->host || !buffer->size || PyLong_AsLong(buffer->size) != 1 ||
        buffer->dtype != ((kf_node *)tensor->node)->dtype)
        Py_RETURN_NONE;
    if (buffer->host == Py_None) {
        const void *place = place_in(buffer->memory);
        return place ? number(place, kind) : Py_NewRef(Py_None);
    }
    Py_buffer view;
    if (PyObject_GetBuffer(buffer->host, &view, PyBUF_SIMPLE)) {
        PyErr_Clear(); /* no plain array */
        Py_RETURN_NONE;
    }
    PyObject *found = number(view.buf, kind);
    PyBuffer_Release(&view);
    return found;
}

/* only_value(tensor): the element of a tensor with one, computed; None where Python is to give it. */
static PyObject *only_value(PyObject *module, PyObject *given)
{
    (void)module;
    if (!PyObject_TypeCheck(given, kf_tensor_type))
        return PyErr_Format(PyExc_TypeError, "%R is no tensor", given);
    kf_tensor *tensor = (kf_tensor *)given;
    if (!types || !kf_faults || !kf_is_node(tensor->node) || kf_is_known_value((kf_node *)tensor->node))
        Py_RETURN_NONE;
    char kind = kind_of(tensor);
    int done = kind ? kf_computed(&tensor, 1) : 0;
    bool there = done > 0 && !PyDict_Size(kf_faults) && kf_is_node(tensor->node);
    if (done < 0 || PyErr_Occurred())
        return NULL;
    return there ? element_of(tensor, kind) : Py_NewRef(Py_None);
}

static PyObject *set_read(PyObject *module, PyObject *given)
{
    (void)module;
    if (!PyTuple_Check(given) || PyTuple_Size(given) != sizeof letters - 1)
        return PyErr_Format(PyExc_TypeError, "%R are no types for %s", given, letters);
    kf_put(&types, given);
    Py_RETURN_NONE;
}

static PyObject *heed_faults(PyObject *module, PyObject *pending)
{
    (void)module;
    if (!PyDict_Check(pending))
        return PyErr_Format(PyExc_TypeError, "%R is no dict", pending);
    kf_put(&kf_faults, pending);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"only_value", only_value, METH_O, "The element of a tensor that has one, as a number."},
    {"set_read", set_read, METH_O, "Takes the types of elements, in the order of their letters."},
    {"heed_faults", heed_faults, METH_O, "Takes what holds something while an error may be told."},
    {NULL, NULL, 0, NULL}};

int kf_add_read(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
