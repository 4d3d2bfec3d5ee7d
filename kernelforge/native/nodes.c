/* Nodes, each one object as long as it lives: what `kernelforge.interning` does, in C.

The table has nodes by the hash of what they are, and holds none: who goes takes itself out. */

#include "records.h"

#include <string.h>

PyTypeObject *kf_node_type;

/* What Python gives: the class of nodes, and functions for what is rare. */
static PyTypeObject *node_class;
static PyObject *line_now, *common_device, *elementwise, *results, *results_of_one, *buffer_name, *reshape_name;

/* ------------------------------------------------------------------------------------------------ the table */

enum { SMALLEST = 1024, MOST_STEPS = 64 /* of one view */ };

static struct {
    kf_node **nodes;
    size_t capacity, alive, filled; /* filled: alive, and places of those that went */
    uint64_t changes;
} table;

static kf_node gone; /* stands where one was */

static const kf_node *last_found; /* rather than made; never looked into */

static bool resize(void)
{
    size_t capacity = SMALLEST;
    while (capacity < 4 * table.alive)
        capacity *= 2;
    kf_node **nodes = PyMem_Calloc(capacity, sizeof *nodes);
    if (!nodes) {
        PyErr_NoMemory();
        return false;
    }
    for (size_t i = 0; i < table.capacity; i++) {
        kf_node *node = table.nodes[i];
        if (!node || node == &gone)
            continue;
        size_t at = node->hash & (capacity - 1);
        while (nodes[at])
            at = (at + 1) & (capacity - 1);
        nodes[at] = node;
    }
    PyMem_Free(table.nodes);
    table.nodes = nodes;
    table.capacity = capacity;
    table.filled = table.alive;
    return true;
}

static bool enter(kf_node *node)
{
    if (2 * table.filled >= table.capacity && !resize())
        return false;
    size_t at = node->hash & (table.capacity - 1);
    while (table.nodes[at] && table.nodes[at] != &gone)
        at = (at + 1) & (table.capacity - 1);
    table.filled += !table.nodes[at];
    table.nodes[at] = node;
    table.alive++;
    table.changes++;
    node->is_entered = true;
    return true;
}

static void take_out(kf_node *node)
{
    if (!node->is_entered)
        return;
    size_t at = node->hash & (table.capacity - 1);
    while (table.nodes[at] != node)
        at = (at + 1) & (table.capacity - 1);
    bool is_last = !table.nodes[(at + 1) & (table.capacity - 1)];
    table.nodes[at] = is_last ? NULL : &gone;
    table.filled -= is_last;
    table.alive--;
    table.changes++;
    node->is_entered = false;
}

/* What a node is by: operation, mark, and the identities of what it holds: its sources, or of a leaf its buffer.
   changes: those of the table when there was no such node. */
struct identity {
    PyObject *op, *mark, *src, *buffer;
    Py_ssize_t count;
    PyObject *first, *second; /* of the sources */
    uint64_t own, hash, changes;
};

/* Whether a mark equals no other, as its type takes the comparison of `object`. */
static bool is_alone(PyObject *mark)
{
    return PyType_GetSlot(Py_TYPE(mark), Py_tp_richcompare) == PyType_GetSlot(&PyBaseObject_Type, Py_tp_richcompare);
}

/* own tells what graphs are like; hash, which alone finds places in the table, tells marks apart whose hashes are the
   same though they equal no other. */
static bool identify(struct identity *given)
{
    Py_hash_t op = PyObject_Hash(given->op), mark = given->mark == Py_None ? 0 : PyObject_Hash(given->mark);
    if (op == -1 || mark == -1)
        return false;
    given->own = kf_mixed(kf_mixed((uint64_t)given->count, (uint64_t)op), (uint64_t)mark);
    given->hash = kf_mixed(given->own, (uintptr_t)given->buffer >> 4);
    if (given->mark != Py_None && is_alone(given->mark))
        given->hash = kf_mixed(given->hash, (uintptr_t)given->mark >> 4);
    for (Py_ssize_t i = 0; i < given->count; i++) {
        PyObject *x = i == 0 ? given->first : i == 1 ? given->second : PyTuple_GetItem(given->src, i);
        given->hash = kf_mixed(given->hash, (uintptr_t)x >> 4);
    }
    return true;
}

