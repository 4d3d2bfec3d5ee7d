/* Few elements between tensors and NumPy's arrays: copied at once, where they lie on the host and nothing still runs. */

#include "changed.h"
#include "structure.h"

#include <string.h>

enum { MOST_BYTES = 1 << 18, /* copied while other Python threads wait */ MOST_DIMS = 16,
       PART = 512 /* elements of a mask that are looked at before others */ };

/* What Python gives.  types: of NumPy, by types of elements whose values are stored as they are, and the other way round;
   empty: makes an array. */
static PyObject *numpy_types, *own_types, *empty, *int32_type, *bool_type, *dtype_name, *flatten_name, *shape_name;
static PyTypeObject *buffer_class;

/* Elements of a tensor, as they lie in so many bytes or fewer; keeps: what these belong to. */
struct elements {
    const char *first;
    Py_ssize_t count, room;
    kf_node *node;
    PyObject *keeps;
};

static Py_ssize_t size_of(PyObject *shape)
{
    Py_ssize_t size = 1;
    for (Py_ssize_t i = 0; i < PyTuple_Size(shape); i++)
        size *= PyLong_AsSsize_t(PyTuple_GetItem(shape, i));
    return size;
}

/* Where elements lie that were copied to a device which is this processor, when no kernel may still write to them. */
static bool find_in_memory(PyObject *memory, struct elements *found)
{
    const kf_memory *given = (kf_memory *)memory;
    if (!memory || !PyObject_TypeCheck(memory, kf_memory_type) || !given->nbytes || !PyLong_Check(given->nbytes))
        return false;
    const kf_block *block = (kf_block *)given->block;
    if (!block || !PyObject_TypeCheck((PyObject *)block, kf_block_type) || !block->last_use || !block->address ||
        PyLong_AsLong(block->last_use) != 0)
        return false;
    found->first = (const char *)(uintptr_t)block->address;
    found->room = PyLong_AsSsize_t(given->nbytes);
    return true;
}

/* The same of elements in an array, which nobody else has. */
static bool find_in_array(PyObject *array, struct elements *found)
{
    Py_buffer view;
    if (PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)) {
        PyErr_Clear(); /* they do not lie one after another */
        return false;
    }
    found->first = view.buf;
    found->room = view.len;
    PyBuffer_Release(&view);
    return true;
}

/* Whether few elements of a tensor are there, and where; if so they are held. */
static bool find(const kf_tensor *tensor, struct elements *found)
{
    const kf_buffer *buffer = (kf_buffer *)kf_stored(tensor);
    kf_node *node = (kf_node *)tensor->node;
    if (!buffer || !buffer->size || !buffer->host || buffer->dtype != node->dtype)
        return false;
    PyObject *keeps = buffer->host == Py_None ? buffer->memory : buffer->host;
    bool there = buffer->host == Py_None ? find_in_memory(keeps, found) : find_in_array(keeps, found);
    found->count = size_of(node->shape);
    there = there && found->count > 0 && PyLong_AsSsize_t(buffer->size) == found->count && found->room >= found->count &&
            found->room <= MOST_BYTES && !PyErr_Occurred();
    if (there) {
        found->node = (kf_node *)Py_NewRef((PyObject *)node);
        found->keeps = Py_NewRef(keeps);
    }
    return there;
}

static void leave(struct elements *found)
{
    Py_DECREF((PyObject *)found->node);
    Py_DECREF(found->keeps);
}

/* The same, of a tensor that is computed first where its graph is known; 1 when they are there, 0 where that is another
   matter, -1 with an error set. */
static int look(PyObject *given, struct elements *found)
{
    kf_tensor *tensor = (kf_tensor *)given;
    if (!PyObject_TypeCheck(given, kf_tensor_type)) {
        PyErr_Format(PyExc_TypeError, "%R is no tensor", given);
        return -1;
    }
    if (!empty || !kf_faults || !kf_is_node(tensor->node) || kf_is_known_value((kf_node *)tensor->node))
        return 0;
    int done = kf_computed(&tensor, 1);
    bool there = done > 0 && !PyDict_Size(kf_faults) && kf_is_node(tensor->node) && find(tensor, found);
    return done < 0 || PyErr_Occurred() ? -1 : there;
}

