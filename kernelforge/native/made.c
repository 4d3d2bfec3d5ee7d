/* Tensors that are made of nothing but a few plain arguments: their nodes again, without asking Python how. */

#include "made.h"
#include "structure.h"

#include <math.h>

enum { MOST_PARTS = 40, MOST_KEPT = 4096, KEPT = 7, DRAWN = 6, FILLS = 64, LARGE = 1 << 14, MANY = 1 << 12 /* elements */ };

/* spelling: whether operations are spelled out. */
static PyObject *spelling, *types, *default_device, *filled, *default_float, *default_int, *plus_zero, *minus_zero;

/* A function of a class that makes a tensor.  kept: by arguments, what the node of the result is made of; names: what
   Python keeps of a function beside, its name and its documentation. */
typedef struct {
    PyObject_HEAD
    PyObject *function, *kept, *names;
} Maker;

static bool are_whole(PyObject *tuple)
{
    bool whole = true;
    for (Py_ssize_t i = 0; whole && i < PyTuple_Size(tuple); i++)
        whole = PyLong_CheckExact(PyTuple_GetItem(tuple, i));
    return whole;
}

/* Whether a value is one of those results are kept for; never one that changes. */
static bool is_plain(PyObject *value, PyObject *of_type)
{
    return value == Py_None || PyBool_Check(value) || PyLong_CheckExact(value) || PyFloat_CheckExact(value) ||
           PyUnicode_CheckExact(value) || PyType_Check(value) || Py_TYPE(value) == Py_TYPE(of_type) ||
           (PyTuple_CheckExact(value) && are_whole(value));
}

struct key {
    PyObject *parts[MOST_PARTS]; /* new references */
    Py_ssize_t length;
    bool is_usual, names_device;
};

static void add(struct key *key, PyObject *part)
{
    key->is_usual = key->is_usual && part && key->length < MOST_PARTS;
    if (key->is_usual)
        key->parts[key->length++] = part;
    else
        Py_XDECREF(part);
}

static void add_value(struct key *key, PyObject *value)
{
    if (!key->is_usual || !is_plain(value, key->parts[0])) {
        key->is_usual = false;
        return;
    }
    key->names_device = key->names_device || PyUnicode_CheckExact(value);
    add(key, Py_NewRef((PyObject *)Py_TYPE(value)));
    if (PyFloat_CheckExact(value) && PyFloat_AsDouble(value) == 0) /* equal, but not the same */
        value = signbit(PyFloat_AsDouble(value)) ? minus_zero : plus_zero;
    add(key, Py_NewRef(value));
}

/* What a result depends on, as a tuple; NULL where it may depend on something else, with an error set or not. */
static PyObject *key_of(PyObject *arguments, PyObject *keywords, bool *names_device)
{
    struct key key = {.is_usual = types != NULL};
    PyObject *name, *value, *found = NULL;
    Py_ssize_t place = 0;
    if (!types)
        return NULL;
    add(&key, PyObject_GetAttr(types, default_float));
    add(&key, PyObject_GetAttr(types, default_int));
    for (Py_ssize_t i = 0; i < PyTuple_Size(arguments); i++)
        add_value(&key, PyTuple_GetItem(arguments, i));
    while (keywords && key.is_usual && PyDict_Next(keywords, &place, &name, &value)) {
        add(&key, Py_NewRef(name));
        add_value(&key, value);
    }
    if (key.is_usual && key.names_device)
        add(&key, PyObject_CallNoArgs(default_device));
    *names_device = key.names_device;
    if (key.is_usual)
        found = PyTuple_New(key.length);
    for (Py_ssize_t i = 0; i < key.length; i++) {
        if (found)
            PyTuple_SetItem(found, i, key.parts[i]);
        else
            Py_DECREF(key.parts[i]);
    }
    return found;
}

