/* Walks a graph, and tells what it looks like. */

#include "structure.h"

#include <string.h>

enum { MOST_NODES = 1 << 15, SMALLEST = 4096 };

static PyObject *names[5];
enum { GRADIENT, IOTA, EXPAND, RESHAPE, CONST };
enum { WORDS, OBJECTS, BUFFERS, NODES, STACK };

/* One that was let go of: most walks begin when no other is on its way. */
static struct kf_graph *spare;

static struct kf_graph *taken(void)
{
    struct kf_graph *graph = spare;
    spare = NULL;
    if (!graph && !(graph = PyMem_Calloc(1, sizeof *graph)))
        return NULL;
    graph->words = graph->objects = graph->buffers = graph->nodes = graph->height = 0;
    graph->hash = 0;
    return graph;
}

void kf_leave(struct kf_graph *graph)
{
    if (!graph)
        return;
    if (!spare) {
        spare = graph;
        return;
    }
    for (size_t i = 0; i < sizeof graph->rows / sizeof *graph->rows; i++)
        PyMem_Free(graph->rows[i].first);
    PyMem_Free(graph);
}

/* Makes room in a row for so many things of a size. */
static bool grow(struct kf_graph *graph, int number, Py_ssize_t count, size_t size)
{
    struct kf_row *row = &graph->rows[number];
    if (count * (Py_ssize_t)size <= row->room)
        return true;
    Py_ssize_t room = row->room ? row->room : SMALLEST;
    while (room < count * (Py_ssize_t)size)
        room *= 2;
    void *first = PyMem_Realloc(row->first, (size_t)room);
    if (!first)
        return false;
    *row = (struct kf_row){first, room};
    return true;
}

static bool add_word(struct kf_graph *graph, uint64_t word)
{
    if (!grow(graph, WORDS, graph->words + 1, sizeof word))
        return false;
    graph->word = graph->rows[WORDS].first;
    graph->word[graph->words++] = word;
    graph->hash = kf_mixed(graph->hash, word);
    return true;
}

static bool add_object(struct kf_graph *graph, PyObject *object)
{
    if (!grow(graph, OBJECTS, graph->objects + 1, sizeof object))
        return false;
    graph->object = graph->rows[OBJECTS].first;
    graph->object[graph->objects++] = object;
    return true;
}

static bool push(struct kf_graph *graph, kf_node *node)
{
    if (graph->height > MOST_NODES || !grow(graph, STACK, graph->height + 1, sizeof node))
        return false;
    graph->stack = graph->rows[STACK].first;
    graph->stack[graph->height++] = node;
    return true;
}

static kf_node *source(const kf_node *node)
{
    return (kf_node *)PyTuple_GetItem(node->src, 0);
}

/* Whether every element of a node visibly has the value of a constant. */
static bool is_uniform(const kf_node *node)
{
    if (node->op == names[EXPAND])
        node = source(node);
    if (node->op == names[RESHAPE])
        node = source(node);
    return node->op == names[CONST];
}

bool kf_is_known_value(const kf_node *node)
{
    return node->device == Py_None && is_uniform(node);
}

enum { NODE = 1, AGAIN, VALUE, BUFFER, COMPUTED };

/* Adds a buffer a graph reads, as it is seen there. */
static bool add_buffer(struct kf_graph *graph, const kf_node *node, PyObject *given, uint64_t first, uint64_t how)
{
    if (!PyObject_TypeCheck(given, kf_buffer_type))
        return false;
    kf_buffer *buffer = (kf_buffer *)given;
    if (buffer->visit < first) {
        if (!grow(graph, BUFFERS, graph->buffers + 1, sizeof given))
            return false;
        graph->buffer = graph->rows[BUFFERS].first;
        graph->buffer[graph->buffers] = given;
        buffer->visit = first + (uint64_t)graph->buffers++;
    }
    return add_word(graph, how) && add_word(graph, buffer->visit - first) && add_word(graph, (uintptr_t)node->dtype) &&
           add_word(graph, (uint64_t)PyTuple_Size(node->shape)) && add_object(graph, node->device) &&
           add_object(graph, node->shape) && add_object(graph, node->dtype);
}

/* Adds an operation; its sources are pushed. */
static bool add_operation(struct kf_graph *graph, const kf_node *node)
{
    Py_ssize_t count = PyTuple_Size(node->src);
    if (!count || !add_word(graph, NODE) || !add_word(graph, node->own) || !add_object(graph, node->op) ||
        !add_object(graph, node->attr))
        return false;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *x = PyTuple_GetItem(node->src, i);
        if (!kf_is_node(x) || !push(graph, (kf_node *)x))
            return false;
    }
    return true;
}