/* The sources of a tuple, which lives as long as the identity. */
static void set_sources(struct identity *given, PyObject *src)
{
    given->src = src;
    given->count = PyTuple_Size(src);
    given->first = given->count > 0 ? PyTuple_GetItem(src, 0) : NULL;
    given->second = given->count > 1 ? PyTuple_GetItem(src, 1) : NULL;
}

/* Whether a node has the very sources, or buffer; no Python runs. */
static bool holds(const kf_node *node, const struct identity *given)
{
    if (!kf_is_whole(node))
        return false;
    if (given->buffer)
        return node->attr == given->buffer && PyTuple_Size(node->src) == 0;
    if (PyTuple_Size(node->src) != given->count)
        return false;
    for (Py_ssize_t i = 0; i < given->count; i++) {
        PyObject *x = i == 0 ? given->first : i == 1 ? given->second : PyTuple_GetItem(given->src, i);
        if (PyTuple_GetItem(node->src, i) != x)
            return false;
    }
    return true;
}

static int is_equal(PyObject *a, PyObject *b)
{
    return a == b ? 1 : PyObject_RichCompareBool(a, b, Py_EQ);
}

/* The living node of an identity, a new reference; NULL, with an error set or not.
   To compare marks may run Python, which may change the table: then it is searched again. */
static kf_node *find(struct identity *given)
{
again:;
    uint64_t changes = table.changes;
    for (size_t at = given->hash & (table.capacity - 1); table.capacity && table.nodes[at];
         at = (at + 1) & (table.capacity - 1)) {
        kf_node *node = table.nodes[at];
        if (node == &gone || node->hash != given->hash || node->own != given->own ||
            Py_REFCNT((PyObject *)node) <= 0 || !holds(node, given))
            continue;
        if (node->op == given->op && node->mark == given->mark) {
            last_found = node;
            return (kf_node *)Py_NewRef((PyObject *)node);
        }
        Py_INCREF((PyObject *)node);
        int equal = is_equal(node->op, given->op);
        if (equal > 0)
            equal = is_equal(node->mark, given->mark);
        if (equal > 0) {
            last_found = node;
            return node;
        }
        Py_DECREF(node);
        if (equal < 0)
            return NULL;
        if (changes != table.changes)
            goto again;
    }
    given->changes = changes;
    return NULL;
}

/* -------------------------------------------------------------------------------------------------- making */

/* A new node of an identity; takes `src`, a reference, or makes the tuple of what the identity has. */
static kf_node *make(struct identity *given, PyObject *attr, PyObject *shape, PyObject *dtype, PyObject *device,
                     PyObject *place)
{
    kf_node *node = kf_new(node_class);
    if (!node)
        return NULL;
    if (given->src) {
        node->src = Py_NewRef(given->src);
    } else if (!(node->src = PyTuple_New(given->count))) {
        Py_DECREF(node);
        return NULL;
    } else {
        for (Py_ssize_t i = 0; i < given->count; i++)
            PyTuple_SetItem(node->src, i, Py_NewRef(i ? given->second : given->first));
    }
    node->op = Py_NewRef(given->op);
    node->mark = Py_NewRef(given->mark);
    node->attr = Py_NewRef(attr);
    node->shape = Py_NewRef(shape);
    node->dtype = Py_NewRef(dtype);
    node->device = Py_NewRef(device);
    node->place = Py_NewRef(place);
    node->realized = Py_NewRef(Py_None);
    node->own = given->own;
    node->hash = given->hash;
    last_found = NULL;
    for (Py_ssize_t i = 0; i < given->count; i++) {
        Py_ssize_t depth = ((kf_node *)PyTuple_GetItem(node->src, i))->depth;
        node->depth = depth >= node->depth ? depth + 1 : node->depth;
    }
    kf_node *other = given->changes == table.changes ? NULL : find(given); /* garbage that went may have run Python */
    if (other || PyErr_Occurred() || !enter(node)) {
        Py_DECREF((PyObject *)node);
        return other;
    }
    return node;
}