/* Whether something that nodes are made of is computed, or there is much of it: who keeps these would keep memory. */
static bool holds_memory(PyObject *src)
{
    bool holds = false;
    for (Py_ssize_t i = 0; !holds && i < PyTuple_Size(src); i++) {
        kf_node *node = (kf_node *)PyTuple_GetItem(src, i);
        long long size = 1;
        if (!kf_is_node((PyObject *)node) || node->realized != Py_None)
            return true;
        for (Py_ssize_t j = 0; j < PyTuple_Size(node->shape) && size <= MANY; j++)
            size *= PyLong_AsLongLong(PyTuple_GetItem(node->shape, j));
        holds = !kf_is_known_value(node) && (size > MANY || holds_memory(node->src));
    }
    return holds;
}

/* Whether a node is one operation, known by its attribute, on the only words that were drawn since so many were. */
static bool is_drawn(const kf_node *node, uint64_t before)
{
    return kf_draws == before + 1 && PyTuple_Size(node->src) == 1 && node->mark == node->attr &&
           (uintptr_t)PyTuple_GetItem(node->src, 0) == kf_last_words;
}

/* What is kept of a result: of what its node is made, where it is a constant, or which operation on random words it is;
   NULL where it is something else, with an error set or not. */
static PyObject *row_of(const kf_node *node, uint64_t before, bool names_device)
{
    if (kf_draws != before && !is_drawn(node, before))
        return NULL;
    if (kf_draws != before) {
        int holds = kf_held ? PyDict_Contains(kf_held, (PyObject *)node) : 0;
        PyObject *device = names_device ? node->device : Py_None;
        return holds < 0 ? NULL
                         : PyTuple_Pack(DRAWN, node->op, node->attr, node->shape, node->dtype, device,
                                        holds ? Py_True : Py_False);
    }
    if (node->device != Py_None || holds_memory(node->src))
        return NULL;
    return PyTuple_Pack(KEPT, node->op, node->mark, node->src, node->attr, node->shape, node->dtype, node->device);
}

/* Keeps how a result comes about, where the tensor is nothing but its name; false with an error set. */
static bool keep(Maker *self, PyObject *key, PyObject *given, uint64_t before, bool names_device)
{
    kf_tensor *tensor = (kf_tensor *)given;
    kf_node *node = PyObject_TypeCheck(given, kf_tensor_type) ? (kf_node *)tensor->node : NULL;
    if (!kf_is_node((PyObject *)node) || tensor->leaf != Py_False || tensor->tracked != Py_None || tensor->place ||
        node->realized != Py_None || !node->mark || !node->is_entered)
        return true;
    PyObject *row = row_of(node, before, names_device);
    if (PyErr_Occurred())
        return false;
    if (!row)
        return true;
    if (row && PyDict_Size(self->kept) >= MOST_KEPT)
        PyDict_Clear(self->kept);
    bool done = row && !PyDict_SetItem(self->kept, key, row);
    Py_XDECREF(row);
    return done;
}

/* The same operation on words that are drawn now. */
static PyObject *drawn(PyObject *type, PyObject *row)
{
    PyObject *words = kf_next_words(PyTuple_GetItem(row, 4));
    PyObject *src = words ? PyTuple_Pack(1, words) : NULL;
    kf_node *node = src ? kf_node_of(PyTuple_GetItem(row, 0), src, PyTuple_GetItem(row, 1), PyTuple_GetItem(row, 2),
                                     PyTuple_GetItem(row, 3))
                        : NULL;
    Py_XDECREF(src);
    Py_XDECREF(words);
    PyObject *tensor = kf_wrapped((PyTypeObject *)type, node, Py_None, 0);
    if (tensor && PyTuple_GetItem(row, 5) == Py_True && !kf_hold((kf_tensor *)tensor))
        Py_CLEAR(tensor);
    return tensor;
}

/* Whether what is kept is a constant whose parts were computed by now: who keeps these would keep memory. */
static bool is_stale(PyObject *row)
{
    return PyTuple_Size(row) == KEPT && holds_memory(PyTuple_GetItem(row, 2));
}

