/* Graphs that ran before: found by their structure, and run on other buffers, in one call. */

#include "changed.h"
#include "made.h"
#include "sequence.h"
#include "structure.h"

#include <string.h>

enum { CHAINS = 1024, MOST_KNOWN = 4096, MOST_ROOTS = 64 };

/* A graph that is known, and the function it is, NULL where nothing has to run; all new references.
   holders: its chain, and who uses it.
   facts: of each node that is computed the size, dtype and device, and which of the function's results it is; -1 - i
   where it is the buffer i the graph reads.
   early: the numbers of nodes that are no roots, and whose facts come first.
   guilty: the numbers of nodes that may turn out to be errors; blame: called with these when one did, else NULL.
   left: runs after which it is known no more, when `over` is called; 0 where it stays. */
struct known {
    struct known *next;
    size_t holders;
    uint64_t hash;
    Py_ssize_t words, objects;
    uint64_t *word;
    PyObject **object;
    PyObject *function, *facts, *early, *guilty, *blame, *over;
    long long kernels, flops, nbytes, left;
};

static struct known *chains[CHAINS];
static size_t count_known;
static uint64_t times_forgotten, times_all_forgotten;

/* What Python gives.  waiting: containers; while there is something in one, more is to be done than a graph says.
   planning: a list with something in it while a graph is planned; over: what waits for the end of that.
   overrides, epochs, now: what graphs are known under. */
static PyObject *recorder, *not_a_number, *waiting, *planning, *over, *overrides, *epochs, *now, *counters, *touched;
static PyObject *told_early; /* called with nodes that are about to be computed though nobody asked for them */
PyObject *kf_held;
static PyTypeObject *buffer_class;
static PyObject *under, *under_overrides, *under_epoch;

/* -------------------------------------------------------------------------------------------------- knowing */

/* Lets go of what is known of a graph. */
static void leave(struct known *known)
{
    if (--known->holders)
        return;
    for (Py_ssize_t i = 0; i < known->objects; i++)
        Py_XDECREF(known->object[i]);
    Py_XDECREF(known->function);
    Py_XDECREF(known->facts);
    Py_XDECREF(known->early);
    Py_XDECREF(known->guilty);
    Py_XDECREF(known->blame);
    Py_XDECREF(known->over);
    PyMem_Free(known->word);
    PyMem_Free(known->object);
    PyMem_Free(known);
}

static void forget_all(void)
{
    struct known *all = NULL;
    for (size_t i = 0; i < CHAINS; i++)
        while (chains[i]) {
            struct known *one = chains[i];
            chains[i] = one->next;
            one->next = all;
            all = one;
        }
    count_known = 0;
    times_forgotten++;
    times_all_forgotten++;
    while (all) { /* when none can be found: what goes may run Python */
        struct known *one = all;
        all = one->next;
        leave(one);
    }
}

/* Lets go of one graph, where it is still known. */
static void retire(struct known *known)
{
    struct known **link = &chains[known->hash % CHAINS];
    while (*link && *link != known)
        link = &(*link)->next;
    if (*link) {
        *link = known->next;
        count_known--;
        times_forgotten++;
        leave(known);
    }
}

/* Whether two rows of objects are equal, 1 or 0; -1 with an error set. */
static int are_equal(PyObject *const *a, PyObject *const *b, Py_ssize_t count)
{
    int equal = 1;
    for (Py_ssize_t i = 0; equal > 0 && i < count; i++)
        if (a[i] != b[i])
            equal = PyObject_RichCompareBool(a[i], b[i], Py_EQ);
    return equal;
}

/* Takes or gives back a reference to all a graph has borrowed: to compare may run Python, and so other threads. */
static void hold(const struct kf_graph *graph, bool takes)
{
    for (Py_ssize_t i = 0; i < graph->objects; i++)
        takes ? Py_INCREF(graph->object[i]) : Py_DECREF(graph->object[i]);
    for (Py_ssize_t i = 0; i < graph->nodes; i++)
        takes ? Py_INCREF((PyObject *)graph->node[i]) : Py_DECREF((PyObject *)graph->node[i]);
}