/* `make` of a node that belongs to the line that is set for new ones. */
static kf_node *make_here(struct identity *given, PyObject *attr, PyObject *shape, PyObject *dtype,
                          PyObject *device)
{
    PyObject *place = PyObject_CallNoArgs(line_now);
    if (!place)
        return NULL;
    kf_node *node = make(given, attr, shape, dtype, device, place);
    Py_DECREF(place);
    return node;
}

kf_node *kf_leaf(PyObject *buffer, PyObject *shape, PyObject *dtype)
{
    kf_buffer *given = (kf_buffer *)buffer;
    struct identity identity = {.op = buffer_name, .mark = shape, .buffer = buffer};
    PyObject *mark = NULL;
    if (dtype == Py_None || dtype == given->dtype)
        dtype = given->dtype;
    else if (!(identity.mark = mark = PyTuple_Pack(2, shape, dtype)))
        return NULL;
    kf_node *node = NULL;
    if (identify(&identity) && !(node = find(&identity)) && !PyErr_Occurred())
        node = make(&identity, buffer, shape, dtype, given->device, Py_None);
    Py_XDECREF(mark);
    return node;
}

/* The device that sources share; a new reference. */
static PyObject *device_of(PyObject *op, PyObject *src)
{
    PyObject *device = ((kf_node *)PyTuple_GetItem(src, 0))->device;
    for (Py_ssize_t i = 1; i < PyTuple_Size(src); i++)
        if (((kf_node *)PyTuple_GetItem(src, i))->device != device)
            return PyObject_CallFunctionObjArgs(common_device, op, src, NULL);
    return Py_NewRef(device);
}

bool kf_is_node(PyObject *given)
{
    return given && PyObject_TypeCheck(given, kf_node_type) && kf_is_whole((kf_node *)given);
}

static bool are_nodes(PyObject *src)
{
    bool are = PyTuple_Check(src);
    for (Py_ssize_t i = 0; are && i < PyTuple_Size(src); i++)
        are = kf_is_node(PyTuple_GetItem(src, i));
    if (!are)
        PyErr_SetString(PyExc_TypeError, "sources are a tuple of nodes");
    return are;
}

kf_node *kf_node_of(PyObject *op, PyObject *src, PyObject *attr, PyObject *shape, PyObject *dtype)
{
    struct identity identity = {.op = op, .mark = attr};
    set_sources(&identity, src);
    if (!identify(&identity))
        return NULL;
    kf_node *node = find(&identity);
    if (node || PyErr_Occurred())
        return node;
    PyObject *device = device_of(op, src);
    if (!device)
        return NULL;
    node = make_here(&identity, attr, shape, dtype, device);
    Py_DECREF(device);
    return node;
}

kf_node *kf_binary(PyObject *op, kf_node *a, kf_node *b)
{
    struct identity identity = {.op = op, .mark = Py_None, .count = 2, .first = (PyObject *)a, .second = (PyObject *)b};
    if (!identify(&identity))
        return NULL;
    kf_node *node = find(&identity);
    if (node || PyErr_Occurred())
        return node;
    PyObject *device = a->device == Py_None ? b->device : a->device, *result = NULL;
    bool is_plain = a->dtype == b->dtype && (b->device == device || b->device == Py_None);
    if (is_plain) {
        int equal = is_equal(a->shape, b->shape);
        PyObject *known = equal > 0 ? PyDict_GetItemWithError(results, op) : NULL;
        result = known ? PyDict_GetItemWithError(known, b->dtype) : NULL;
        if (PyErr_Occurred())
            return NULL;
    }
    if (result)
        return make_here(&identity, Py_None, b->shape, result, device);
    return (kf_node *)PyObject_CallFunctionObjArgs(elementwise, op, a, b, NULL);
}