/* Whether what is kept is of random words, and operations are spelled out; -1 with an error set. */
static int is_spelled(PyObject *row)
{
    PyObject *value = PyTuple_Size(row) == DRAWN ? PyObject_CallNoArgs(spelling) : Py_NewRef(Py_False);
    int found = value ? PyObject_IsTrue(value) : -1;
    Py_XDECREF(value);
    return found;
}

static PyObject *again(PyObject *type, PyObject *row)
{
    PyObject *part[KEPT];
    if (PyTuple_Size(row) == DRAWN)
        return drawn(type, row);
    for (Py_ssize_t i = 0; i < KEPT; i++)
        part[i] = PyTuple_GetItem(row, i);
    kf_node *node = kf_interned(part[0], part[1], part[2], part[3], part[4], part[5], part[6]);
    return kf_wrapped((PyTypeObject *)type, node, Py_None, 0);
}

static PyObject *call(PyObject *given, PyObject *arguments, PyObject *keywords)
{
    Maker *self = (Maker *)given;
    PyObject *type = PyTuple_Size(arguments) ? PyTuple_GetItem(arguments, 0) : NULL, *result = NULL;
    bool is_class = type && PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, kf_tensor_type);
    bool names_device = false;
    PyObject *key = is_class ? key_of(arguments, keywords, &names_device) : NULL;
    PyObject *row = key ? PyDict_GetItemWithError(self->kept, key) : NULL;
    if (row && is_stale(row)) {
        row = NULL;
        PyDict_DelItem(self->kept, key);
    }
    int spelled = row ? is_spelled(row) : 0;
    if (row && !spelled) {
        Py_INCREF(row);
        result = again(type, row);
        Py_DECREF(row);
    } else if (spelled >= 0 && !PyErr_Occurred()) {
        uint64_t before = kf_draws;
        result = PyObject_Call(self->function, arguments, keywords);
        if (result && key && !keep(self, key, result, before, names_device))
            Py_CLEAR(result);
    }
    Py_XDECREF(key);
    return result;
}

/* ------------------------------------------------------------------------------------------- one value everywhere */

/* Buffers of one value that were made last, under the switches that held; others show the same array. */
static struct fill {
    PyObject *value, *shape, *dtype, *under, *buffer;
} fills[FILLS];

/* The const node of a known value, borrowed. */
static PyObject *value_of(const kf_node *node)
{
    while (PyTuple_Size(node->src) == 1 && kf_is_node(PyTuple_GetItem(node->src, 0)))
        node = (kf_node *)PyTuple_GetItem(node->src, 0);
    return (PyObject *)node;
}

/* A buffer that shows the array of another one, which nobody writes to. */
static PyObject *showing(PyObject *given)
{
    kf_buffer *shown = (kf_buffer *)given, *buffer = shown->host == Py_None ? NULL : kf_new(Py_TYPE(given));
    if (!buffer)
        return NULL;
    buffer->size = Py_NewRef(shown->size);
    buffer->dtype = Py_NewRef(shown->dtype);
    buffer->device = Py_NewRef(shown->device);
    buffer->host = Py_NewRef(shown->host);
    buffer->memory = Py_NewRef(Py_None);
    buffer->shared = Py_NewRef(Py_False);
    return (PyObject *)buffer;
}

