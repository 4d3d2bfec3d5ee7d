/* Tensors that take the value of an operation's result: `InPlace._in_place` where nothing is out of the ordinary. */

#include "changed.h"
#include "methods.h"

enum { MOST_OTHERS = 6 };

/* What came of a change: the tensor took it; nobody else is left that shows its elements; another matter; an error is set. */
enum taken { ERROR = -1, OTHER, TAKEN, ALONE };

/* Of views: recipes of a tensor with the elements of one replaced, the numbers of ways that lead to one, and what `kf_walked`
   takes of ways. */
static PyObject *recorder, *default_device, *any_in_place, *put_back, *numbers, *chains;

/* Whether a tensor has all its fields, and a node that has. */
static bool is_whole(const kf_tensor *tensor)
{
    return kf_is_node(tensor->node) && tensor->tracked && tensor->leaf;
}

/* Whether a node would be computed where another one is: a constant on the default device; -1 with an error set. */
static int is_at_home(const kf_node *node, const kf_node *mine)
{
    if (node->device != Py_None || mine->device == Py_None)
        return 1;
    PyObject *home = PyObject_CallNoArgs(default_device);
    int same = home ? PyObject_RichCompareBool(home, mine->device, Py_EQ) : -1;
    Py_XDECREF(home);
    return same;
}

/* Whether a tensor takes a result as it is: no leaf, of one shape and type, and where the tensor is; -1 with an error set. */
static int is_usual(const kf_tensor *tensor, PyObject *given)
{
    const kf_tensor *result = (kf_tensor *)given;
    if (!recorder || !PyObject_TypeCheck(given, kf_tensor_type) || !is_whole(tensor) || !is_whole(result) ||
        tensor->leaf != Py_False)
        return 0;
    const kf_node *mine = (kf_node *)tensor->node, *node = (kf_node *)result->node;
    if (mine->dtype != node->dtype)
        return 0;
    int same = mine->shape == node->shape ? 1 : PyObject_RichCompareBool(mine->shape, node->shape, Py_EQ);
    if (same > 0)
        same = is_at_home(node, mine);
    PyObject *records = same > 0 ? PyObject_CallNoArgs(recorder) : NULL;
    Py_XDECREF(records);
    return same <= 0 ? same : !records ? -1 : records == Py_None;
}

/* Those that show some of the elements of a tensor which changes, new references: the one that shows them all, the way from
   there to the changing one, which is NULL where these are one, and to each of the others. */
struct kin {
    kf_tensor *whole, *others[MOST_OTHERS];
    PyObject *way, *ways[MOST_OTHERS];
    Py_ssize_t count;
};

static void let_go(struct kin *kin)
{
    for (Py_ssize_t i = 0; i < kin->count; i++) {
        Py_XDECREF((PyObject *)kin->others[i]);
        Py_XDECREF(kin->ways[i]);
    }
    Py_XDECREF((PyObject *)kin->whole);
    Py_XDECREF(kin->way);
}

/* Whether a tensor is of a family, as far as that is its own still; -1 where that cannot be told. */
static int belongs(const kf_tensor *tensor, PyObject *family)
{
    if (!PyObject_TypeCheck((PyObject *)tensor, kf_tensor_type) || !tensor->place)
        return 0;
    return kf_has_family(tensor) ? PyTuple_GetItem(tensor->place, 0) == family : -1;
}

/* The steps from one place to another, a new reference; NULL where they do not lead there, with an error set or not. */
static PyObject *way_between(const kf_tensor *from, const kf_tensor *to)
{
    PyObject *own = kf_steps_of(from), *steps = kf_steps_of(to);
    Py_ssize_t before = PyTuple_Size(own), count = PyTuple_Size(steps);
    bool leads = before < count;
    for (Py_ssize_t i = 0; leads && i < before; i++)
        leads = PyTuple_GetItem(own, i) == PyTuple_GetItem(steps, i);
    return leads ? PyTuple_GetSlice(steps, before, count) : NULL;
}