static PyObject *result_of(PyObject *table, PyObject *op, PyObject *dtype)
{
    PyObject *known = table ? PyDict_GetItemWithError(table, op) : NULL;
    return known ? PyDict_GetItemWithError(known, dtype) : NULL;
}

PyObject *kf_result_of_one(PyObject *op, PyObject *dtype)
{
    return result_of(results_of_one, op, dtype);
}

PyObject *kf_result_of_two(PyObject *op, PyObject *dtype)
{
    return result_of(results, op, dtype);
}

/* ---------------------------------------------------------------------------------------------- for Python */

static bool count_is(Py_ssize_t count, Py_ssize_t wanted)
{
    if (!node_class || !results) {
        PyErr_SetString(PyExc_RuntimeError, "the library has not given the module its classes and functions");
        return false;
    }
    if (count != wanted)
        PyErr_Format(PyExc_TypeError, "%zd arguments are needed, not %zd", wanted, count);
    return count == wanted;
}

static PyObject *py_find(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    if (!count_is(count, 3) || !are_nodes(given[2]))
        return NULL;
    struct identity identity = {.op = given[0], .mark = given[1]};
    set_sources(&identity, given[2]);
    kf_node *node = identify(&identity) ? find(&identity) : NULL;
    return node || PyErr_Occurred() ? (PyObject *)node : Py_NewRef(Py_None);
}

kf_node *kf_interned(PyObject *op, PyObject *mark, PyObject *src, PyObject *attr, PyObject *shape, PyObject *dtype,
                     PyObject *device)
{
    struct identity identity = {.op = op, .mark = mark};
    set_sources(&identity, src);
    if (!identify(&identity))
        return NULL;
    kf_node *node = find(&identity);
    return node || PyErr_Occurred() ? node : make_here(&identity, attr, shape, dtype, device);
}

static PyObject *py_interned(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    if (!count_is(count, 7) || !are_nodes(given[2]))
        return NULL;
    return (PyObject *)kf_interned(given[0], given[1], given[2], given[3], given[4], given[5], given[6]);
}

static PyObject *py_node_of(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    if (!count_is(count, 5) || !are_nodes(given[1]))
        return NULL;
    if (!PyTuple_Size(given[1]))
        return PyErr_Format(PyExc_ValueError, "%S without sources", given[0]);
    return (PyObject *)kf_node_of(given[0], given[1], given[2], given[3], given[4]);
}

static PyObject *py_binary(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    if (!count_is(count, 3))
        return NULL;
    if (!kf_is_node(given[1]) || !kf_is_node(given[2]))
        return PyErr_Format(PyExc_TypeError, "%S of what are no nodes", given[0]);
    return (PyObject *)kf_binary(given[0], (kf_node *)given[1], (kf_node *)given[2]);
}

static PyObject *py_leaf(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    if (!count_is(count, 3))
        return NULL;
    if (!PyObject_TypeCheck(given[0], kf_buffer_type))
        return PyErr_Format(PyExc_TypeError, "%R is no buffer", given[0]);
    if (!((kf_buffer *)given[0])->dtype || !((kf_buffer *)given[0])->device)
        return PyErr_Format(PyExc_AttributeError, "a buffer without dtype or device");
    return (PyObject *)kf_leaf(given[0], given[1], given[2]);
}

/* A node nobody finds, of an identity whose `own` is known; what is computed of its sources is its own as well. */
static kf_node *make_apart(struct identity *given, const kf_node *like, PyObject *attr)
{
    static uint64_t count;
    given->hash = kf_mixed(given->own, ++count);
    given->changes = table.changes;
    kf_node *node = make(given, attr, like->shape, like->dtype, like->device, like->place);
    if (node)
        node->is_apart = true;
    return node;
}