/* A new array of a shape and NumPy's type, and where its elements lie, in so many bytes at most; NULL with an error set. */
static PyObject *new_array(PyObject *shape, PyObject *type, Py_ssize_t most, Py_buffer *view)
{
    PyObject *array = PyObject_CallFunctionObjArgs(empty, shape, type, NULL);
    if (array && PyObject_GetBuffer(array, view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS))
        Py_CLEAR(array);
    if (array && view->len > most) {
        PyErr_Format(PyExc_ValueError, "an array of %zd bytes, at most %zd were expected", view->len, most);
        PyBuffer_Release(view);
        Py_CLEAR(array);
    }
    return array;
}

/* array_of(tensor): a copy of a tensor's elements; None where Python is to give it. */
static PyObject *array_of(PyObject *module, PyObject *given)
{
    (void)module;
    struct elements from;
    Py_buffer view;
    int there = look(given, &from);
    if (there <= 0)
        return there < 0 ? NULL : Py_NewRef(Py_None);
    PyObject *type = PyDict_GetItemWithError(numpy_types, from.node->dtype);
    PyObject *array = type ? new_array(from.node->shape, type, from.room, &view) : NULL;
    if (array) {
        memcpy(view.buf, from.first, (size_t)view.len);
        PyBuffer_Release(&view);
    }
    leave(&from);
    return array || PyErr_Occurred() ? array : Py_NewRef(Py_None);
}

/* A leaf of a flat array, which it takes the reference of; NULL with an error set. */
static PyObject *leaf_of(PyObject *array, Py_ssize_t count, PyObject *dtype, PyObject *device, PyObject *shape)
{
    PyObject *size = array ? PyLong_FromSsize_t(count) : NULL;
    kf_buffer *buffer = size ? kf_new(buffer_class) : NULL;
    if (!buffer) {
        Py_XDECREF(size);
        Py_XDECREF(array);
        return NULL;
    }
    buffer->size = size;
    buffer->host = array;
    buffer->dtype = Py_NewRef(dtype);
    buffer->device = Py_NewRef(device);
    buffer->memory = Py_NewRef(Py_None);
    buffer->shared = Py_NewRef(Py_False);
    PyObject *node = (PyObject *)kf_leaf((PyObject *)buffer, shape, dtype);
    Py_DECREF((PyObject *)buffer);
    return node;
}

/* leaf_of_array(array, dtype, device): the leaf of a copy of an array; None where its type, or the one wanted, says that
   Python is to make it. */
static PyObject *leaf_of_array(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    if (count != 3 || !empty)
        return PyErr_Format(PyExc_TypeError, "leaf_of_array takes an array, a dtype and a device");
    PyObject *kind = PyObject_GetAttr(given[0], dtype_name), *node = NULL;
    PyObject *dtype = kind ? PyDict_GetItemWithError(own_types, kind) : NULL;
    Py_XDECREF(kind);
    if (!dtype || (given[1] != Py_None && given[1] != dtype))
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    PyObject *shape = PyObject_GetAttr(given[0], shape_name);
    PyObject *flat = shape ? PyObject_CallMethodObjArgs(given[0], flatten_name, NULL) : NULL; /* always a copy */
    if (flat && PyTuple_CheckExact(shape))
        node = leaf_of(Py_NewRef(flat), size_of(shape), dtype, given[2], shape);
    Py_XDECREF(flat);
    Py_XDECREF(shape);
    return node || PyErr_Occurred() ? node : Py_NewRef(Py_None);
}

/* How many of some bytes, each 0 or 1, are 1. */
static Py_ssize_t count_true(const char *bytes, Py_ssize_t count)
{
    Py_ssize_t found = 0;
    for (Py_ssize_t i = 0; i < count; i++)
        found += bytes[i] != 0;
    return found;
}

/* Notes which of a few bytes are not 0, without a branch, and how many. */
static Py_ssize_t true_among(const char *bytes, Py_ssize_t count, int32_t *places)
{
    Py_ssize_t found = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        places[found] = (int32_t)i;
        found += bytes[i] != 0;
    }
    return found;
}

/* Writes the places of the true elements of a row, which has a place itself; where the next ones go. */
static int32_t *put_row(const char *row, Py_ssize_t size, const int32_t *place, Py_ssize_t before, int32_t *to)
{
    int32_t found[PART];
    for (Py_ssize_t first = 0; first < size; first += PART) {
        Py_ssize_t count = true_among(row + first, size - first < PART ? size - first : PART, found);
        for (Py_ssize_t i = 0; i < count; i++, to += before + 1) {
            for (Py_ssize_t dim = 0; dim < before; dim++)
                to[dim] = place[dim];
            to[before] = (int32_t)first + found[i];
        }
    }
    return to;
}

