/* A plan's kernels as one function, from the buffers they read to the memory they have written.

It takes memory for results from reserves: what it gave in the last two calls and nobody holds any more. */

#include "sequence.h"

#include <string.h>

PyTypeObject *kf_function_type;

enum kind { LEAF, NEW, FIXED, GIVEN };

enum { MOST_PLACES = 1024, UNNOTICED = 1 << 16, /* bytes copied while other Python threads wait */
       UPLOADS = 8, SMALL = 1 << 14 /* bytes of an array that is copied without asking Python */ };

/* Where an address comes from. */
struct place {
    enum kind kind;
    Py_ssize_t number;
    uint64_t address;
};

/* Integers a kernel writes to where it finds an index out of range, in memory that is kept. */
struct flags {
    const int32_t *first;
    Py_ssize_t count;
};

/* uploads: of the first buffers that were on the host a pair of the device and the reserve of what they were copied to;
   reserves: for each memory taken anew a pair of bytes and a list, or None; take: makes new memory of so many bytes;
   queues: what else runs; kept: what must live as long; runs: how often it ran. */
typedef struct {
    PyObject_HEAD
    PyObject *sequence, *reserves, *take, *queues, *uploads, *kept;
    struct place *places;
    struct flags *flags;
    Py_ssize_t count, news, results, flagged;
    long long runs;
} Function;

static PyObject *launched, *finished;
static PyObject *resident; /* of Python: has a buffer's elements copied to its device */
static PyObject *reserve;  /* ... gives a new reserve of the device for so many bytes, or None */

/* 1 while a launch that the driver was given is not known to be done, -1 with an error set. */
static int is_busy(PyObject *queues)
{
    PyObject *last = PyObject_GetAttr(queues, launched), *done = last ? PyObject_GetAttr(queues, finished) : NULL;
    int busy = !done ? -1 : last == done ? 0 : PyObject_RichCompareBool(last, done, Py_GT);
    Py_XDECREF(last);
    Py_XDECREF(done);
    return busy;
}

/* Whether a kernel found an index out of range, in this run or in one that is not reported yet. */
static bool is_flagged(const Function *self)
{
    for (Py_ssize_t i = 0; i < self->flagged; i++)
        for (Py_ssize_t j = 0; j < self->flags[i].count; j++)
            if (*(const volatile int32_t *)(self->flags[i].first + j))
                return true;
    return false;
}

/* The address of a memory, 0 for what is none. */
static uint64_t address_of(PyObject *memory)
{
    if (!memory || !PyObject_TypeCheck(memory, kf_memory_type))
        return 0;
    PyObject *block = ((kf_memory *)memory)->block;
    return block && PyObject_TypeCheck(block, kf_block_type) ? ((kf_block *)block)->address : 0;
}

/* Has a memory that nobody else holds known to be unused by what the driver was given, all of which is done. */
static bool rest(PyObject *memory)
{
    PyObject *block = PyObject_TypeCheck(memory, kf_memory_type) ? ((kf_memory *)memory)->block : NULL;
    PyObject *none = block && PyObject_TypeCheck(block, kf_block_type) ? PyLong_FromLong(0) : NULL;
    if (none)
        kf_put(&((kf_block *)block)->last_use, none);
    Py_XDECREF(none);
    return !PyErr_Occurred();
}

/* Memory of a reserve that nobody else holds, else new one which then is in reserve; a new reference. */
static PyObject *taken(Function *self, PyObject *reserve)
{
    PyObject *nbytes = PyTuple_GetItem(reserve, 0), *spared = PyTuple_GetItem(reserve, 1);
    if (spared == Py_None)
        return PyObject_CallFunctionObjArgs(self->take, nbytes, NULL);
    for (Py_ssize_t i = PyList_Size(spared) - 1; i >= 0; i--) {
        PyObject *memory = PyList_GetItem(spared, i);
        if (memory != Py_None && Py_REFCNT(memory) == 1)
            return Py_NewRef(memory);
    }
    PyObject *memory = PyObject_CallFunctionObjArgs(self->take, nbytes, NULL);
    if (memory && PyList_Size(spared) == 2) { /* the older one makes room */
        PyObject *oldest = Py_NewRef(PyList_GetItem(spared, 0));
        PyList_SetItem(spared, 0, Py_NewRef(PyList_GetItem(spared, 1)));
        PyList_SetItem(spared, 1, Py_NewRef(memory));
        Py_DECREF(oldest); /* when the list is as it is to be: what goes may run Python */
    }
    return memory;
}

