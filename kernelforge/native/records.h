/* Objects of the library whose fields C reads as well: the fields alone; what they are and do is said in Python.

Each is the base of a Python class.  All fields that hold objects lie one after another. */

#ifndef KF_RECORDS_H
#define KF_RECORDS_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* kernelforge.node.Node.  mark: what tells it from others of its operation and sources; own: a hash of operation and
   mark; hash: of the sources as well; visit: its number in the last walk that met it; is_apart: nobody finds it. */
typedef struct {
    PyObject_HEAD
    PyObject *weak;
    PyObject *op, *src, *attr, *shape, *dtype, *device, *place, *realized, *mark;
    Py_ssize_t depth;
    uint64_t own, hash, visit;
    bool is_entered, is_apart;
} kf_node;

/* Whether a node has all its fields: Python may make one without, and take fields away. */
static inline bool kf_is_whole(const kf_node *node)
{
    return node->op && node->src && PyTuple_Check(node->src) && node->attr && node->shape && PyTuple_Check(node->shape) &&
           node->dtype && node->device && node->place && node->realized;
}

/* kernelforge.tensor.core.Core */
typedef struct {
    PyObject_HEAD
    PyObject *weak;
    PyObject *node, *tracked, *leaf, *grad, *hooks, *place;
} kf_tensor;

/* kernelforge.tensor.aliases.Family.  room: of how many members it looks for those that are gone. */
typedef struct {
    PyObject_HEAD
    PyObject *weak;
    PyObject *members, *room, *shape;
} kf_family;

/* kernelforge.buffer.Buffer.  visit: its number in the last walk that met it. */
typedef struct {
    PyObject_HEAD
    PyObject *weak;
    PyObject *size, *dtype, *device, *host, *memory, *shared;
    uint64_t visit;
} kf_buffer;

/* kernelforge.kernels.runtime.Memory */
typedef struct {
    PyObject_HEAD
    PyObject *weak;
    PyObject *nbytes, *block, *owner;
} kf_memory;

/* kernelforge.kernels.runtime.Block */
typedef struct {
    PyObject_HEAD
    PyObject *weak;
    PyObject *capacity, *handle, *host, *serial, *last_use, *parts;
    uint64_t address;
} kf_block;

/* kernelforge.counters.Counters */
typedef struct {
    PyObject_HEAD
    PyObject *weak;
    PyObject *pools, *time_sum_s, *plans, *compiled, *verified, *confirmed;
    long long kernel_count, global_ops, global_mem;
} kf_counters;

extern PyTypeObject *kf_node_type, *kf_tensor_type, *kf_buffer_type, *kf_memory_type, *kf_block_type,
    *kf_counters_type, *kf_family_type;