/* Whether what is known is of a graph whose words are the same, 1 or 0; -1 with an error set.  Not where nodes are
   wanted that are no roots and others may have let go of them meanwhile. */
static int is_of(const struct known *known, const struct kf_graph *graph)
{
    if (!memcmp(known->object, graph->object, (size_t)graph->objects * sizeof *graph->object))
        return 1;
    hold(graph, true);
    int equal = are_equal(known->object, graph->object, graph->objects);
    hold(graph, false);
    return equal > 0 ? !known->blame && !PyTuple_Size(known->early) : equal;
}

/* What is known of a graph, held for the caller; NULL where nothing is, with an error set or not.
   To compare may run Python, and another thread that makes all forgotten: then it is not known. */
static struct known *find(const struct kf_graph *graph)
{
    uint64_t before = times_forgotten;
    for (struct known *one = chains[graph->hash % CHAINS]; one; one = one->next)
        if (one->hash == graph->hash && one->words == graph->words && one->objects == graph->objects &&
            !memcmp(one->word, graph->word, (size_t)graph->words * sizeof *graph->word)) {
            one->holders++;
            int equal = is_of(one, graph);
            if (equal > 0 && before == times_forgotten)
                return one;
            bool is_over = equal || before != times_forgotten;
            leave(one);
            if (is_over)
                return NULL;
        }
    return NULL;
}

/* 1 where graphs are known under what holds now, 0 where not, -1 with an error set. */
static int holds_now(void)
{
    if (!under)
        return 0;
    PyObject *own = PyObject_CallNoArgs(overrides), *epoch = own ? PyList_GetItem(epochs, 0) : NULL;
    if (!epoch) {
        Py_XDECREF(own);
        return -1;
    }
    int same = own == under_overrides && epoch == under_epoch;
    if (!same) { /* switches were given values, perhaps those they had */
        Py_INCREF(epoch);
        PyObject *found = PyObject_CallNoArgs(now), *before = Py_NewRef(under);
        same = found ? PyObject_RichCompareBool(found, before, Py_EQ) : -1;
        Py_XDECREF(found);
        if (same > 0 && before != under) /* others were faster */
            same = 0;
        Py_DECREF(before);
        if (same > 0) {
            kf_put(&under_overrides, own);
            kf_put(&under_epoch, epoch);
        }
        Py_DECREF(epoch);
    }
    Py_DECREF(own);
    return same;
}

static bool copy(struct known *known, const struct kf_graph *graph)
{
    known->holders = 1;
    known->word = PyMem_Malloc(((size_t)graph->words + 1) * sizeof *known->word);
    known->object = PyMem_Calloc((size_t)graph->objects + 1, sizeof *known->object);
    if (!known->word || !known->object)
        return false;
    memcpy(known->word, graph->word, (size_t)graph->words * sizeof *known->word);
    for (Py_ssize_t i = 0; i < graph->objects; i++)
        known->object[i] = Py_NewRef(graph->object[i]);
    known->hash = graph->hash;
    known->words = graph->words;
    known->objects = graph->objects;
    return true;
}

/* Whether these are rows of a size, a dtype, a device, and each result of a function once, or one of so many buffers. */
static bool are_facts(PyObject *facts, PyObject *function, Py_ssize_t buffers)
{
    Py_ssize_t count = PyTuple_Size(facts), results = function == Py_None ? 0 : kf_function_results(function);
    Py_ssize_t results_met = 0;
    uint64_t met = 0;
    if (count > MOST_ROOTS)
        return false;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *row = PyTuple_GetItem(facts, i);
        if (!PyTuple_Check(row) || PyTuple_Size(row) != 4 || !PyLong_Check(PyTuple_GetItem(row, 3)))
            return false;
        Py_ssize_t place = PyLong_AsSsize_t(PyTuple_GetItem(row, 3));
        if (place < -buffers || place >= results || (place >= 0 && met >> place & 1))
            return false;
        if (place >= 0)
            met |= (uint64_t)1 << place;
        results_met += place >= 0;
    }
    return results_met == results;
}