/* A buffer of a known value's elements, a new reference; NULL with an error set. */
static PyObject *buffer_of(kf_node *node, PyObject *under)
{
    PyObject *value = value_of(node);
    Py_hash_t shape = PyObject_Hash(node->shape);
    if (shape == -1)
        return NULL;
    struct fill *place = &fills[kf_mixed((uintptr_t)value ^ (uintptr_t)node->dtype, (uint64_t)shape) % FILLS];
    if (place->value == value && place->dtype == node->dtype && place->under == under) {
        PyObject *shown = Py_NewRef(place->buffer), *found = NULL;
        int same = place->shape == node->shape ? 1 : PyObject_RichCompareBool(place->shape, node->shape, Py_EQ);
        if (same > 0)
            found = showing(shown);
        Py_DECREF(shown);
        if (found || PyErr_Occurred())
            return found;
    }
    PyObject *made = PyObject_CallFunctionObjArgs(filled, node, NULL);
    if (!made || !PyObject_TypeCheck(made, kf_buffer_type) || !PyLong_Check(((kf_buffer *)made)->size))
        return made;
    if (PyLong_AsLongLong(((kf_buffer *)made)->size) > LARGE)
        return made;
    struct fill before = *place;
    *place = (struct fill){Py_NewRef(value), Py_NewRef(node->shape), Py_NewRef(node->dtype), Py_NewRef(under), made};
    PyObject *found = showing(made);
    Py_XDECREF(before.value);
    Py_XDECREF(before.shape);
    Py_XDECREF(before.dtype);
    Py_XDECREF(before.under);
    Py_XDECREF(before.buffer);
    return found;
}

int kf_fill(kf_tensor *tensor, PyObject *under)
{
    kf_node *node = (kf_node *)tensor->node;
    if (!filled || tensor->tracked == Py_True || tensor->tracked == kf_spent || !kf_is_known_value(node))
        return 0;
    Py_INCREF((PyObject *)node);
    PyObject *buffer = buffer_of(node, under);
    kf_node *leaf = buffer ? kf_leaf(buffer, node->shape, node->dtype) : NULL;
    int done = leaf ? 1 : PyErr_Occurred() ? -1 : 0;
    if (leaf && tensor->node == (PyObject *)node)
        kf_put(&tensor->node, (PyObject *)leaf);
    Py_XDECREF((PyObject *)leaf);
    Py_XDECREF(buffer);
    Py_DECREF((PyObject *)node);
    return done;
}

/* -------------------------------------------------------------------------------------------------- the type */

static PyObject *make(PyTypeObject *type, PyObject *given, PyObject *keywords)
{
    PyObject *function;
    static char *names[] = {"function", NULL};
    if (!PyArg_ParseTupleAndKeywords(given, keywords, "O:Maker", names, &function))
        return NULL;
    Maker *self = kf_new(type);
    if (!self)
        return NULL;
    self->function = Py_NewRef(function);
    if (!(self->kept = PyDict_New()))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void leave(PyObject *self)
{
    (void)self;
}

KF_KEEPS(Maker, function, names, leave)

static PyMemberDef members[] = {
    KF_FIELD(Maker, kept, "kept"), {"__dictoffset__", T_PYSSIZET, offsetof(Maker, names), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyGetSetDef places[] = {{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
                               {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_new, make}, {Py_tp_call, call}, {Py_tp_traverse, Maker_traverse}, {Py_tp_clear, Maker_clear},
    {Py_tp_dealloc, Maker_forget}, {Py_tp_members, members}, {Py_tp_getset, places}, {0, NULL}};

static PyType_Spec spec = {
    "kernelforge.native._native.Maker", sizeof(Maker), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};

static PyObject *set_made(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *kinds, *device, *fills_of, *spells;
    if (!PyArg_ParseTuple(given, "OOOO:set_made", &kinds, &device, &fills_of, &spells))
        return NULL;
    kf_put(&types, kinds);
    kf_put(&default_device, device);
    kf_put(&filled, fills_of);
    kf_put(&spelling, spells);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_made", set_made, METH_VARARGS, "Takes the default types, what tells the default device, what fills a buffer, and what is spelled out."},
    {NULL, NULL, 0, NULL}};

int kf_add_made(PyObject *module)
{
    struct {
        PyObject **name;
        const char *text;
    } names[] = {{&default_float, "default_float"}, {&default_int, "default_int"}, {&plus_zero, "0.0"}, {&minus_zero, "-0.0"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!*names[i].name && !(*names[i].name = PyUnicode_InternFromString(names[i].text)))
            return -1;
    return kf_add_type(module, "Maker", &spec) ? PyModule_AddFunctions(module, functions) : -1;
}