/* The reserve of the buffer of a number, borrowed; NULL where it has none, with an error set or not. */
static PyObject *uploads_of(Function *self, Py_ssize_t number, const kf_buffer *buffer)
{
    PyObject *pair = number < PyList_Size(self->uploads) ? PyList_GetItem(self->uploads, number) : NULL;
    bool is_own = pair && PyTuple_Check(pair) && PyTuple_GetItem(pair, 0) == buffer->device;
    return is_own && PyList_Check(PyTuple_GetItem(pair, 1)) ? PyTuple_GetItem(pair, 1) : NULL;
}

/* Has a buffer's memory, which its elements were copied to, used again for the next one in its place. */
static bool remember(Function *self, Py_ssize_t number, kf_buffer *buffer)
{
    PyObject *memory = buffer->memory, *spared = uploads_of(self, number, buffer);
    PyObject *nbytes = PyObject_TypeCheck(memory, kf_memory_type) ? ((kf_memory *)memory)->nbytes : NULL;
    if (number >= UPLOADS || !nbytes || !PyLong_Check(nbytes) || PyLong_AsSsize_t(nbytes) > SMALL)
        return !PyErr_Occurred();
    while (PyList_Size(self->uploads) <= number)
        if (PyList_Append(self->uploads, Py_None))
            return false;
    if (!spared) {
        PyObject *made = PyObject_CallFunctionObjArgs(reserve, buffer->device, nbytes, NULL);
        PyObject *pair = made ? PyTuple_Pack(2, buffer->device, made) : NULL;
        Py_XDECREF(made);
        if (!pair || PyList_SetItem(self->uploads, number, pair))
            return false;
        spared = uploads_of(self, number, buffer);
    }
    if (!spared || PyList_Size(spared) != 2)
        return !PyErr_Occurred();
    PyObject *oldest = Py_NewRef(PyList_GetItem(spared, 0));
    PyList_SetItem(spared, 0, Py_NewRef(PyList_GetItem(spared, 1)));
    PyList_SetItem(spared, 1, Py_NewRef(memory));
    Py_DECREF(oldest); /* when the list is as it is to be: what goes may run Python */
    return true;
}

/* Copies a buffer's elements to memory that an earlier one in its place has left, where nothing runs: 1 when they are
   there, 0 where that is another matter, -1 with an error set. */
static int upload(Function *self, Py_ssize_t number, kf_buffer *buffer)
{
    PyObject *spared = uploads_of(self, number, buffer), *memory = NULL;
    Py_buffer array;
    for (Py_ssize_t i = 0; spared && !memory && i < PyList_Size(spared); i++) {
        PyObject *one = PyList_GetItem(spared, i);
        if (Py_REFCNT(one) == 1 && address_of(one))
            memory = Py_NewRef(one);
    }
    int busy = memory ? is_busy(self->queues) : 1, done = 0;
    if (!busy && !PyObject_GetBuffer(buffer->host, &array, PyBUF_SIMPLE)) {
        PyObject *nbytes = ((kf_memory *)memory)->nbytes;
        done = buffer->memory == Py_None && PyLong_Check(nbytes) && PyLong_AsSsize_t(nbytes) == array.len;
        if (done)
            memcpy((void *)(uintptr_t)address_of(memory), array.buf, (size_t)array.len);
        PyBuffer_Release(&array);
    } else if (!busy) {
        PyErr_Clear(); /* elements that do not lie one after another */
    }
    if (done) {
        kf_put(&buffer->memory, memory);
        kf_put(&buffer->host, Py_None);
    }
    Py_XDECREF(memory);
    return busy < 0 ? -1 : done;
}