/* A new graph that is known, in its chain; NULL with an error set. */
static struct known *added(const struct kf_graph *graph)
{
    struct known *known = PyMem_Calloc(1, sizeof *known);
    if (!known || !copy(known, graph)) {
        if (known)
            leave(known);
        PyErr_NoMemory();
        return NULL;
    }
    known->next = chains[graph->hash % CHAINS];
    chains[graph->hash % CHAINS] = known;
    count_known++;
    return known;
}

/* Whether the buffers a graph reads are these. */
static bool reads(const struct kf_graph *graph, PyObject *leaves)
{
    bool same = graph->buffers == PyList_Size(leaves);
    for (Py_ssize_t i = 0; same && i < graph->buffers; i++)
        same = graph->buffer[i] == PyList_GetItem(leaves, i);
    return same;
}

/* Whether these are numbers of a graph's nodes. */
static bool are_numbers(PyObject *numbers, const struct kf_graph *graph)
{
    for (Py_ssize_t i = 0; i < PyTuple_Size(numbers); i++) {
        Py_ssize_t number = PyLong_AsSsize_t(PyTuple_GetItem(numbers, i));
        if (number < 0 || number >= graph->nodes) {
            PyErr_Clear();
            return false;
        }
    }
    return true;
}

/* The numbers of nodes in a graph, a new reference; NULL where some are not in it, with an error set or not. */
static PyObject *numbers_of(PyObject *nodes, Py_ssize_t count, const struct kf_graph *graph)
{
    PyObject *found = PyTuple_New(count);
    for (Py_ssize_t i = 0; found && i < count; i++) {
        Py_ssize_t place = 0;
        while (place < graph->nodes && (PyObject *)graph->node[place] != PyTuple_GetItem(nodes, i))
            place++;
        PyObject *number = place < graph->nodes ? PyLong_FromSsize_t(place) : NULL;
        if (!number || PyTuple_SetItem(found, i, number))
            Py_CLEAR(found);
    }
    return found;
}

/* know(nodes, leaves, function, facts, (kernels, flops, nbytes), guilty, blame, left, over, early=0): whether they can be
   found from now on, but for the first `early` of them, which are in the graph of the others.
   function: None where nothing has to run.
   facts: for each node its (size, dtype, device, number among the function's results, or -1 - that of a leaf).
   guilty, blame: the numbers of nodes that may turn out to be errors, and what to call with them, or None.
   left, over: how often it may run before it is known no more, and what is called then; 0 for any number of times. */
static PyObject *know(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *nodes, *leaves, *function, *facts, *guilty, *blame, *over;
    long long kernels, flops, nbytes, left;
    Py_ssize_t early = 0;
    if (!PyArg_ParseTuple(given, "O!O!OO!(LLL)O!OLO|n:know", &PyTuple_Type, &nodes, &PyList_Type, &leaves,
                          &function, &PyTuple_Type, &facts, &kernels, &flops, &nbytes, &PyTuple_Type,
                          &guilty, &blame, &left, &over, &early))
        return NULL;
    kf_node *roots[MOST_ROOTS];
    Py_ssize_t count = PyTuple_Size(nodes);
    if (function != Py_None && !PyObject_TypeCheck(function, kf_function_type))
        return PyErr_Format(PyExc_TypeError, "%R is no function", function);
    if (!are_facts(facts, function, PyList_Size(leaves)) || PyTuple_Size(facts) != count)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_False);
    if (early < 0 || early >= (count ? count : 1))
        return PyErr_Format(PyExc_ValueError, "%zd of %zd nodes", early, count);
    for (Py_ssize_t i = 0; i < count; i++) {
        roots[i] = (kf_node *)PyTuple_GetItem(nodes, i);
        if (!kf_is_node((PyObject *)roots[i]))
            Py_RETURN_FALSE;
    }
    PyObject *found = now ? PyObject_CallNoArgs(now) : Py_NewRef(Py_None);
    if (!found || found == Py_None)
        return found;
    if (!under || PyObject_RichCompareBool(found, under, Py_EQ) != 1 || count_known >= MOST_KNOWN) {
        forget_all();
        PyObject *before = under;
        under = Py_NewRef(found);
        Py_XDECREF(before);
        Py_CLEAR(under_overrides);
        Py_CLEAR(under_epoch);
    }
    Py_DECREF(found);
    struct kf_graph *graph = PyErr_Occurred() ? NULL : kf_walk_as_needed(roots + early, count - early, KF_PLAIN);
    struct known *known = NULL;
    if (graph)
        hold(graph, true);
    bool fits = graph && reads(graph, leaves) && are_numbers(guilty, graph);
    PyObject *numbers = fits ? numbers_of(nodes, early, graph) : NULL;
    fits = fits && numbers;
    if (fits && (known = find(graph)))
        leave(known);
    else if (fits && !PyErr_Occurred() && (known = added(graph))) {
        known->function = function == Py_None ? NULL : Py_NewRef(function);
        known->facts = Py_NewRef(facts);
        known->early = Py_NewRef(numbers);
        known->guilty = Py_NewRef(guilty);
        known->blame = blame == Py_None ? NULL : Py_NewRef(blame);
        known->kernels = kernels;
        known->flops = flops;
        known->nbytes = nbytes;
        known->left = left;
        known->over = Py_NewRef(over);
    }
    Py_XDECREF(numbers);
    if (graph)
        hold(graph, false);
    kf_leave(graph);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(known != NULL);
}