/* Whether gradients flow neither to nor through a tensor. */
static bool is_free(const kf_tensor *tensor)
{
    return is_whole(tensor) && tensor->leaf == Py_False && tensor->tracked != Py_True;
}

/* Finds those of a tensor's family that are left: OTHER where they are too many, or gradients flow through one. */
static enum taken find_kin(kf_tensor *tensor, struct kin *kin)
{
    if (!kf_has_family(tensor))
        return OTHER;
    PyObject *family = PyTuple_GetItem(tensor->place, 0), *members = ((kf_family *)family)->members;
    kf_tensor *met[MOST_OTHERS + 2] = {tensor}, *whole = tensor;
    Py_ssize_t count = 1;
    for (Py_ssize_t i = 0; i < PyList_Size(members); i++) {
        PyObject *member = PyList_GetItem(members, i);
        kf_tensor *other = (kf_tensor *)(PyWeakref_Check(member) ? PyWeakref_GetObject(member) : Py_None);
        int is = (PyObject *)other == Py_None || other == tensor ? 0 : belongs(other, family);
        if (is < 0 || (is && count == MOST_OTHERS + 1))
            return OTHER;
        if (!is)
            continue;
        met[count++] = other;
        if (PyTuple_Size(kf_steps_of(other)) < PyTuple_Size(kf_steps_of(whole)))
            whole = other;
    }
    if (count == 1)
        return ALONE;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!is_free(met[i]))
            return OTHER;
    kin->whole = (kf_tensor *)Py_NewRef((PyObject *)whole);
    for (Py_ssize_t i = 0; i < count; i++)
        if (met[i] != whole && met[i] != tensor)
            kin->others[kin->count++] = (kf_tensor *)Py_NewRef((PyObject *)met[i]);
    if (whole != tensor && !(kin->way = way_between(whole, tensor)))
        return PyErr_Occurred() ? ERROR : OTHER;
    for (Py_ssize_t i = 0; i < kin->count; i++)
        if (!(kin->ways[i] = way_between(whole, kin->others[i])))
            return PyErr_Occurred() ? ERROR : OTHER;
    return TAKEN;
}

/* The node of the whole when one on a way from it shows a result, a new reference; NULL where it is another matter, with an error
   set or not. */
static kf_node *put_in(const struct kin *kin, PyObject *result)
{
    if (!kin->way)
        return (kf_node *)Py_NewRef(((kf_tensor *)result)->node);
    PyObject *key = PyTuple_Pack(2, ((kf_node *)kin->whole->node)->shape, kin->way), *found = NULL;
    PyObject *number = key ? Py_XNewRef(PyDict_GetItemWithError(numbers, key)) : NULL;
    PyObject *arguments = number && PyLong_CheckExact(number) ? PyTuple_Pack(3, kin->whole, number, result) : NULL;
    if (arguments)
        found = kf_applied(put_back, NULL, arguments, 0);
    bool is_tensor = found && PyObject_TypeCheck(found, kf_tensor_type) && is_whole((kf_tensor *)found);
    kf_node *node = is_tensor ? (kf_node *)Py_NewRef(((kf_tensor *)found)->node) : NULL;
    Py_XDECREF(found);
    Py_XDECREF(arguments);
    Py_XDECREF(number);
    Py_XDECREF(key);
    return node;
}

/* The node at the end of a way from another one, a new reference; NULL where the way is not known, with an error set or not. */
static kf_node *shown(kf_node *whole, PyObject *way)
{
    PyObject *key = PyTuple_Pack(3, whole->shape, whole->dtype, way);
    PyObject *chain = key ? Py_XNewRef(PyDict_GetItemWithError(chains, key)) : NULL;
    kf_node *node = chain && PyTuple_Check(chain) ? kf_walked(whole, chain) : NULL;
    Py_XDECREF(chain);
    Py_XDECREF(key);
    return node;
}