/* Gives the buffer of a number that has no memory yet its own; false with an error set. */
static bool settle(Function *self, Py_ssize_t number, PyObject *given)
{
    kf_buffer *buffer = (kf_buffer *)given;
    if (!resident || buffer->memory != Py_None || !buffer->size || PyObject_IsTrue(buffer->size) != 1)
        return !PyErr_Occurred();
    int done = buffer->host == Py_None ? 0 : upload(self, number, buffer);
    if (done)
        return done > 0;
    PyObject *memory = PyObject_CallFunctionObjArgs(resident, given, NULL);
    Py_XDECREF(memory);
    return memory && remember(self, number, buffer);
}

/* The memory of a place, borrowed; NULL where it has none yet, or is no memory's. */
static PyObject *memory_of(const struct place *place, PyObject *const *buffers, Py_ssize_t count, PyObject *given,
                           PyObject **news)
{
    switch (place->kind) {
    case LEAF:
        return place->number < count ? ((kf_buffer *)buffers[place->number])->memory : NULL;
    case NEW:
        return news[place->number];
    case GIVEN:
        return given && place->number < PyList_Size(given) ? PyList_GetItem(given, place->number) : NULL;
    default:
        return NULL;
    }
}

int kf_function_run(PyObject *function, PyObject *const *buffers, Py_ssize_t count, PyObject *given, PyObject **found)
{
    Function *self = (Function *)function;
    uint64_t addresses[MOST_PLACES];
    PyObject *news[KF_MOST_NEW], *used[MOST_PLACES];
    Py_ssize_t made = 0, holds = 0;
    int ran = 1;
    for (; made < self->news; made++)
        if (!(news[made] = taken(self, PyTuple_GetItem(self->reserves, made)))) {
            ran = -1;
            break;
        }
    for (Py_ssize_t i = 0; ran > 0 && i < count; i++)
        ran = settle(self, i, buffers[i]) ? 1 : -1;
    for (Py_ssize_t i = 0; ran > 0 && i < self->count; i++) {
        const struct place *place = &self->places[i];
        used[holds] = memory_of(place, buffers, count, given, news);
        addresses[i] = place->kind == FIXED ? place->address : address_of(used[holds]);
        if (!addresses[i])
            ran = 0;
        else if (used[holds])
            Py_INCREF(used[holds++]); /* a buffer may be given other memory while kernels run */
    }
    if (ran > 0) { /* asked when there is memory: nothing that runs uses it any more */
        int busy = is_busy(self->queues);
        ran = busy < 0 ? -1 : !busy && !is_flagged(self);
        for (Py_ssize_t i = 0; ran > 0 && i < made; i++)
            ran = rest(news[i]) ? 1 : -1;
    }
    if (ran > 0)
        ran = !kf_sequence_run(self->sequence, addresses) ? -1 : is_flagged(self) ? KF_RAN_INTO_FAULTS : 1;
    self->runs += ran > 0;
    while (holds)
        Py_DECREF(used[--holds]);
    for (Py_ssize_t i = 0; i < made; i++) {
        if (ran > 0 && i < self->results)
            found[i] = news[i];
        else
            Py_DECREF(news[i]);
    }
    return ran;
}

Py_ssize_t kf_function_results(PyObject *function)
{
    return ((Function *)function)->results;
}