/* A node with the operation and elements of another, of the same sources or their likes. */
static kf_node *sibling(const kf_node *node, PyObject *src)
{
    struct identity identity = {.op = node->op, .mark = node->mark, .own = node->own};
    set_sources(&identity, src);
    kf_node *made = make_apart(&identity, node, node->attr);
    if (made && node->realized != Py_None) {
        kf_put(&made->realized, node->realized);
        made->depth = 0;
    }
    return made;
}

/* Whether somebody else holds one of the nodes that lead from a node to another, each the only source of the next. */
static bool leads_over_others(const kf_node *node, const kf_node *of)
{
    bool is_shared = false;
    for (int i = 0; of && i < MOST_STEPS && PyTuple_Size(node->src) == 1; i++) {
        node = (kf_node *)PyTuple_GetItem(node->src, 0);
        if (node == of)
            return is_shared;
        is_shared = is_shared || Py_REFCNT((PyObject *)node) > 1;
    }
    return false;
}

/* Siblings of a node and of all that lead to it from another. */
static kf_node *retraced(const kf_node *node, const kf_node *of)
{
    const kf_node *before = (kf_node *)PyTuple_GetItem(node->src, 0);
    if (before == of)
        return sibling(node, node->src);
    kf_node *own = retraced(before, of);
    PyObject *src = own ? PyTuple_Pack(1, own) : NULL;
    kf_node *made = src ? sibling(node, src) : NULL;
    Py_XDECREF(src);
    Py_XDECREF((PyObject *)own);
    return made;
}

/* A node of the elements of another, which its gradient goes on to. */
static kf_node *alias(kf_node *node)
{
    struct identity identity = {.op = reshape_name, .mark = node->shape, .count = 1, .first = (PyObject *)node};
    return identify(&identity) ? make_apart(&identity, node, node->shape) : NULL;
}

kf_node *kf_own(kf_node *node, const kf_node *of)
{
    bool is_found = node == last_found && PyTuple_Size(node->src) > 0;
    bool is_retraced = node != of && leads_over_others(node, of);
    last_found = NULL;
    if (node != of && !is_found && !is_retraced)
        return node;
    kf_node *own = node == of ? alias(node) : is_retraced ? retraced(node, of) : sibling(node, node->src);
    last_found = NULL;
    Py_DECREF((PyObject *)node);
    return own;
}

/* set_apart(node): nobody finds it from now on, and an equal one is another. */
static PyObject *py_set_apart(PyObject *module, PyObject *given)
{
    (void)module;
    if (!kf_is_node(given))
        return PyErr_Format(PyExc_TypeError, "%R is no node", given);
    kf_node *node = (kf_node *)given;
    take_out(node);
    node->is_apart = true;
    node->hash = kf_mixed(node->hash, (uintptr_t)node); /* places alone: `own` tells what graphs are like */
    return enter(node) ? Py_NewRef(Py_None) : NULL;
}

static PyObject *py_own_node(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    if (!count_is(count, 2) || !kf_is_node(given[0]) || !(given[1] == Py_None || kf_is_node(given[1])))
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "own_node takes a node, and a node or None");
    return (PyObject *)kf_own((kf_node *)Py_NewRef(given[0]), (kf_node *)given[1]);
}

static PyObject *py_alive(PyObject *module, PyObject *none)
{
    (void)module, (void)none;
    PyObject *found = PyList_New(0);
    for (size_t i = 0; found && i < table.capacity; i++) { /* a list that grows may free memory, but no node */
        kf_node *node = table.nodes[i];
        if (node && node != &gone && Py_REFCNT((PyObject *)node) > 0 && PyList_Append(found, (PyObject *)node))
            Py_CLEAR(found);
    }
    return found;
}

