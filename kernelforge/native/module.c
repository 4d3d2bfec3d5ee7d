/* The module `_native`, and sequences of kernels that are called as the functions they are.

Python gives the addresses of memories; all else was given when the sequence was made.  A kernel that may be short runs
in the calling thread alone until it is known how long that takes; then that is how it is run, or by several threads. */

#define _GNU_SOURCE
#include "records.h"

#include "pool.h"
#include "sequence.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#ifndef SOURCES
#error "build.py says which sources these are"
#endif

enum {
    FEW = 16,            /* addresses that need no memory of their own */
    LEARNING = 4,        /* runs after which it is known how long one takes */
    SHARED = 5000,       /* nanoseconds of a kernel that is worth sharing */
    WAKING = 20000,      /* ... that is worth waking threads for */
    AWAKE = 1000,        /* ... that is worth sharing among threads which other kernels have woken */
    UNNOTICED = 20000,   /* nanoseconds that other Python threads may have to wait */
    MARGIN = 256 << 10   /* bytes of stack beside those a kernel asks for */
};

/* A kernel of a sequence; `at` is where its arguments begin in a frame. */
struct step {
    struct kf_work work;
    uint64_t nanoseconds; /* the shortest time it took alone */
    size_t at;
    int runs, small;
};

/* An argument: an address that Python gives, and what is added to it. */
struct argument {
    size_t at, place;
    uint64_t offset;
};

PyTypeObject *kf_sequence_type;

/* frame: the addresses of a run, then the arguments of all steps. */
typedef struct {
    PyObject_HEAD
    struct step *steps;
    struct argument *arguments;
    uint64_t *frame;
    size_t count, argument_count, places, words, stack;
    uint64_t nanoseconds, shared;
    int runs, busy;
} Sequence;

/* ------------------------------------------------------------------------------------------------- running */

/* Whether this thread's stack has so many bytes left. */
static bool stack_has(size_t bytes)
{
    static _Thread_local char *end;
    char here;
    if (!end) {
        pthread_attr_t attributes;
        void *start;
        size_t size;
        if (pthread_getattr_np(pthread_self(), &attributes))
            return false;
        pthread_attr_getstack(&attributes, &start, &size);
        pthread_attr_destroy(&attributes);
        end = start;
    }
    return (size_t)(&here - end) > bytes + MARGIN;
}

/* shared: nanoseconds from which on a kernel of this sequence is worth sharing */
static void run_step(struct step *step, const uint64_t *frame, bool learns, uint64_t shared)
{
    struct kf_work work = step->work;
    work.arguments = frame + step->at;
    if (work.groups < 2 || (step->runs == LEARNING && step->nanoseconds < shared)) {
        kf_run_alone(&work);
    } else if (step->runs == LEARNING || !learns) {
        kf_run_together(&work, step->nanoseconds > WAKING || shared < SHARED);
    } else {
        uint64_t start = kf_now(), taken;
        kf_run_alone(&work);
        taken = kf_now() - start;
        step->nanoseconds = taken < step->nanoseconds ? taken : step->nanoseconds;
        step->runs++;
    }
}

/* Nanoseconds from which on a kernel is worth sharing: fewer where all that are take so long that threads stay awake. */
static uint64_t least_shared(const Sequence *self)
{
    uint64_t all = 0;
    for (size_t i = 0; i < self->count && all <= WAKING; i++) {
        const struct step *step = &self->steps[i];
        if (step->work.groups > 1 && step->nanoseconds >= AWAKE)
            all += step->nanoseconds < WAKING ? step->nanoseconds : WAKING + 1;
    }
    return all > WAKING ? AWAKE : SHARED;
}