/* Lets a tensor that is a view or has some take a result, and those that show its elements change with it. */
static enum taken take(kf_tensor *tensor, PyObject *result)
{
    struct kin kin = {NULL};
    enum taken taken = put_back ? find_kin(tensor, &kin) : OTHER;
    PyObject *tracked = ((kf_tensor *)result)->tracked;
    if (taken == TAKEN && (tracked == Py_True || tracked == kf_spent))
        taken = OTHER;
    kf_node *whole = taken == TAKEN ? put_in(&kin, result) : NULL, *nodes[MOST_OTHERS];
    Py_ssize_t made = 0;
    while (whole && made < kin.count && (nodes[made] = shown(whole, kin.ways[made])))
        made++;
    if (taken == TAKEN && (!whole || made < kin.count))
        taken = PyErr_Occurred() ? ERROR : OTHER;
    if (taken == TAKEN) {
        for (Py_ssize_t i = 0; i < kin.count; i++)
            kf_put(&kin.others[i]->node, (PyObject *)nodes[i]);
        kf_put(&kin.whole->node, (PyObject *)whole);
        kf_put(&tensor->node, ((kf_tensor *)result)->node);
        taken = kf_note_changed(kin.whole) && kf_note_changed(tensor) ? TAKEN : ERROR;
    }
    for (Py_ssize_t i = 0; i < made; i++)
        Py_DECREF((PyObject *)nodes[i]);
    Py_XDECREF((PyObject *)whole);
    let_go(&kin);
    return taken;
}

PyObject *kf_changed(PyObject *given, PyObject *result)
{
    kf_tensor *tensor = (kf_tensor *)given;
    int usual = is_usual(tensor, result);
    enum taken taken = usual > 0 && tensor->place ? take(tensor, result) : ALONE;
    if (taken == TAKEN)
        return Py_NewRef(given);
    if (taken != ALONE)
        usual = taken;
    if (usual > 0 && tensor->tracked == Py_True && ((kf_tensor *)result)->tracked != Py_True)
        usual = 0; /* gradients may not see the change */
    if (usual <= 0)
        return usual ? NULL : PyObject_CallMethodObjArgs(given, any_in_place, result, NULL);
    PyObject *tracked = ((kf_tensor *)result)->tracked;
    if (tracked != Py_True && tracked != kf_spent)
        tracked = tensor->tracked == Py_True ? Py_None : tensor->tracked;
    kf_put(&tensor->tracked, tracked);
    kf_put(&tensor->node, ((kf_tensor *)result)->node);
    return kf_note_changed(tensor) ? Py_NewRef(given) : NULL;
}

static PyObject *set_in_place(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *records, *device;
    if (!PyArg_ParseTuple(given, "OO:set_in_place", &records, &device))
        return NULL;
    kf_put(&recorder, records);
    kf_put(&default_device, device);
    Py_RETURN_NONE;
}

static PyObject *set_put_back(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *recipes, *ways, *nodes;
    if (!PyArg_ParseTuple(given, "O!O!O!:set_put_back", &PyDict_Type, &recipes, &PyDict_Type, &ways, &PyDict_Type, &nodes))
        return NULL;
    kf_put(&put_back, recipes);
    kf_put(&numbers, ways);
    kf_put(&chains, nodes);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_in_place", set_in_place, METH_VARARGS, "Takes what tells who records a function, and the default device."},
    {"set_put_back", set_put_back, METH_VARARGS, "Takes recipes of tensors with a view replaced, the numbers and the nodes of ways."},
    {NULL, NULL, 0, NULL}};

int kf_add_in_place(PyObject *module)
{
    if (!any_in_place && !(any_in_place = PyUnicode_InternFromString("_any_in_place")))
        return -1;
    return PyModule_AddFunctions(module, functions);
}
