/* The types of the records, and what all of them do. */

#include "records.h"

PyTypeObject *kf_tensor_type, *kf_buffer_type, *kf_memory_type, *kf_block_type, *kf_counters_type, *kf_family_type;

int kf_visit(PyObject **fields, int count, visitproc visit, void *arg)
{
    for (int i = 0; i < count; i++)
        Py_VISIT(fields[i]);
    return 0;
}

void kf_clear(PyObject **fields, int count)
{
    for (int i = 0; i < count; i++)
        Py_CLEAR(fields[i]);
}

PyTypeObject *kf_add_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    if (!type)
        return NULL;
    int failed = PyModule_AddObjectRef(module, name, type);
    Py_DECREF(type); /* the module has it */
    return failed ? NULL : (PyTypeObject *)type;
}

/* In all of them, weak references go first. */
static void leave(PyObject *self)
{
    if (((kf_tensor *)self)->weak)
        PyObject_ClearWeakRefs(self);
}

KF_KEEPS(kf_buffer, size, shared, leave)
KF_KEEPS(kf_memory, nbytes, owner, leave)
KF_KEEPS(kf_block, capacity, parts, leave)
KF_KEEPS(kf_counters, pools, confirmed, leave)
KF_KEEPS(kf_family, members, shape, leave)

static PyMemberDef buffer_members[] = {
    KF_FIELD(kf_buffer, size, "size"), KF_FIELD(kf_buffer, dtype, "dtype"), KF_FIELD(kf_buffer, device, "device"),
    KF_FIELD(kf_buffer, host, "host"), KF_FIELD(kf_buffer, memory, "memory"), KF_FIELD(kf_buffer, shared, "shared"),
    KF_WEAK(kf_buffer), {NULL, 0, 0, 0, NULL}};

static PyMemberDef memory_members[] = {
    KF_FIELD(kf_memory, nbytes, "nbytes"), KF_FIELD(kf_memory, block, "block"), KF_FIELD(kf_memory, owner, "owner"),
    KF_WEAK(kf_memory), {NULL, 0, 0, 0, NULL}};

static PyMemberDef block_members[] = {
    KF_FIELD(kf_block, capacity, "capacity"), KF_FIELD(kf_block, handle, "handle"), KF_FIELD(kf_block, host, "host"),
    KF_FIELD(kf_block, serial, "serial"), KF_FIELD(kf_block, last_use, "last_use"),
    KF_FIELD(kf_block, parts, "parts"), {"address", T_ULONGLONG, offsetof(kf_block, address), 0, NULL},
    KF_WEAK(kf_block), {NULL, 0, 0, 0, NULL}};

static PyMemberDef counters_members[] = {
    KF_FIELD(kf_counters, pools, "pools"), KF_FIELD(kf_counters, time_sum_s, "time_sum_s"),
    KF_FIELD(kf_counters, plans, "plans"), KF_FIELD(kf_counters, compiled, "compiled"),
    KF_FIELD(kf_counters, verified, "verified"), KF_FIELD(kf_counters, confirmed, "confirmed"),
    {"kernel_count", T_LONGLONG, offsetof(kf_counters, kernel_count), 0, NULL},
    {"global_ops", T_LONGLONG, offsetof(kf_counters, global_ops), 0, NULL},
    {"global_mem", T_LONGLONG, offsetof(kf_counters, global_mem), 0, NULL},
    KF_WEAK(kf_counters), {NULL, 0, 0, 0, NULL}};

static PyMemberDef family_members[] = {
    KF_FIELD(kf_family, members, "_members"), KF_FIELD(kf_family, room, "_room"), KF_FIELD(kf_family, shape, "shape"),
    KF_WEAK(kf_family), {NULL, 0, 0, 0, NULL}};

#define RECORD(type, name, members)                                                                                  \
    static PyType_Slot type##_slots[] = {{Py_tp_traverse, type##_traverse}, {Py_tp_clear, type##_clear},            \
                                         {Py_tp_dealloc, type##_forget}, {Py_tp_members, members}, {0, NULL}};       \
    static PyType_Spec type##_spec = {"kernelforge.native._native." name, sizeof(type), 0,                          \
                                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, type##_slots};

RECORD(kf_buffer, "Buffer", buffer_members)
RECORD(kf_memory, "Memory", memory_members)
RECORD(kf_block, "Block", block_members)
RECORD(kf_counters, "Counters", counters_members)
RECORD(kf_family, "Family", family_members)

int kf_add_records(PyObject *module)
{
    kf_buffer_type = kf_add_type(module, "Buffer", &kf_buffer_spec);
    kf_memory_type = kf_add_type(module, "Memory", &kf_memory_spec);
    kf_block_type = kf_add_type(module, "Block", &kf_block_spec);
    kf_counters_type = kf_add_type(module, "Counters", &kf_counters_spec);
    kf_family_type = kf_add_type(module, "Family", &kf_family_spec);
    return kf_buffer_type && kf_memory_type && kf_block_type && kf_counters_type && kf_family_type ? 0 : -1;
}