/* Adds a node that is met for the first time.  False where the graph is another matter. */
static bool add_node(struct kf_graph *graph, const kf_node *node, uint64_t first, int extent)
{
    bool is_leaf = PyObject_TypeCheck(node->attr, kf_buffer_type);
    PyObject *buffer = is_leaf ? node->attr : node->realized;
    if (buffer != Py_None) { /* a constant may have been computed where the default device was another */
        bool goes_on = extent & KF_HISTORY && !is_leaf && PyTuple_Size(node->src);
        if ((node->device == Py_None && !(extent & KF_ELSEWHERE)) ||
            !add_buffer(graph, node, buffer, first, goes_on ? COMPUTED : BUFFER))
            return false;
        if (extent & KF_HISTORY && node->op == names[CONST] &&
            !(add_word(graph, (uintptr_t)node) && add_object(graph, (PyObject *)node)))
            return false;
        return !goes_on || add_operation(graph, node);
    }
    if (node->op == names[GRADIENT] && !(extent & KF_HISTORY))
        return false;
    if (node->device == Py_None) {
        if (node->op == names[IOTA])
            return add_word(graph, VALUE) && add_object(graph, node->op) && add_object(graph, node->shape) &&
                   add_object(graph, node->dtype);
        if (is_uniform(node)) /* equal ones are one object while it is held */
            return add_word(graph, VALUE) && add_word(graph, (uintptr_t)node) && add_object(graph, (PyObject *)node);
    }
    return add_operation(graph, node);
}

/* Whether nodes are on one device, or all on none: that is computed on the default device, which graphs are known under. */
static bool are_on_one_device(kf_node *const *roots, Py_ssize_t count)
{
    for (Py_ssize_t i = 1; i < count; i++)
        if (PyObject_RichCompareBool(roots[i]->device, roots[0]->device, Py_EQ) != 1)
            return false;
    return true;
}

static uint64_t walks;

static bool walk(struct kf_graph *graph, kf_node *const *roots, Py_ssize_t count, int extent)
{
    uint64_t first = ++walks << KF_WALK;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!push(graph, roots[i]))
            return false;
    if (!add_word(graph, (uint64_t)count))
        return false;
    while (graph->height) {
        kf_node *node = graph->stack[--graph->height];
        if (node->visit >= first) {
            if (!add_word(graph, AGAIN) || !add_word(graph, node->visit - first))
                return false;
            continue;
        }
        if (graph->nodes == MOST_NODES || !grow(graph, NODES, graph->nodes + 1, sizeof node))
            return false;
        graph->node = graph->rows[NODES].first;
        node->visit = first + (uint64_t)graph->nodes;
        graph->node[graph->nodes++] = node;
        if (!add_node(graph, node, first, extent))
            return false;
    }
    return true;
}

struct kf_graph *kf_walk(kf_node *const *roots, Py_ssize_t count, int extent)
{
    if (!(extent & KF_ELSEWHERE) && !are_on_one_device(roots, count))
        return NULL;
    struct kf_graph *graph = taken();
    if (graph && walk(graph, roots, count, extent))
        return graph;
    kf_leave(graph);
    return NULL;
}

struct kf_graph *kf_walk_as_needed(kf_node *const *roots, Py_ssize_t count, int extent)
{
    struct kf_graph *graph = kf_walk(roots, count, extent);
    return graph ? graph : kf_walk(roots, count, extent | KF_HISTORY);
}

kf_node *kf_differentiated(const kf_node *node)
{
    PyObject *found = node->op == names[GRADIENT] && PyTuple_Size(node->src) ? PyTuple_GetItem(node->src, 0) : NULL;
    return kf_is_node(found) ? (kf_node *)found : NULL;
}

bool kf_is_work(const kf_node *node)
{
    return node->realized == Py_None && PyTuple_Size(node->src) && !kf_is_known_value(node);
}

uint64_t kf_mark_work(kf_node *root)
{
    struct kf_graph *graph = taken();
    uint64_t number = ++walks;
    Py_ssize_t marked = 0;
    bool done = graph && push(graph, root);
    while (done && graph->height) {
        kf_node *node = graph->stack[--graph->height];
        if (node->visit >> KF_WALK == number || !kf_is_work(node))
            continue;
        node->visit = number << KF_WALK;
        done = ++marked < MOST_NODES;
        for (Py_ssize_t i = 0; done && i < PyTuple_Size(node->src); i++) {
            PyObject *x = PyTuple_GetItem(node->src, i);
            done = kf_is_node(x) && push(graph, (kf_node *)x);
        }
        kf_node *output = done ? kf_differentiated(node) : NULL;
        if (output && output->realized != Py_None)
            output->visit = number << KF_WALK;
    }
    kf_leave(graph);
    return done ? number : 0;
}

/* ------------------------------------------------------------------------------------------------ for Python */

/* What is the same of graphs that differ only in the buffers they read.  objects: a tuple. */
typedef struct {
    PyObject_HEAD
    PyObject *objects;
    uint64_t hash;
    Py_ssize_t words;
    uint64_t *word;
} Key;

