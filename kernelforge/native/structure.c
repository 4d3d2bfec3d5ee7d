/* Walks a graph, and tells what it looks like. */

#include "structure.h"

static PyObject *names[5];
enum { GRADIENT, IOTA, EXPAND, RESHAPE, CONST };

static bool add_word(struct kf_graph *graph, uint64_t word)
{
    if (graph->words == KF_MOST_WORDS)
        return false;
    graph->word[graph->words++] = word;
    graph->hash = kf_mixed(graph->hash, word);
    return true;
}

static bool add_object(struct kf_graph *graph, PyObject *object)
{
    if (graph->objects == KF_MOST_OBJECTS)
        return false;
    graph->object[graph->objects++] = object;
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

enum { NODE = 1, AGAIN, VALUE, BUFFER };

/* Adds a buffer a graph reads, as it is seen there. */
static bool add_buffer(struct kf_graph *graph, const kf_node *node, PyObject *buffer)
{
    Py_ssize_t at = 0;
    while (at < graph->buffers && graph->buffer[at] != buffer)
        at++;
    if (at == KF_MOST_BUFFERS)
        return false;
    if (at == graph->buffers)
        graph->buffer[graph->buffers++] = buffer;
    return add_word(graph, BUFFER) && add_word(graph, (uint64_t)at) && add_word(graph, (uintptr_t)node->dtype) &&
           add_word(graph, (uint64_t)PyTuple_Size(node->shape)) && add_object(graph, node->device) &&
           add_object(graph, node->shape) && add_object(graph, node->dtype);
}

/* Adds a node that is met for the first time; its sources are pushed.  False where the graph is another matter. */
static bool add_node(struct kf_graph *graph, kf_node *node, kf_node **stack, Py_ssize_t *height)
{
    PyObject *buffer = PyObject_TypeCheck(node->attr, kf_buffer_type) ? node->attr : node->realized;
    if (buffer != Py_None) /* a constant may have been computed where the default device was another */
        return node->device != Py_None && add_buffer(graph, node, buffer);
    if (node->op == names[GRADIENT])
        return false;
    if (node->device == Py_None) {
        if (node->op == names[IOTA])
            return add_word(graph, VALUE) && add_object(graph, node->op) && add_object(graph, node->shape) &&
                   add_object(graph, node->dtype);
        if (is_uniform(node)) /* equal ones are one object while it is held */
            return add_word(graph, VALUE) && add_word(graph, (uintptr_t)node) && add_object(graph, (PyObject *)node);
    }
    Py_ssize_t count = PyTuple_Size(node->src);
    if (!count || *height + count > KF_MOST_NODES || !add_word(graph, NODE) || !add_word(graph, node->own) ||
        !add_object(graph, node->op) || !add_object(graph, node->attr))
        return false;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *x = PyTuple_GetItem(node->src, i);
        if (!kf_is_node(x))
            return false;
        stack[(*height)++] = (kf_node *)x;
    }
    return true;
}

bool kf_walk(struct kf_graph *graph, kf_node *const *roots, Py_ssize_t count)
{
    static uint64_t walks;
    kf_node *stack[KF_MOST_NODES];
    uint64_t first = ++walks << 16;
    Py_ssize_t height = 0;
    graph->words = graph->objects = graph->buffers = graph->nodes = 0;
    graph->hash = 0;
    for (; height < count; height++) {
        stack[height] = roots[height];
        PyObject *device = roots[height]->device;
        if (device == Py_None) /* it is computed on the default device, whichever that is */
            return false;
        if (height && PyObject_RichCompareBool(device, roots[0]->device, Py_EQ) != 1)
            return false;
    }
    if (!add_word(graph, (uint64_t)count))
        return false;
    while (height) {
        kf_node *node = stack[--height];
        if (node->visit >= first) {
            if (!add_word(graph, AGAIN) || !add_word(graph, node->visit - first))
                return false;
            continue;
        }
        if (graph->nodes == KF_MOST_NODES)
            return false;
        node->visit = first + (uint64_t)graph->nodes;
        graph->node[graph->nodes++] = node;
        if (!add_node(graph, node, stack, &height))
            return false;
    }
    return true;
}

int kf_prepare_structure(void)
{
    static const char *const texts[] = {"gradient", "iota", "expand", "reshape", "const"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!names[i] && !(names[i] = PyUnicode_InternFromString(texts[i])))
            return -1;
    return 0;
}