/* Writes the places of the true elements of a mask, one after another. */
static void put_places(const struct elements *mask, Py_ssize_t dims, int32_t *to)
{
    Py_ssize_t size[MOST_DIMS] = {1}, last = dims - 1;
    int32_t place[MOST_DIMS] = {0};
    for (Py_ssize_t i = 0; i < dims; i++)
        size[i] = PyLong_AsSsize_t(PyTuple_GetItem(mask->node->shape, i));
    for (Py_ssize_t row = 0; row < mask->count; row += size[last]) {
        to = put_row(mask->first + row, size[last], place, last, to);
        for (Py_ssize_t dim = last - 1; dim >= 0 && ++place[dim] == size[dim]; dim--)
            place[dim] = 0;
    }
}

/* A pair of sizes, or what is left of a shape behind a size. */
static PyObject *shape_behind(Py_ssize_t first, PyObject *shape, Py_ssize_t from)
{
    Py_ssize_t count = PyTuple_Size(shape) - from;
    PyObject *found = PyTuple_New(count + 1), *size = PyLong_FromSsize_t(first);
    if (!found || !size) {
        Py_XDECREF(found);
        Py_XDECREF(size);
        return NULL;
    }
    PyTuple_SetItem(found, 0, size);
    for (Py_ssize_t i = 0; i < count; i++)
        PyTuple_SetItem(found, i + 1, Py_NewRef(PyTuple_GetItem(shape, from + i)));
    return found;
}

/* The leaf of the places of a mask's true elements, NULL with an error set. */
static PyObject *leaf_of_places(const struct elements *mask, Py_ssize_t dims)
{
    Py_buffer view;
    Py_ssize_t found = count_true(mask->first, mask->count);
    PyObject *shape = Py_BuildValue("(nn)", found, dims), *flat = shape ? PyLong_FromSsize_t(found * dims) : NULL;
    PyObject *type = flat ? PyDict_GetItemWithError(numpy_types, int32_type) : NULL, *node = NULL;
    PyObject *array = type ? new_array(flat, type, found * dims * 4, &view) : NULL;
    if (array) {
        put_places(mask, dims, view.buf);
        PyBuffer_Release(&view);
        node = leaf_of(array, found * dims, int32_type, mask->node->device, shape);
    }
    Py_XDECREF(flat);
    Py_XDECREF(shape);
    return node;
}

/* places_of_true(mask): the leaf [count, dims] of the places of a mask's true elements, in order; None where Python is to
   find them. */
static PyObject *places_of_true(PyObject *module, PyObject *given)
{
    (void)module;
    struct elements mask;
    int there = look(given, &mask);
    if (there <= 0)
        return there < 0 ? NULL : Py_NewRef(Py_None);
    Py_ssize_t dims = PyTuple_Size(mask.node->shape);
    bool is_usual = mask.node->dtype == bool_type && mask.node->device != Py_None && dims && dims <= MOST_DIMS;
    PyObject *node = is_usual ? leaf_of_places(&mask, dims) : Py_NewRef(Py_None);
    leave(&mask);
    return node;
}

/* Whether a mask has the sizes of a tensor's first dimensions. */
static bool is_mask_of(const kf_node *mask, const kf_node *whole)
{
    Py_ssize_t dims = PyTuple_Size(mask->shape);
    bool fits = dims && dims <= PyTuple_Size(whole->shape);
    for (Py_ssize_t i = 0; fits && i < dims; i++)
        fits = PyLong_AsSsize_t(PyTuple_GetItem(mask->shape, i)) == PyLong_AsSsize_t(PyTuple_GetItem(whole->shape, i));
    return fits;
}

/* Copies the rows of so many bytes whose element of a mask is true. */
static void put_rows(const struct elements *from, const struct elements *mask, Py_ssize_t width, char *to)
{
    int32_t found[PART];
    for (Py_ssize_t first = 0; width && first < mask->count; first += PART) {
        const char *rows = from->first + first * width;
        Py_ssize_t count = true_among(mask->first + first, mask->count - first < PART ? mask->count - first : PART, found);
        for (Py_ssize_t i = 0; i < count; i++, to += width) {
            if (width == 4)
                memcpy(to, rows + 4 * found[i], 4);
            else
                memcpy(to, rows + width * found[i], (size_t)width);
        }
    }
}