static PyTypeObject *key_type;

static void leave_key(PyObject *self)
{
    PyMem_Free(((Key *)self)->word);
}

KF_KEEPS(Key, objects, objects, leave_key)

static PyObject *compared(PyObject *self, PyObject *other, int operation)
{
    if ((operation != Py_EQ && operation != Py_NE) || !PyObject_TypeCheck(other, key_type))
        return Py_NewRef(Py_NotImplemented);
    const Key *a = (Key *)self, *b = (Key *)other;
    int equal = a->hash == b->hash && a->words == b->words &&
                !memcmp(a->word, b->word, (size_t)a->words * sizeof *a->word);
    if (equal && a != b)
        equal = PyObject_RichCompareBool(a->objects, b->objects, Py_EQ);
    return equal < 0 ? NULL : PyBool_FromLong(equal == (operation == Py_EQ));
}

static Py_hash_t hashed(PyObject *self)
{
    Py_hash_t hash = (Py_hash_t)((Key *)self)->hash;
    return hash == -1 ? -2 : hash;
}

static PyObject *key_of(const struct kf_graph *graph)
{
    Key *key = kf_new(key_type);
    if (!key)
        return NULL;
    key->objects = PyTuple_New(graph->objects);
    key->word = PyMem_Malloc(((size_t)graph->words + 1) * sizeof *key->word);
    if (!key->objects || !key->word) {
        Py_DECREF((PyObject *)key);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < graph->objects; i++)
        PyTuple_SetItem(key->objects, i, Py_NewRef(graph->object[i]));
    memcpy(key->word, graph->word, (size_t)graph->words * sizeof *key->word);
    key->words = graph->words;
    key->hash = graph->hash;
    return (PyObject *)key;
}

static PyObject *listed(PyObject *const *objects, Py_ssize_t count)
{
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list && i < count; i++)
        PyList_SetItem(list, i, Py_NewRef(objects[i]));
    return list;
}

/* (key, buffers, nodes) of a graph.  No garbage goes meanwhile: that may run Python, which may have nodes forget what
   they are computed from, and nothing else holds it. */
static PyObject *told(const struct kf_graph *graph)
{
    int collects = PyGC_Disable();
    PyObject *key = key_of(graph), *buffers = listed(graph->buffer, graph->buffers);
    PyObject *nodes = listed((PyObject *const *)graph->node, graph->nodes);
    PyObject *found = key && buffers && nodes ? PyTuple_Pack(3, key, buffers, nodes) : NULL;
    if (collects)
        PyGC_Enable();
    Py_XDECREF(key);
    Py_XDECREF(buffers);
    Py_XDECREF(nodes);
    return found;
}

/* structure(roots, history=False): what `kernelforge.structure.structure` tells of a list of nodes; None where that has
   to do it. */
static PyObject *structure(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *given;
    int history = 0;
    if (!PyArg_ParseTuple(arguments, "O!|p:structure", &PyList_Type, &given, &history))
        return NULL;
    Py_ssize_t count = PyList_Size(given);
    PyObject *roots = PyList_GetSlice(given, 0, count), *found = NULL;
    kf_node **nodes = PyMem_Malloc(((size_t)count + 1) * sizeof *nodes);
    if (!roots || !nodes) {
        Py_XDECREF(roots);
        PyMem_Free(nodes);
        return PyErr_NoMemory();
    }
    bool are = true;
    for (Py_ssize_t i = 0; i < count; i++)
        are = kf_is_node((PyObject *)(nodes[i] = (kf_node *)PyList_GetItem(roots, i))) && are;
    struct kf_graph *graph = !are    ? NULL
                             : history ? kf_walk(nodes, count, KF_ELSEWHERE | KF_HISTORY)
                                       : kf_walk_as_needed(nodes, count, KF_ELSEWHERE);
    found = graph ? told(graph) : Py_NewRef(Py_None);
    kf_leave(graph);
    Py_DECREF(roots);
    PyMem_Free(nodes);
    return found;
}

static PyMethodDef functions[] = {
    {"structure", structure, METH_VARARGS, "What a graph looks like, its buffers, its nodes."}, {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_doc, "What is the same of graphs that differ only in the buffers they read."},
    {Py_tp_richcompare, compared}, {Py_tp_hash, hashed}, {Py_tp_traverse, Key_traverse}, {Py_tp_clear, Key_clear},
    {Py_tp_dealloc, Key_forget}, {0, NULL}};

static PyType_Spec spec = {"kernelforge.native._native.Key", sizeof(Key), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};

int kf_add_structure(PyObject *module)
{
    static const char *const texts[] = {"gradient", "iota", "expand", "reshape", "const"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!names[i] && !(names[i] = PyUnicode_InternFromString(texts[i])))
            return -1;
    key_type = kf_add_type(module, "Key", &spec);
    return key_type ? PyModule_AddFunctions(module, functions) : -1;
}