/* What a type of objects does with the fields from `first` to `last`; `leave(self)` is called when one goes. */
#define KF_KEEPS(type, first, last, leave)                                                                           \
    enum { type##_fields = (offsetof(type, last) - offsetof(type, first)) / sizeof(PyObject *) + 1 };                \
    static int type##_traverse(PyObject *self, visitproc visit, void *arg)                                          \
    {                                                                                                                \
        Py_VISIT(Py_TYPE(self));                                                                                     \
        return kf_visit(&((type *)self)->first, type##_fields, visit, arg);                                         \
    }                                                                                                                \
    static int type##_clear(PyObject *self)                                                                          \
    {                                                                                                                \
        kf_clear(&((type *)self)->first, type##_fields);                                                             \
        return 0;                                                                                                    \
    }                                                                                                                \
    static void type##_forget(PyObject *self)                                                                       \
    {                                                                                                                \
        PyTypeObject *own = Py_TYPE(self);                                                                           \
        PyObject_GC_UnTrack(self);                                                                                   \
        leave(self);                                                                                                 \
        kf_clear(&((type *)self)->first, type##_fields);                                                             \
        ((freefunc)PyType_GetSlot(own, Py_tp_free))(self);                                                           \
        Py_DECREF(own);                                                                                              \
    }

#define KF_FIELD(type, member, name) {name, T_OBJECT_EX, offsetof(type, member), 0, NULL}
#define KF_WEAK(type) {"__weaklistoffset__", T_PYSSIZET, offsetof(type, weak), READONLY, NULL}

int kf_visit(PyObject **fields, int count, visitproc visit, void *arg);
void kf_clear(PyObject **fields, int count);

/* Adds a type to the module; a borrowed reference, or NULL with an error set. */
PyTypeObject *kf_add_type(PyObject *module, const char *name, PyType_Spec *spec);

/* Puts a new reference in the place of what a field holds. */
static inline void kf_put(PyObject **field, PyObject *value)
{
    PyObject *old = *field;
    *field = Py_NewRef(value);
    Py_XDECREF(old);
}

/* A new object of a class of such a type, without fields. */
static inline void *kf_new(PyTypeObject *type)
{
    return PyType_GenericAlloc(type, 0);
}

int kf_add_records(PyObject *module);
int kf_add_nodes(PyObject *module);
int kf_add_tensors(PyObject *module);
int kf_add_methods(PyObject *module);
int kf_add_repeated(PyObject *module);
int kf_add_views(PyObject *module);
int kf_add_in_place(PyObject *module);
int kf_add_functions(PyObject *module);
int kf_add_structure(PyObject *module);
int kf_add_known(PyObject *module);
int kf_add_made(PyObject *module);
int kf_add_drawn(PyObject *module);
int kf_add_arrays(PyObject *module);
int kf_add_read(PyObject *module);

/* Whether an object, or NULL, is a node that has all its fields. */
bool kf_is_node(PyObject *given);

/* What a tensor that gradients flow through takes for a node, which is nobody else's: who was found rather than made is
   another's, or a part of what another computes, so a sibling takes its place, and siblings that of what leads to it from
   the node of the tensor it is computed of; that node itself gets an alias.  Steals and gives a reference; NULL with an error set. */
kf_node *kf_own(kf_node *node, const kf_node *of);

/* The node of a buffer, in a shape, of its own type or another; a new reference. */
kf_node *kf_leaf(PyObject *buffer, PyObject *shape, PyObject *dtype);

/* The node of an operation, with what follows from op, src and attr; a new reference. */
kf_node *kf_node_of(PyObject *op, PyObject *src, PyObject *attr, PyObject *shape, PyObject *dtype);

/* The node of these, a new one if there is none; a new reference.  mark: what tells it from others. */
kf_node *kf_interned(PyObject *op, PyObject *mark, PyObject *src, PyObject *attr, PyObject *shape, PyObject *dtype,
                     PyObject *device);

/* A tensor of a node, which it takes the reference of; the user's frame is so far up, or further. */
PyObject *kf_wrapped(PyTypeObject *type, kf_node *node, PyObject *tracked, long up);

/* What a tensor has for `tracked` whose graph was let go of, NULL where there is none yet; see kernelforge.tensor.spent. */
extern PyObject *kf_spent;

/* The node such a tensor stands for instead of one, a new reference. */
kf_node *kf_spent_node(kf_node *node);

/* What a tensor computed from one alone has for `tracked`, borrowed. */
PyObject *kf_flag_of(PyObject *tracked);

/* The same of what is computed of a tensor, whose node may be this one. */
PyObject *kf_wrapped_of(PyTypeObject *type, kf_node *node, PyObject *tracked, long up, const kf_node *of);

/* The node of a scalar operation on two arrays of the same shape and type; a new reference. */
kf_node *kf_binary(PyObject *op, kf_node *a, kf_node *b);

/* The type that a scalar operation on one array gives of a type, borrowed; NULL where it gives none, or with an error. */
PyObject *kf_result_of_one(PyObject *op, PyObject *dtype);

/* The same of one on two arrays of a type. */
PyObject *kf_result_of_two(PyObject *op, PyObject *dtype);

/* A hash that depends on another one and a value. */
static inline uint64_t kf_mixed(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
    return hash ^ (hash >> 32);
}

#endif