/* Runs all steps on a frame; only who has the sequence's own frame takes down how long they take. */
static void run_steps(Sequence *self, const uint64_t *frame)
{
    bool learns = frame == self->frame;
    uint64_t start = self->runs < LEARNING ? kf_now() : 0;
#if defined(__SSE__)
    unsigned int before = _mm_getcsr();
    _mm_setcsr(0x1F80); /* as the other threads have it, whatever a library has set in this one */
#endif
    for (size_t i = 0; i < self->count; i++)
        run_step(&self->steps[i], frame, learns, self->shared);
#if defined(__SSE__)
    _mm_setcsr(before);
#endif
    if (learns && self->runs < LEARNING) {
        uint64_t taken = kf_now() - start;
        self->nanoseconds = taken < self->nanoseconds ? taken : self->nanoseconds;
        if (++self->runs == LEARNING)
            self->shared = least_shared(self);
    }
}

struct elsewhere {
    Sequence *self;
    const uint64_t *frame;
};

static void *run_given(void *given)
{
    struct elsewhere *work = given;
    run_steps(work->self, work->frame);
    return NULL;
}

/* Runs all steps in a thread that has stack enough; false where the system gives none. */
static bool run_elsewhere(Sequence *self, const uint64_t *frame)
{
    struct elsewhere work = {self, frame};
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes))
        return false;
    bool started = !pthread_attr_setstacksize(&attributes, KF_STACK) &&
                   !pthread_create(&thread, &attributes, run_given, &work);
    pthread_attr_destroy(&attributes);
    return started && !pthread_join(thread, NULL);
}

/* How many threads run kernels while others have Python. */
static _Atomic int apart;

/* Waits for them at Python's end: what a kernel uses, its code above all, goes soon after. */
static void await_those_apart(void)
{
    while (atomic_load(&apart))
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

/* A copy of a process has none of these threads. */
static void forget_those_apart(void)
{
    atomic_store(&apart, 0);
}

/* Runs all steps while other Python threads go on. */
static bool run_apart(Sequence *self, const uint64_t *frame)
{
    bool own = frame == self->frame, done = true;
    if (own)
        self->busy = 1;
    atomic_fetch_add(&apart, 1);
    Py_BEGIN_ALLOW_THREADS
    if (stack_has(self->stack))
        run_steps(self, frame);
    else
        done = run_elsewhere(self, frame);
    atomic_fetch_sub(&apart, 1); /* a thread that is late for Python's end comes no further */
    Py_END_ALLOW_THREADS
    if (own)
        self->busy = 0;
    if (!done)
        PyErr_SetString(PyExc_MemoryError, "there is no thread with the stack that a kernel needs");
    return done;
}

/* The sequence's frame, or a copy of it while another thread uses that; NULL with an error set. */
static uint64_t *take_frame(Sequence *self)
{
    uint64_t *frame = self->frame;
    if (self->busy) {
        frame = PyMem_Malloc(self->words * sizeof *frame);
        if (!frame)
            return (uint64_t *)PyErr_NoMemory();
        memcpy(frame, self->frame, self->words * sizeof *frame);
    }
    return frame;
}

static void fill(Sequence *self, uint64_t *frame, const uint64_t *addresses)
{
    memcpy(frame, addresses, self->places * sizeof *frame);
    for (size_t i = 0; i < self->argument_count; i++) {
        struct argument *argument = &self->arguments[i];
        frame[argument->at] = frame[argument->place] + argument->offset;
    }
}

bool kf_sequence_run(PyObject *sequence, const uint64_t *addresses)
{
    Sequence *self = (Sequence *)sequence;
    uint64_t *frame = take_frame(self);
    if (!frame)
        return false;
    bool done = true;
    fill(self, frame, addresses);
    if (self->runs == LEARNING && self->nanoseconds < UNNOTICED && stack_has(self->stack))
        run_steps(self, frame);
    else
        done = run_apart(self, frame);
    if (frame != self->frame)
        PyMem_Free(frame);
    return done;
}

size_t kf_sequence_places(PyObject *sequence)
{
    return ((Sequence *)sequence)->places;
}

static PyObject *run(Sequence *self, PyObject *const *given, Py_ssize_t count)
{
    if ((size_t)count != self->places)
        return PyErr_Format(PyExc_TypeError, "%zu addresses are needed, not %zd", self->places, count);
    uint64_t few[FEW], *addresses = count <= FEW ? few : PyMem_Malloc((size_t)count * sizeof *addresses);
    if (!addresses)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count && !PyErr_Occurred(); i++)
        addresses[i] = PyLong_AsUnsignedLongLong(given[i]);
    bool done = !PyErr_Occurred() && kf_sequence_run((PyObject *)self, addresses);
    if (addresses != few)
        PyMem_Free(addresses);
    return done ? Py_NewRef(Py_None) : NULL;
}