/* function(buffers, given=()): the memory of the one result, a list of several, or None. */
static PyObject *call(PyObject *function, PyObject *arguments, PyObject *keywords)
{
    PyObject *leaves, *given = NULL, *found[KF_MOST_NEW], *buffers[MOST_PLACES] = {NULL};
    static char *names[] = {"leaves", "given", NULL};
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|O:Function", names, &leaves, &given))
        return NULL;
    if (!PyList_Check(leaves) || PyList_Size(leaves) > MOST_PLACES || (given && !PyList_Check(given)))
        return PyErr_Format(PyExc_TypeError, "a function takes lists of at most %d buffers", MOST_PLACES);
    Py_ssize_t count = PyList_Size(leaves);
    for (Py_ssize_t i = 0; i < count; i++)
        if (!PyObject_TypeCheck(buffers[i] = PyList_GetItem(leaves, i), kf_buffer_type))
            return PyErr_Format(PyExc_TypeError, "%R is no buffer", buffers[i]);
    for (Py_ssize_t i = 0; i < count; i++)
        Py_INCREF(buffers[i]); /* the list may change while memory is taken */
    int ran = kf_function_run(function, buffers, count, given, found);
    for (Py_ssize_t i = 0; i < count; i++)
        Py_DECREF(buffers[i]);
    if (ran <= 0)
        return ran < 0 ? NULL : Py_NewRef(Py_None);
    Py_ssize_t results = kf_function_results(function);
    if (results == 1)
        return found[0];
    PyObject *memories = PyList_New(results);
    for (Py_ssize_t i = 0; i < results; i++) {
        if (memories)
            PyList_SetItem(memories, i, found[i]);
        else
            Py_DECREF(found[i]);
    }
    return memories;
}

/* -------------------------------------------------------------------------------------------------- making */

static bool set_flags(Function *self, PyObject *flags)
{
    self->flags = PyMem_Calloc((size_t)PyTuple_Size(flags) + 1, sizeof *self->flags);
    if (!self->flags) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_Size(flags); i++) {
        unsigned long long address;
        if (!PyArg_ParseTuple(PyTuple_GetItem(flags, i), "Kn:flags", &address, &self->flags[i].count))
            return false;
        self->flags[i].first = (const int32_t *)(uintptr_t)address;
        self->flagged++;
    }
    return true;
}

static bool set_places(Function *self, PyObject *places)
{
    self->count = PyTuple_Size(places);
    self->places = PyMem_Calloc((size_t)self->count + 1, sizeof *self->places);
    if (!self->places) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < self->count; i++) {
        struct place *place = &self->places[i];
        int kind;
        if (!PyArg_ParseTuple(PyTuple_GetItem(places, i), "inK:place", &kind, &place->number, &place->address))
            return false;
        place->kind = (enum kind)kind;
        if (kind < LEAF || kind > GIVEN || place->number < 0 || (kind == NEW && place->number >= self->news)) {
            PyErr_SetString(PyExc_ValueError, "there is no such place");
            return false;
        }
    }
    return true;
}

/* Whether these are pairs of a size, and None or a list of two. */
static bool are_reserves(PyObject *reserves)
{
    bool are = true;
    for (Py_ssize_t i = 0; are && i < PyTuple_Size(reserves); i++) {
        PyObject *pair = PyTuple_GetItem(reserves, i);
        are = PyTuple_Check(pair) && PyTuple_Size(pair) == 2 &&
              (PyTuple_GetItem(pair, 1) == Py_None || PyList_Check(PyTuple_GetItem(pair, 1)));
    }
    return are;
}