static PyObject *py_entries(PyObject *module, PyObject *none)
{
    (void)module, (void)none;
    return PyLong_FromSize_t(table.filled);
}

static PyObject *py_set_nodes(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *type, *line, *device;
    if (!PyArg_ParseTuple(given, "O!OO:set_nodes", &PyType_Type, &type, &line, &device))
        return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)type, kf_node_type))
        return PyErr_Format(PyExc_TypeError, "%R is no class of nodes", type);
    node_class = (PyTypeObject *)Py_NewRef(type);
    line_now = Py_NewRef(line);
    common_device = Py_NewRef(device);
    Py_RETURN_NONE;
}

static PyObject *py_set_operations(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *function, *of_one, *known;
    if (!PyArg_ParseTuple(given, "OO!O!:set_operations", &function, &PyDict_Type, &of_one, &PyDict_Type, &known))
        return NULL;
    elementwise = Py_NewRef(function);
    results_of_one = Py_NewRef(of_one);
    results = Py_NewRef(known);
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------------------------ the type */

static void leave(PyObject *self)
{
    take_out((kf_node *)self);
    if (((kf_node *)self)->weak)
        PyObject_ClearWeakRefs(self);
}

/* What is about to be cleared as garbage is not to be found any more. */
static void finalize(PyObject *self)
{
    take_out((kf_node *)self);
}

KF_KEEPS(kf_node, op, mark, leave)

static PyMemberDef members[] = {
    KF_FIELD(kf_node, op, "op"), KF_FIELD(kf_node, src, "src"), KF_FIELD(kf_node, attr, "attr"),
    KF_FIELD(kf_node, shape, "shape"), KF_FIELD(kf_node, dtype, "dtype"), KF_FIELD(kf_node, device, "device"),
    KF_FIELD(kf_node, place, "place"), KF_FIELD(kf_node, realized, "realized"),
    {"depth", T_PYSSIZET, offsetof(kf_node, depth), 0, NULL},
    {"apart", T_BOOL, offsetof(kf_node, is_apart), 0, NULL}, KF_WEAK(kf_node), {NULL, 0, 0, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_traverse, kf_node_traverse}, {Py_tp_clear, kf_node_clear}, {Py_tp_dealloc, kf_node_forget},
    {Py_tp_finalize, finalize}, {Py_tp_members, members}, {0, NULL}};

static PyType_Spec spec = {
    "kernelforge.native._native.Node", sizeof(kf_node), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

#define FAST(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL

static PyMethodDef functions[] = {
    {"find", FAST(py_find), "The living node of an operation, a mark and sources."},
    {"interned", FAST(py_interned), "The node of these; a new one if there is none."},
    {"node_of", FAST(py_node_of), "The node of an operation whose shape and dtype are known."},
    {"binary", FAST(py_binary), "The node of a scalar operation on two arrays."},
    {"leaf", FAST(py_leaf), "The node of a buffer's elements."},
    {"set_apart", py_set_apart, METH_O, "Has a node be found no more, so that equal ones are others."},
    {"own_node", FAST(py_own_node), "What a tensor that gradients flow through takes for a node."},
    {"alive", py_alive, METH_NOARGS, "Every node there is."},
    {"entries", py_entries, METH_NOARGS, "How many entries the table of nodes has."},
    {"set_nodes", py_set_nodes, METH_VARARGS, "Takes the class of nodes, and functions."},
    {"set_operations", py_set_operations, METH_VARARGS, "Takes what scalar operations give."},
    {NULL, NULL, 0, NULL}};

int kf_add_nodes(PyObject *module)
{
    if (!buffer_name && !(buffer_name = PyUnicode_InternFromString("buffer")))
        return -1;
    if (!reshape_name && !(reshape_name = PyUnicode_InternFromString("reshape")))
        return -1;
    kf_node_type = kf_add_type(module, "Node", &spec);
    return kf_node_type ? PyModule_AddFunctions(module, functions) : -1;
}