/* -------------------------------------------------------------------------------------------------- making */

/* Room for as many steps, arguments and words as a tuple of steps has. */
static bool make_room(Sequence *self, PyObject *steps)
{
    self->count = (size_t)PyTuple_Size(steps);
    for (size_t i = 0; i < self->count; i++) {
        PyObject *step = PyTuple_GetItem(steps, (Py_ssize_t)i), *arguments, *numbers;
        if (!PyArg_ParseTuple(step, "K(KKK)pnO!O!:step", &(uint64_t){0}, &(uint64_t){0}, &(uint64_t){0}, &(uint64_t){0},
                              &(int){0}, &(Py_ssize_t){0}, &PyTuple_Type, &arguments, &PyTuple_Type, &numbers))
            return false;
        self->argument_count += (size_t)PyTuple_Size(arguments);
        self->words += (size_t)(PyTuple_Size(arguments) + PyTuple_Size(numbers)) + 1;
    }
    self->words += self->places;
    self->steps = PyMem_Calloc(self->count + 1, sizeof *self->steps);
    self->arguments = PyMem_Calloc(self->argument_count + 1, sizeof *self->arguments);
    self->frame = PyMem_Calloc(self->words + 1, sizeof *self->frame);
    if (self->steps && self->arguments && self->frame)
        return true;
    PyErr_NoMemory();
    return false;
}

/* Sets the numbers of a step, which lie behind its addresses as 32-bit integers. */
static bool set_numbers(uint64_t *behind, PyObject *numbers)
{
    for (Py_ssize_t i = 0; i < PyTuple_Size(numbers); i++) {
        long given = PyLong_AsLong(PyTuple_GetItem(numbers, i));
        if (given == -1 && PyErr_Occurred())
            return false;
        int32_t number = (int32_t)given;
        if (number != given) {
            PyErr_Format(PyExc_OverflowError, "%ld is no 32-bit integer", given);
            return false;
        }
        memcpy((char *)behind + i * (Py_ssize_t)sizeof number, &number, sizeof number);
    }
    return true;
}

/* Takes a step; the first word and the first argument behind it are left in `word` and `next`. */
static bool add_step(Sequence *self, struct step *step, PyObject *given, size_t *word, size_t *next)
{
    uint64_t function, *grid = step->work.grid;
    Py_ssize_t stack;
    PyObject *arguments, *numbers;
    if (!PyArg_ParseTuple(given, "K(KKK)pnO!O!:step", &function, &grid[0], &grid[1], &grid[2], &step->small, &stack,
                          &PyTuple_Type, &arguments, &PyTuple_Type, &numbers))
        return false;
    if (stack < 0) {
        PyErr_SetString(PyExc_ValueError, "a kernel needs no negative stack");
        return false;
    }
    step->work.function = (kf_function)(uintptr_t)function;
    step->work.groups = grid[0] * grid[1] * grid[2];
    step->nanoseconds = UINT64_MAX;
    step->runs = step->small ? 0 : LEARNING;
    step->at = *word;
    self->stack = self->stack > (size_t)stack ? self->stack : (size_t)stack;
    for (Py_ssize_t i = 0; i < PyTuple_Size(arguments); i++) {
        struct argument *argument = &self->arguments[(*next)++];
        Py_ssize_t place;
        if (!PyArg_ParseTuple(PyTuple_GetItem(arguments, i), "nK:argument", &place, &argument->offset))
            return false;
        if (place < 0 || (size_t)place >= self->places) {
            PyErr_Format(PyExc_IndexError, "there is no place %zd", place);
            return false;
        }
        argument->place = (size_t)place;
        argument->at = (*word)++;
    }
    uint64_t *behind = self->frame + *word;
    *word += (size_t)PyTuple_Size(numbers) + 1;
    return set_numbers(behind, numbers);
}