static PyObject *make(PyTypeObject *type, PyObject *given, PyObject *keywords)
{
    PyObject *sequence, *places, *reserves, *take, *queues, *kept, *flags;
    Py_ssize_t results;
    static char *names[] = {"sequence", "places", "reserves", "results", "take", "queues", "kept", "flags", NULL};
    if (!PyArg_ParseTupleAndKeywords(given, keywords, "O!O!O!nOOOO!:Function", names, kf_sequence_type, &sequence,
                                     &PyTuple_Type, &places, &PyTuple_Type, &reserves, &results, &take, &queues, &kept,
                                     &PyTuple_Type, &flags))
        return NULL;
    if (PyTuple_Size(places) > MOST_PLACES || PyTuple_Size(reserves) > KF_MOST_NEW || results < 1 ||
        results > PyTuple_Size(reserves))
        return PyErr_Format(PyExc_ValueError, "a function has at most %d places, and results among %d", MOST_PLACES,
                            KF_MOST_NEW);
    if (kf_sequence_places(sequence) != (size_t)PyTuple_Size(places) || !are_reserves(reserves))
        return PyErr_Format(PyExc_ValueError, "a function has as many places as its sequence, and pairs in reserve");
    Function *self = kf_new(type);
    if (!self)
        return NULL;
    self->sequence = Py_NewRef(sequence);
    self->reserves = Py_NewRef(reserves);
    self->take = Py_NewRef(take);
    self->queues = Py_NewRef(queues);
    self->kept = Py_NewRef(kept);
    self->uploads = PyList_New(0);
    self->news = PyTuple_Size(reserves);
    self->results = results;
    if (!self->uploads || !set_places(self, places) || !set_flags(self, flags))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void leave(PyObject *self)
{
    PyMem_Free(((Function *)self)->places);
    PyMem_Free(((Function *)self)->flags);
}

KF_KEEPS(Function, sequence, kept, leave)

static PyMemberDef members[] = {
    KF_FIELD(Function, sequence, "sequence"), KF_FIELD(Function, kept, "kept"), {NULL, 0, 0, 0, NULL}};

static PyObject *uses(PyObject *self, PyObject *none)
{
    (void)none;
    return PyLong_FromLongLong(((Function *)self)->runs);
}

static PyMethodDef methods[] = {{"uses", uses, METH_NOARGS, "How often it ran."}, {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Kernels called on buffers and on memory taken for them."}, {Py_tp_new, make}, {Py_tp_call, call},
    {Py_tp_traverse, Function_traverse}, {Py_tp_clear, Function_clear}, {Py_tp_dealloc, Function_forget},
    {Py_tp_members, members}, {Py_tp_methods, methods}, {0, NULL}};

static PyType_Spec spec = {
    "kernelforge.native._native.Function", sizeof(Function), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};

static PyObject *set_functions(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *copies, *reserves;
    if (!PyArg_ParseTuple(given, "OO:set_functions", &copies, &reserves))
        return NULL;
    kf_put(&resident, copies);
    kf_put(&reserve, reserves);
    Py_RETURN_NONE;
}

/* copied(address, array, inwards): copies an array of NumPy to memory at an address, or from there. */
static PyObject *copied(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    if (count != 3)
        return PyErr_Format(PyExc_TypeError, "copied takes an address, an array and a bool, not %zd arguments", count);
    bool inwards = given[2] == Py_True;
    void *memory = (void *)(uintptr_t)PyLong_AsUnsignedLongLong(given[0]);
    Py_buffer array;
    if (PyErr_Occurred() || PyObject_GetBuffer(given[1], &array, inwards ? PyBUF_SIMPLE : PyBUF_WRITABLE))
        return NULL;
    if (array.len < UNNOTICED) {
        inwards ? memcpy(memory, array.buf, (size_t)array.len) : memcpy(array.buf, memory, (size_t)array.len);
    } else {
        Py_BEGIN_ALLOW_THREADS
        inwards ? memcpy(memory, array.buf, (size_t)array.len) : memcpy(array.buf, memory, (size_t)array.len);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&array);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"copied", (PyCFunction)(void (*)(void))copied, METH_FASTCALL, "Copies an array to memory, or from there."},
    {"set_functions", set_functions, METH_VARARGS, "Takes what copies a buffer's elements to its device, and reserves."},
    {NULL, NULL, 0, NULL}};

int kf_add_functions(PyObject *module)
{
    if (!launched && !(launched = PyUnicode_InternFromString("launched")))
        return -1;
    if (!finished && !(finished = PyUnicode_InternFromString("finished")))
        return -1;
    kf_function_type = kf_add_type(module, "Function", &spec);
    return kf_function_type && !PyModule_AddFunctions(module, functions) &&
                   !PyModule_AddIntConstant(module, "MOST_PLACES", MOST_PLACES) &&
                   !PyModule_AddIntConstant(module, "MOST_NEW", KF_MOST_NEW)
               ? 0
               : -1;
}