/* unknow(function): graphs that are this function are known no more. */
static PyObject *unknow(PyObject *module, PyObject *function)
{
    (void)module;
    struct known *all = NULL;
    for (size_t i = 0; i < CHAINS; i++)
        for (struct known **link = &chains[i]; *link;) {
            struct known *one = *link;
            if (one->function != function) {
                link = &one->next;
                continue;
            }
            *link = one->next;
            one->next = all;
            all = one;
            count_known--;
        }
    times_forgotten += all != NULL;
    while (all) { /* when none can be found: what goes may run Python */
        struct known *one = all;
        all = one->next;
        leave(one);
    }
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------------------------- running */

bool kf_is_plain(const kf_tensor *tensor)
{
    if (!kf_is_node(tensor->node) || tensor->leaf != Py_False)
        return false;
    const kf_node *node = (kf_node *)tensor->node;
    return node->realized == Py_None && !PyObject_TypeCheck(node->attr, kf_buffer_type);
}

/* 1 where a switch of Python is on, 0 where not, -1 with an error set; soon known of one that never was. */
static int is_on(PyObject *setting)
{
    PyObject *found = PyObject_GetAttr(setting, touched);
    Py_XDECREF(found);
    return !found ? -1 : found == Py_False ? 0 : PyObject_IsTrue(setting);
}

/* 1 where nothing but graphs and what changed says what is to be done, 0 where not, -1 with an error set. */
static int is_all(void)
{
    if (!not_a_number) /* nothing was ever computed */
        return 0;
    for (Py_ssize_t i = 0; i < PyList_Size(waiting); i++)
        if (PyObject_Size(PyList_GetItem(waiting, i)))
            return 0;
    int looks = is_on(not_a_number);
    PyObject *records = looks ? NULL : PyObject_CallNoArgs(recorder);
    int plain = looks ? (looks < 0 ? -1 : 0) : !records ? -1 : records == Py_None;
    Py_XDECREF(records);
    return plain;
}

/* A buffer of which (size, dtype, device) are told, with its memory. */
static PyObject *buffer_of(PyObject *fact, PyObject *memory)
{
    kf_buffer *buffer = kf_new(buffer_class);
    if (!buffer)
        return NULL;
    buffer->size = Py_NewRef(PyTuple_GetItem(fact, 0));
    buffer->dtype = Py_NewRef(PyTuple_GetItem(fact, 1));
    buffer->device = Py_NewRef(PyTuple_GetItem(fact, 2));
    buffer->host = Py_NewRef(Py_None);
    buffer->memory = Py_NewRef(memory);
    buffer->shared = Py_NewRef(Py_False);
    return (PyObject *)buffer;
}

/* Waits while another thread plans a graph, whose nodes must stay as they are meanwhile.  Errors are left for later, false
   where there were some: what ran is given its results in any case. */
static bool wait_for_planners(void)
{
    while (planning && PyList_Size(planning) > 0) {
        PyObject *done = PyObject_CallNoArgs(over);
        Py_XDECREF(done);
        if (!done)
            return false;
    }
    return true;
}

/* Gives a tensor's node its buffer; where no gradient flows through it, the tensor forgets how it was computed. */
static bool give(kf_tensor *tensor, kf_node *node, PyObject *buffer)
{
    bool is_first = node->realized == Py_None; /* else another thread counts on what it was given */
    kf_put(&node->realized, buffer);
    node->depth = 0;
    if (tensor->tracked == Py_True || tensor->node != (PyObject *)node) /* others were faster */
        return true;
    bool is_spent = tensor->tracked == kf_spent;
    kf_node *leaf = is_spent ? kf_spent_node(node) : kf_leaf(buffer, node->shape, node->dtype);
    if (!leaf)
        return false;
    kf_put(&tensor->node, (PyObject *)leaf);
    Py_DECREF(leaf);
    if (is_first && !is_spent && !PyTuple_Size(node->src) && node->device == Py_None) /* others who have it count as fast as they read */
        kf_put(&node->realized, Py_None);
    return true;
}

/* A tuple of nodes of a graph; no garbage goes before it holds them. */
static PyObject *numbered(const struct kf_graph *graph, PyObject *numbers)
{
    int collects = PyGC_Disable();
    PyObject *found = PyTuple_New(PyTuple_Size(numbers));
    if (collects)
        PyGC_Enable();
    for (Py_ssize_t i = 0; found && i < PyTuple_Size(numbers); i++)
        PyTuple_SetItem(found, i, Py_NewRef((PyObject *)graph->node[PyLong_AsSsize_t(PyTuple_GetItem(numbers, i))]));
    return found;
}

/* Gives a node that nobody asked for its buffer, unless another thread has. */
static void give_early(kf_node *node, PyObject *buffer)
{
    if (node->realized == Py_None && !PyObject_TypeCheck(node->attr, kf_buffer_type)) {
        kf_put(&node->realized, buffer);
        node->depth = 0;
    }
}

/* Gives tensors of a graph that ran what it made; all get theirs, for what is computed once may not be computable again.
   False with an error set.  Takes the references to the memories. */
static bool give_all(kf_tensor *const *tensors, kf_node *const *nodes, PyObject *early, const struct kf_graph *graph,
                     const struct known *known, PyObject *const *memories)
{
    PyObject *kind = NULL, *error = NULL, *trace = NULL;
    bool given = wait_for_planners();
    if (!given)
        PyErr_Fetch(&kind, &error, &trace);
    Py_ssize_t results = known->function ? kf_function_results(known->function) : 0, first = PyTuple_Size(early);
    for (Py_ssize_t i = 0; i < PyTuple_Size(known->facts); i++) {
        PyObject *fact = PyTuple_GetItem(known->facts, i);
        Py_ssize_t place = PyLong_AsSsize_t(PyTuple_GetItem(fact, 3));
        PyObject *buffer = place < 0 ? Py_NewRef(graph->buffer[-1 - place]) : buffer_of(fact, memories[place]);
        if (buffer && i < first)
            give_early((kf_node *)PyTuple_GetItem(early, i), buffer);
        else if (!buffer || !give(tensors[i - first], nodes[i - first], buffer))
            given = false;
        Py_XDECREF(buffer);
    }
    for (Py_ssize_t i = 0; i < results; i++)
        Py_DECREF(memories[i]);
    if (kind)
        PyErr_Restore(kind, error, trace);
    return given;
}

/* Runs what is known of a graph for tensors of its nodes; the caller holds all of them.
   1 when they are computed, 0 where they are not, -1 with an error set. */
static int run(kf_tensor *const *tensors, kf_node *const *nodes, const struct kf_graph *graph, const struct known *known)
{
    PyObject *memories[KF_MOST_NEW], *suspected = NULL;
    PyObject *early = PyTuple_Size(known->early) ? numbered(graph, known->early) : Py_NewRef(known->early);
    if (!early || (known->blame && !(suspected = numbered(graph, known->guilty)))) {
        Py_XDECREF(early);
        return -1;
    }
    if (told_early && PyTuple_Size(early)) {
        PyObject *done = PyObject_CallFunctionObjArgs(told_early, early, NULL);
        Py_XDECREF(done);
        if (!done) {
            Py_DECREF(early);
            Py_XDECREF(suspected);
            return -1;
        }
    }
    int ran = known->function ? kf_function_run(known->function, graph->buffer, graph->buffers, NULL, memories) : 1;
    if (ran > 0) {
        kf_counters *sums = (kf_counters *)counters;
        sums->kernel_count += known->kernels;
        sums->global_ops += known->flops;
        sums->global_mem += known->nbytes;
        bool given = give_all(tensors, nodes, early, graph, known, memories);
        if (given && ran == KF_RAN_INTO_FAULTS && known->blame) { /* the error is raised when the host waits */
            PyObject *done = PyObject_CallFunctionObjArgs(known->blame, suspected, NULL);
            given = done;
            Py_XDECREF(done);
        }
        ran = given ? 1 : -1;
    }
    Py_XDECREF(suspected);
    Py_DECREF(early);
    return ran;
}

/* Whether of a graph's nodes, beside its roots, some are computed before it. */
static bool holds_some(const struct kf_graph *graph, kf_node *const *roots, Py_ssize_t count)
{
    bool some = false;
    if (!kf_held || !PyDict_Size(kf_held))
        return false;
    for (Py_ssize_t i = 0; !some && i < graph->nodes; i++) {
        bool is_root = false;
        for (Py_ssize_t j = 0; j < count; j++)
            is_root = is_root || graph->node[i] == roots[j];
        some = !is_root && PyDict_Contains(kf_held, (PyObject *)graph->node[i]) > 0; /* compared by identity */
    }
    return some;
}

/* Runs the graph of tensors where it is known; as `run` tells.  The nodes hold all that is walked but the buffers. */
static int run_known(kf_tensor *const *tensors, Py_ssize_t count)
{
    kf_node *nodes[MOST_ROOTS];
    int ran = 0;
    for (Py_ssize_t i = 0; i < count; i++)
        nodes[i] = (kf_node *)Py_NewRef(tensors[i]->node);
    struct kf_graph *graph = kf_walk_as_needed(nodes, count, KF_PLAIN);
    if (graph) {
        for (Py_ssize_t i = 0; i < graph->buffers; i++)
            Py_INCREF(graph->buffer[i]); /* whatever others do meanwhile */
        struct known *known = holds_some(graph, nodes, count) ? NULL : find(graph);
        if (known) {
            ran = run(tensors, nodes, graph, known);
            if (ran > 0 && known->left && !--known->left) {
                retire(known);
                PyObject *told = PyObject_CallNoArgs(known->over);
                ran = told ? ran : -1;
                Py_XDECREF(told);
            }
            leave(known);
        }
        for (Py_ssize_t i = 0; i < graph->buffers; i++)
            Py_DECREF(graph->buffer[i]);
        kf_leave(graph);
    }
    for (Py_ssize_t i = 0; i < count; i++)
        Py_DECREF((PyObject *)nodes[i]);
    return ran;
}

PyObject *kf_stored(const kf_tensor *tensor)
{
    static PyObject *reshape;
    if (!kf_is_node(tensor->node) || (!reshape && !(reshape = PyUnicode_InternFromString("reshape"))))
        return NULL;
    const kf_node *node = (kf_node *)tensor->node;
    if (node->realized == Py_None && node->op == reshape && PyTuple_Size(node->src) == 1 &&
        kf_is_node(PyTuple_GetItem(node->src, 0)))
        node = (kf_node *)PyTuple_GetItem(node->src, 0); /* the very same elements */
    PyObject *found = node->realized == Py_None ? node->attr : node->realized;
    return PyObject_TypeCheck(found, kf_buffer_type) ? found : NULL;
}

bool kf_is_there(const kf_tensor *tensor)
{
    const kf_node *node = (kf_node *)tensor->node;
    return kf_stored(tensor) && (PyObject_TypeCheck(node->attr, kf_buffer_type) ||
                                 (tensor->leaf == Py_False && node->device != Py_None));
}

/* Whether a node has the elements of a buffer, its only source, as that of a spent tensor has that was computed. */
static bool is_of_buffer(const kf_node *node)
{
    PyObject *source = PyTuple_Size(node->src) == 1 ? PyTuple_GetItem(node->src, 0) : NULL;
    return kf_is_node(source) && PyObject_TypeCheck(((kf_node *)source)->attr, kf_buffer_type);
}

/* Has a tensor that is there, and through which no gradient flows, forget how it was computed. */
static bool settle(kf_tensor *tensor)
{
    kf_node *node = (kf_node *)tensor->node;
    if (!kf_is_there(tensor) || tensor->tracked == Py_True || PyObject_TypeCheck(node->attr, kf_buffer_type))
        return true;
    bool is_spent = tensor->tracked == kf_spent;
    if (is_spent && is_of_buffer(node))
        return true;
    kf_node *leaf = is_spent ? kf_spent_node(node) : kf_leaf(kf_stored(tensor), node->shape, node->dtype);
    if (leaf)
        kf_put(&tensor->node, (PyObject *)leaf);
    Py_XDECREF((PyObject *)leaf);
    return leaf;
}

/* Runs the graph of tensors and of what changed and shares work with them, where it is known; as `run` tells. */
static int run_with_changed(kf_tensor *const *tensors, Py_ssize_t count)
{
    kf_tensor *all[MOST_ROOTS];
    for (Py_ssize_t i = 0; i < count; i++)
        all[i] = tensors[i];
    Py_ssize_t whole = kf_with_changed(all, count, MOST_ROOTS);
    int ran = whole < 0 ? 0 : run_known(all, whole);
    if (ran > 0 && !kf_forget_changed(all, whole))
        ran = -1;
    for (Py_ssize_t i = count; i < whole; i++)
        Py_DECREF((PyObject *)all[i]);
    return ran;
}

int kf_computed(kf_tensor *const *tensors, Py_ssize_t count)
{
    bool plain = true, there = true;
    for (Py_ssize_t i = 0; i < count; i++) {
        plain = plain && kf_is_plain(tensors[i]);
        there = there && kf_is_there(tensors[i]);
    }
    int all = plain || there ? is_all() : 0, ran = all > 0 && there;
    for (Py_ssize_t i = 0; ran > 0 && i < count; i++)
        ran = settle(tensors[i]) ? 1 : -1;
    plain = plain && !there;
    if (all > 0 && plain)
        all = holds_now();
    for (Py_ssize_t i = 0; plain && i < count; i++) { /* to be asked may have run Python */
        plain = kf_is_plain(tensors[i]);
        for (Py_ssize_t j = 0; plain && j < i; j++)
            plain = tensors[i]->node != tensors[j]->node;
    }
    if (all > 0 && plain && count == 1 && (ran = kf_fill(tensors[0], under)))
        ran = ran > 0 && !kf_forget_changed(tensors, count) ? -1 : ran;
    else if (all > 0 && plain)
        ran = run_with_changed(tensors, count);
    else if (ran > 0 && !kf_forget_changed(tensors, count))
        ran = -1;
    return all < 0 || ran < 0 || PyErr_Occurred() ? -1 : ran;
}

/* The same as an object of Python; NULL with an error set. */
static PyObject *computed(kf_tensor *const *tensors, Py_ssize_t count)
{
    int done = kf_computed(tensors, count);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

/* computed_again(tensor): whether it was computed, as a graph that is known. */
static PyObject *computed_again(PyObject *module, PyObject *given)
{
    (void)module;
    if (!PyObject_TypeCheck(given, kf_tensor_type))
        return PyErr_Format(PyExc_TypeError, "%R is no tensor", given);
    return computed((kf_tensor *const[]){(kf_tensor *)given}, 1);
}

/* computed_together(tensors): the same of several, in one graph. */
static PyObject *computed_together(PyObject *module, PyObject *given)
{
    (void)module;
    kf_tensor *tensors[MOST_ROOTS];
    if (!PyTuple_Check(given))
        return PyErr_Format(PyExc_TypeError, "%R is no tuple", given);
    Py_ssize_t count = PyTuple_Size(given);
    if (count < 1 || count > MOST_ROOTS)
        Py_RETURN_FALSE;
    for (Py_ssize_t i = 0; i < count; i++) {
        tensors[i] = (kf_tensor *)PyTuple_GetItem(given, i);
        if (!PyObject_TypeCheck((PyObject *)tensors[i], kf_tensor_type))
            return PyErr_Format(PyExc_TypeError, "%R is no tensor", tensors[i]);
    }
    return computed(tensors, count);
}

static PyObject *set_known(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *class, **kept[] = {&class, &recorder, &not_a_number, &overrides, &epochs, &now, &counters};
    if (!PyArg_ParseTuple(given, "O!OOOO!OO!:set_known", &PyType_Type, kept[0], kept[1], kept[2], kept[3],
                          &PyList_Type, kept[4], kept[5], kf_counters_type, kept[6]))
        return NULL;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        Py_INCREF(*kept[i]);
    buffer_class = (PyTypeObject *)class;
    Py_RETURN_NONE;
}

static PyObject *heed(PyObject *module, PyObject *container)
{
    (void)module;
    return PyList_Append(waiting, container) ? NULL : Py_NewRef(Py_None);
}

static PyObject *heed_held(PyObject *module, PyObject *nodes)
{
    (void)module;
    if (!PyDict_Check(nodes))
        return PyErr_Format(PyExc_TypeError, "%R is no dictionary", nodes);
    kf_put(&kf_held, nodes);
    Py_RETURN_NONE;
}

static PyObject *heed_early(PyObject *module, PyObject *call)
{
    (void)module;
    kf_put(&told_early, call);
    Py_RETURN_NONE;
}

static PyObject *heed_planning(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *list, *call;
    if (!PyArg_ParseTuple(given, "O!O:heed_planning", &PyList_Type, &list, &call))
        return NULL;
    kf_put(&planning, list);
    kf_put(&over, call);
    Py_RETURN_NONE;
}

/* How often all that was known was forgotten: what was told before has to be told again. */
static PyObject *forgotten(PyObject *module, PyObject *none)
{
    (void)module;
    (void)none;
    return PyLong_FromUnsignedLongLong(times_all_forgotten);
}

static PyObject *forget_known(PyObject *module, PyObject *none)
{
    (void)module;
    (void)none;
    forget_all();
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"forget_known", forget_known, METH_NOARGS, "Has no graph be known."},
    {"heed_changed", kf_heed_changed, METH_VARARGS, "Takes the tensors that changed and are to be computed, by identity."},
    {"heed_held", heed_held, METH_O, "Takes the nodes that are computed before what reads them."},
    {"heed_early", heed_early, METH_O, "Takes what is told of nodes that are computed with others."},
    {"heed_planning", heed_planning, METH_VARARGS, "Takes what holds something while a graph is planned, and what waits."},
    {"forgotten", forgotten, METH_NOARGS, "How often all graphs that were known were forgotten."},
    {"heed", heed, METH_O, "Takes a container; nothing is computed as known while it holds something."},
    {"know", know, METH_VARARGS, "Takes nodes, their graph and the function it is."},
    {"unknow", unknow, METH_O, "Takes a function; graphs that are it are known no more."},
    {"computed_again", computed_again, METH_O, "Whether a tensor was computed, as a graph that is known."},
    {"computed_together", computed_together, METH_O, "The same of a tuple of tensors, as one graph."},
    {"set_known", set_known, METH_VARARGS, "Takes what is needed of Python."},
    {NULL, NULL, 0, NULL}};

int kf_add_known(PyObject *module)
{
    if (!waiting && !(waiting = PyList_New(0)))
        return -1;
    if (!touched && !(touched = PyUnicode_InternFromString("touched")))
        return -1;
    return PyModule_AddFunctions(module, functions);
}