/* The leaf of the rows of elements where a mask is true; None where that is another matter, NULL with an error set. */
static PyObject *leaf_of_rows(const struct elements *from, const struct elements *mask)
{
    Py_buffer view;
    PyObject *type = PyDict_GetItemWithError(numpy_types, from->node->dtype), *node = NULL;
    if (!type || mask->node->dtype != bool_type || from->node->device == Py_None || !is_mask_of(mask->node, from->node))
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    Py_ssize_t found = count_true(mask->first, mask->count), size = found * (from->count / mask->count);
    PyObject *shape = shape_behind(found, from->node->shape, PyTuple_Size(mask->node->shape));
    PyObject *flat = shape ? PyLong_FromSsize_t(size) : NULL;
    PyObject *array = flat ? new_array(flat, type, from->room, &view) : NULL;
    if (array) {
        put_rows(from, mask, found ? view.len / found : 0, view.buf);
        PyBuffer_Release(&view);
        node = leaf_of(array, size, from->node->dtype, from->node->device, shape);
    }
    Py_XDECREF(flat);
    Py_XDECREF(shape);
    return node;
}

/* chosen(tensor, mask): the leaf of the elements of a computed tensor where a mask of its first dimensions is true; None
   where Python is to find them. */
static PyObject *chosen(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    struct elements mask, from;
    if (count != 2 || !PyObject_TypeCheck(given[0], kf_tensor_type))
        return PyErr_Format(PyExc_TypeError, "chosen takes two tensors");
    kf_tensor *tensor = (kf_tensor *)given[0];
    if (!kf_is_node(tensor->node) || tensor->tracked == Py_True || tensor->leaf != Py_False || !kf_is_there(tensor))
        Py_RETURN_NONE;
    int there = look(given[1], &mask);
    if (there <= 0)
        return there < 0 ? NULL : Py_NewRef(Py_None);
    there = kf_is_node(tensor->node) && kf_is_there(tensor) ? look(given[0], &from) : 0;
    PyObject *node = there > 0 ? leaf_of_rows(&from, &mask) : there < 0 ? NULL : Py_NewRef(Py_None);
    if (there > 0)
        leave(&from);
    leave(&mask);
    return node;
}

/* set_arrays(types, class, empty, int32, bool): types: NumPy's by those of elements. */
static PyObject *set_arrays(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *types, *class, *makes, *places, *masks, *own = PyDict_New(), *key, *value;
    if (!own || !PyArg_ParseTuple(given, "O!O!OOO:set_arrays", &PyDict_Type, &types, &PyType_Type, &class, &makes, &places,
                                  &masks)) {
        Py_XDECREF(own);
        return NULL;
    }
    for (Py_ssize_t at = 0; PyDict_Next(types, &at, &key, &value);)
        if (PyDict_SetItem(own, value, key)) {
            Py_DECREF(own);
            return NULL;
        }
    kf_put(&numpy_types, types);
    kf_put(&own_types, own);
    kf_put(&int32_type, places);
    kf_put(&bool_type, masks);
    kf_put(&empty, makes);
    buffer_class = (PyTypeObject *)Py_NewRef(class);
    Py_DECREF(own);
    Py_RETURN_NONE;
}

#define FAST(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL

static PyMethodDef functions[] = {
    {"set_arrays", set_arrays, METH_VARARGS, "Takes types and classes of Python."},
    {"array_of", array_of, METH_O, "A copy of a tensor's elements, or None."},
    {"leaf_of_array", FAST(leaf_of_array), "The leaf of a copy of an array, or None."},
    {"places_of_true", places_of_true, METH_O, "The leaf of the places of a mask's true elements, or None."},
    {"chosen", FAST(chosen), "The leaf of a tensor's elements where a mask is true, or None."},
    {NULL, NULL, 0, NULL}};

int kf_add_arrays(PyObject *module)
{
    struct {
        PyObject **name;
        const char *text;
    } names[] = {{&dtype_name, "dtype"}, {&flatten_name, "flatten"}, {&shape_name, "shape"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!*names[i].name && !(*names[i].name = PyUnicode_InternFromString(names[i].text)))
            return -1;
    return PyModule_AddFunctions(module, functions);
}