static PyObject *make(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *steps;
    Py_ssize_t places;
    static char *names[] = {"steps", "places", NULL};
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!n:Sequence", names, &PyList_Type, &steps, &places))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Sequence *self = (Sequence *)allocate(type, 0);
    if (!self || !(steps = PyList_AsTuple(steps))) { /* numbers may run Python, which may change a list */
        Py_XDECREF((PyObject *)self);
        return NULL;
    }
    self->places = places < 0 ? 0 : (size_t)places;
    self->nanoseconds = UINT64_MAX;
    self->shared = SHARED;
    bool made = make_room(self, steps);
    size_t word = self->places, next = 0;
    for (size_t i = 0; made && i < self->count; i++)
        made = add_step(self, &self->steps[i], PyTuple_GetItem(steps, (Py_ssize_t)i), &word, &next);
    Py_DECREF(steps);
    if (!made)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void forget(Sequence *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyMem_Free(self->steps);
    PyMem_Free(self->arguments);
    PyMem_Free(self->frame);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* -------------------------------------------------------------------------------------------------- the module */

static PyObject *threads(PyObject *module, PyObject *most)
{
    long given = PyLong_AsLong(most);
    (void)module;
    if (given == -1 && PyErr_Occurred())
        return NULL;
    kf_set_threads(given > KF_MOST_THREADS ? KF_MOST_THREADS : (int)given);
    return PyLong_FromLong(kf_threads());
}

static PyMethodDef sequence_methods[] = {
    {"run", (PyCFunction)(void (*)(void))run, METH_FASTCALL, "Calls the kernels on memories at these addresses."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot sequence_slots[] = {
    {Py_tp_doc, "Kernels called one after another on memories whose addresses are given."},
    {Py_tp_new, make}, {Py_tp_dealloc, forget}, {Py_tp_methods, sequence_methods}, {0, NULL}};

static PyType_Spec sequence_type = {
    "kernelforge.native._native.Sequence", sizeof(Sequence), 0, Py_TPFLAGS_DEFAULT, sequence_slots};

static int fill_module(PyObject *module)
{
    static bool watched, filled;
    if (filled) { /* what it holds belongs to one interpreter */
        PyErr_SetString(PyExc_ImportError, "the module serves one interpreter of a process");
        return -1;
    }
    filled = true;
    if (!watched)
        watched = !pthread_atfork(NULL, NULL, forget_those_apart) && !Py_AtExit(await_those_apart);
    kf_sequence_type = kf_add_type(module, "Sequence", &sequence_type);
    if (!kf_sequence_type || kf_add_records(module) || kf_add_nodes(module) || kf_add_tensors(module) ||
        kf_add_methods(module) || kf_add_repeated(module) || kf_add_views(module) || kf_add_in_place(module) ||
        kf_add_functions(module) || kf_add_structure(module) || kf_add_known(module) || kf_add_made(module) ||
        kf_add_drawn(module) || kf_add_arrays(module) || kf_add_read(module))
        return -1;
    return PyModule_AddIntConstant(module, "SOURCES", SOURCES) ||
           PyModule_AddIntConstant(module, "STACK", KF_STACK / 2) ? -1 : 0;
}

static PyMethodDef module_methods[] = {
    {"threads", threads, METH_O, "Bounds the threads that run kernels; how many may from now on."},
    {NULL, NULL, 0, NULL}};

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_native", "Kernels called by several threads, sequences of them at a time.", 0,
    module_methods, module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&module);
}
