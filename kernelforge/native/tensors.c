/* Tensors of new nodes: what `kernelforge.tensor.core`, `elementwise` and `composite` do most often, in C.

Whatever is not as usual is left to functions of these modules. */

#include "methods.h"
#include "records.h"

#include <math.h>
#include <string.h>

enum { PATIENCE_UNKNOWN = PY_SSIZE_T_MAX, REMEMBERED = 512, OF_TENSOR = 5, MOST_PARTS = 60, FEW_PARTS = 20, MET = 1024, KNOWN = 6, REPEATED = 3 };

/* What Python gives.  settled: computes what is not to wait; detached: a node as a constant to differentiation;
   constant: what a number is beside an array; in all of them None says that it is another matter. */
PyObject *kf_spent;
static PyObject *spent_node;
static PyObject *get_frame, *is_own, *grad_enabled, *spelling, *narrow_type, *eager, *settled, *detached, *constant, *types;
static Py_ssize_t patience = PATIENCE_UNKNOWN;
static PyObject *any_arithmetic, *any_scalar, *default_float, *default_int, *touched, *is_inexact, *co_filename, *f_back, *f_lasti, *bool_type, *plus_zero, *minus_zero;
static PyObject *broadcasts; /* recipes of operations on two shapes, by operation: a pair, for both orders of operands */

/* ---------------------------------------------------------------------------------------- the user's line */

/* 1 where a code is the user's, 0 where it is the library's, -1 with an error set. */
static int is_users(PyObject *code)
{
    static PyObject *last; /* of the user's, most often the next one too */
    if (code == last)
        return 1;
    PyObject *file = PyObject_GetAttr(code, co_filename);
    PyObject *own = file ? PyObject_GetItem(is_own, file) : NULL;
    Py_XDECREF(file);
    if (!own)
        return -1;
    int users = own != Py_True;
    Py_DECREF(own);
    if (users) {
        PyObject *before = last;
        last = Py_NewRef(code);
        Py_XDECREF(before);
    }
    return users;
}

static bool put_down(kf_node *node, PyObject *code, PyObject *frame)
{
    PyObject *instruction = PyObject_GetAttr(frame, f_lasti);
    PyObject *place = instruction ? PyTuple_Pack(2, code, instruction) : NULL;
    Py_XDECREF(instruction);
    if (!place)
        return false;
    kf_put(&node->place, place);
    while (PyTuple_Size(node->src)) {
        node = (kf_node *)PyTuple_GetItem(node->src, 0);
        if (!kf_is_node((PyObject *)node) || node->place != Py_None)
            break;
        kf_put(&node->place, place);
    }
    Py_DECREF(place);
    return true;
}

/* Makes the first frame outside of the library, from one so far up, the place where a node was made. */
static bool find_place(kf_node *node, long up)
{
    PyObject *number = PyLong_FromLong(up);
    PyObject *frame = number ? PyObject_CallFunctionObjArgs(get_frame, number, NULL) : NULL;
    Py_XDECREF(number);
    if (!frame && PyErr_ExceptionMatches(PyExc_ValueError)) { /* there are fewer */
        PyErr_Clear();
        return true;
    }
    bool done = false;
    while (frame && !done && frame != Py_None) {
        PyObject *code = (PyObject *)PyFrame_GetCode((PyFrameObject *)frame), *next = NULL;
        int users = is_users(code);
        if (users > 0)
            done = put_down(node, code, frame);
        else if (users == 0)
            next = PyObject_GetAttr(frame, f_back);
        Py_DECREF(code);
        Py_DECREF(frame);
        frame = next;
    }
    Py_XDECREF(frame);
    return !PyErr_Occurred();
}

/* ---------------------------------------------------------------------------------------------- new tensors */

/* 1 where a context variable is true, 0 where it is not, -1 with an error set. */
static int holds(PyObject *get)
{
    PyObject *value = PyObject_CallNoArgs(get);
    int found = value ? PyObject_IsTrue(value) : -1;
    Py_XDECREF(value);
    return found;
}

static PyObject *plainly(PyTypeObject *type, kf_node *node, PyObject *tracked)
{
    kf_tensor *tensor = kf_new(type);
    if (!tensor)
        return NULL;
    tensor->node = Py_NewRef((PyObject *)node);
    tensor->tracked = Py_NewRef(tracked ? tracked : Py_None);
    tensor->leaf = Py_NewRef(Py_False);
    tensor->grad = Py_NewRef(Py_None);
    return (PyObject *)tensor;
}

/* Whether a new node is to be looked at by who computes what must not wait; -1 with an error set. */
static int is_to_settle(kf_node *node)
{
    if (node->depth >= patience)
        return 1;
    PyObject *found = PyObject_GetAttr(eager, touched);
    Py_XDECREF(found);
    return found ? found != Py_False : -1;
}

/* Whether gradients flow through values of a type: floats and complex numbers; -1 with an error set. */
static int carries(PyObject *dtype)
{
    static PyObject *last; /* for which it is true: types live as long as the program */
    if (dtype == last)
        return 1;
    PyObject *found = PyObject_GetAttr(dtype, is_inexact);
    int is = found ? PyObject_IsTrue(found) : -1;
    Py_XDECREF(found);
    if (is > 0) {
        PyObject *before = last;
        last = Py_NewRef(dtype);
        Py_XDECREF(before);
    }
    return is;
}

kf_node *kf_spent_node(kf_node *node)
{
    PyObject *found = PyObject_CallFunctionObjArgs(spent_node, node, NULL);
    if (found && !kf_is_node(found)) {
        PyErr_Format(PyExc_TypeError, "%R is no node", found);
        Py_CLEAR(found);
    }
    return (kf_node *)found;
}

PyObject *kf_wrapped_of(PyTypeObject *type, kf_node *node, PyObject *tracked, long up, const kf_node *of)
{
    if (!node)
        return NULL;
    bool counts = tracked == Py_True || (kf_spent && tracked == kf_spent);
    if (counts) {
        int does = carries(node->dtype);
        if (does < 0) {
            Py_DECREF(node);
            return NULL;
        }
        tracked = does ? tracked : Py_None;
    }
    PyObject *tensor = NULL, *constant_node;
    int flows = counts && tracked != Py_None ? holds(grad_enabled) : 1;
    if (flows == 0) {
        constant_node = PyObject_CallFunctionObjArgs(detached, node, NULL);
        Py_DECREF(node);
        if (!constant_node)
            return NULL;
        node = (kf_node *)constant_node;
        tracked = Py_None;
    } else if (flows > 0 && tracked == Py_True && !(node = kf_own(node, of))) {
        return NULL;
    } else if (flows > 0 && tracked != Py_None && tracked == kf_spent && PyObject_TypeCheck(node->attr, kf_buffer_type)) {
        kf_node *marked = kf_spent_node(node);
        Py_DECREF(node);
        if (!(node = marked))
            return NULL;
    }
    if (flows >= 0 && (node->place != Py_None || find_place(node, up)))
        tensor = plainly(type, node, tracked);
    int looks = tensor ? is_to_settle(node) : 0;
    Py_DECREF(node);
    if (looks) {
        PyObject *done = looks > 0 ? PyObject_CallFunctionObjArgs(settled, tensor, tracked, NULL) : NULL;
        Py_XDECREF(done);
        if (!done)
            Py_CLEAR(tensor);
    }
    return tensor;
}

PyObject *kf_wrapped(PyTypeObject *type, kf_node *node, PyObject *tracked, long up)
{
    return kf_wrapped_of(type, node, tracked, up, NULL);
}

static bool is_node(PyObject *given)
{
    if (kf_is_node(given))
        return true;
    PyErr_Format(PyExc_TypeError, "an object of type %R is no node", Py_TYPE(given));
    return false;
}

static PyObject *wrap(PyObject *type, PyObject *const *given, Py_ssize_t count)
{
    if (count < 2 || count > 3)
        return PyErr_Format(PyExc_TypeError, "_wrap takes a node, tracked and up, not %zd arguments", count);
    long up = count > 2 ? PyLong_AsLong(given[2]) : 1;
    if (!is_node(given[0]) || (up == -1 && PyErr_Occurred()))
        return NULL;
    return kf_wrapped((PyTypeObject *)type, (kf_node *)Py_NewRef(given[0]), given[1], up - 1);
}

/* What counts of two tensors' flags. */
static PyObject *either(PyObject *first, PyObject *second)
{
    if (first == Py_True || second == Py_True)
        return Py_True;
    return kf_spent && (first == kf_spent || second == kf_spent) ? kf_spent : Py_None;
}

PyObject *kf_flag_of(PyObject *tracked)
{
    return either(tracked, Py_None);
}

static PyObject *derived(PyObject *given, PyObject *node)
{
    kf_tensor *self = (kf_tensor *)given;
    if (!is_node(node))
        return NULL;
    return kf_wrapped_of(Py_TYPE(given), (kf_node *)Py_NewRef(node), either(self->tracked, Py_None), 0,
                      (kf_node *)self->node);
}

/* ------------------------------------------------------------------------------------------------ arithmetic */

/* Numbers that were met beside arrays of a shape and a type, each as an array of these. */
static struct number {
    PyObject *op, *shape, *dtype, *node;
    bool is_float;
    uint64_t value;
} numbers[REMEMBERED];

/* Whether a value is a plain int or float of Python, and its bits. */
static bool bits_of(PyObject *value, bool *is_float, uint64_t *bits)
{
    *is_float = PyFloat_CheckExact(value);
    if (*is_float) {
        double number = PyFloat_AsDouble(value);
        memcpy(bits, &number, sizeof number);
        return true;
    }
    int overflow = 0;
    if (!PyLong_CheckExact(value))
        return false;
    *bits = (uint64_t)PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow;
}

/* What a number is beside an array, a new reference; NULL where that is another matter, or with an error set. */
static kf_node *beside(PyObject *op, PyObject *value, kf_node *array)
{
    struct number wanted = {.op = op, .shape = array->shape, .dtype = array->dtype};
    Py_hash_t shape = PyObject_Hash(array->shape);
    if (shape == -1 || !bits_of(value, &wanted.is_float, &wanted.value))
        return NULL;
    uint64_t hash = (wanted.value ^ (uint64_t)shape ^ (uintptr_t)op ^ (uintptr_t)array->dtype) * 0x9E3779B97F4A7C15u;
    struct number *known = &numbers[hash >> 55];
    if (known->node && known->op == op && known->dtype == wanted.dtype && known->is_float == wanted.is_float &&
        known->value == wanted.value) {
        PyObject *node = Py_NewRef(known->node);
        int equal = known->shape == wanted.shape ? 1 : PyObject_RichCompareBool(known->shape, wanted.shape, Py_EQ);
        if (equal > 0)
            return (kf_node *)node;
        Py_DECREF(node);
        if (equal < 0)
            return NULL;
    }
    PyObject *found = PyObject_CallFunctionObjArgs(constant, op, value, array, NULL);
    if (!found || found == Py_None) {
        Py_XDECREF(found);
        return NULL;
    }
    struct number before = *known;
    wanted.node = found;
    *known = wanted;
    Py_INCREF(op);
    Py_INCREF(wanted.shape);
    Py_INCREF(wanted.dtype);
    Py_INCREF(found);
    Py_XDECREF(before.op);
    Py_XDECREF(before.shape);
    Py_XDECREF(before.dtype);
    Py_XDECREF(before.node);
    return (kf_node *)found;
}

/* The other operand as an array of the same shape and type, a new reference; NULL where that is another matter, or with
   an error set. */
static kf_node *operand(PyObject *op, PyObject *other, kf_node *array)
{
    if (!PyObject_TypeCheck(other, kf_tensor_type))
        return beside(op, other, array);
    kf_node *found = (kf_node *)((kf_tensor *)other)->node;
    if (!kf_is_node((PyObject *)found) || found->dtype != array->dtype)
        return NULL;
    Py_INCREF((PyObject *)found); /* before Python may run */
    int equal = found->shape == array->shape ? 1 : PyObject_RichCompareBool(found->shape, array->shape, Py_EQ);
    if (equal <= 0)
        Py_CLEAR(found);
    return found;
}

/* An operation on this tensor alone, where its type is one the operation gives a result of. */
static PyObject *scalar(PyObject *given, PyObject *op)
{
    kf_tensor *self = (kf_tensor *)given;
    if (!kf_is_node(self->node))
        return PyErr_Format(PyExc_AttributeError, "%R of a tensor without a node", op);
    kf_node *x = (kf_node *)Py_NewRef(self->node);
    PyObject *type = kf_result_of_one(op, x->dtype), *src = type ? PyTuple_Pack(1, x) : NULL;
    kf_node *node = src ? kf_node_of(op, src, Py_None, x->shape, type) : NULL;
    Py_XDECREF(src);
    Py_DECREF((PyObject *)x);
    if (node)
        return kf_wrapped(Py_TYPE(given), node, either(self->tracked, Py_None), 1);
    return PyErr_Occurred() ? NULL : PyObject_CallMethodObjArgs(given, any_scalar, op, NULL);
}

/* This tensor where its elements are of a type, else one of them converted. */
static PyObject *cast(PyObject *given, PyObject *dtype)
{
    static PyObject *name;
    kf_tensor *self = (kf_tensor *)given;
    if (!kf_is_node(self->node) || (!name && !(name = PyUnicode_InternFromString("cast"))))
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_AttributeError, "cast of a tensor without a node");
    kf_node *x = (kf_node *)self->node;
    if (x->dtype == dtype)
        return Py_NewRef(given);
    Py_INCREF((PyObject *)x);
    PyObject *src = PyTuple_Pack(1, x);
    kf_node *node = src ? kf_node_of(name, src, dtype, x->shape, dtype) : NULL;
    Py_XDECREF(src);
    Py_DECREF((PyObject *)x);
    return kf_wrapped(Py_TYPE(given), node, either(self->tracked, Py_None), 1);
}

/* An operation on tensors of one type and two shapes, by what is known of these; None where nothing is. */
static PyObject *broadcast(PyObject *op, PyObject *given, PyObject *other, bool reverse)
{
    PyObject *recipes = broadcasts ? PyDict_GetItemWithError(PyTuple_GetItem(broadcasts, reverse), op) : NULL;
    if (!recipes || !PyDict_Check(recipes))
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    PyObject *arguments = PyTuple_Pack(2, given, other);
    PyObject *found = arguments ? kf_applied(recipes, NULL, arguments, 1) : NULL;
    Py_XDECREF(arguments);
    return found;
}

static PyObject *arithmetic(PyObject *given, PyObject *const *arguments, Py_ssize_t count)
{
    kf_tensor *self = (kf_tensor *)given;
    if (count == 3 && !kf_is_node(self->node))
        return PyErr_Format(PyExc_AttributeError, "%R of a tensor without a node", arguments[0]);
    if (count != 3)
        return PyErr_Format(PyExc_TypeError, "_arithmetic takes op, other and reverse, not %zd arguments", count);
    PyObject *op = arguments[0], *other = arguments[1];
    kf_node *a = (kf_node *)Py_NewRef(self->node), *b = NULL, *node = NULL;
    PyObject *result = kf_result_of_two(op, a->dtype);
    if (result)
        b = operand(op, other, a);
    bool is_usual = b && !PyErr_Occurred();
    if (is_usual)
        node = arguments[2] == Py_True ? kf_binary(op, b, a) : kf_binary(op, a, b);
    Py_DECREF(a);
    Py_XDECREF((PyObject *)b);
    if (!is_usual && result && PyObject_TypeCheck(other, kf_tensor_type) && !PyErr_Occurred()) {
        PyObject *found = broadcast(op, given, other, arguments[2] == Py_True);
        if (found != Py_None)
            return found;
        Py_DECREF(found);
    }
    if (!is_usual)
        return PyErr_Occurred() ? NULL
                                : PyObject_CallMethodObjArgs(given, any_arithmetic, op, other, arguments[2], NULL);
    PyObject *tracked = result == bool_type ? Py_None : self->tracked;
    if (result != bool_type && PyObject_TypeCheck(other, kf_tensor_type))
        tracked = either(tracked, ((kf_tensor *)other)->tracked);
    return kf_wrapped(Py_TYPE(given), node, tracked, 1);
}

/* ------------------------------------------------------------------------------------------------ composites */

/* What a recipe depends on of a tensor, borrowed, put into a key; the number of entries, 0 for another matter. */
static Py_ssize_t add_tensor(PyObject *value, PyObject **key)
{
    kf_tensor *tensor = (kf_tensor *)value;
    kf_node *node = PyObject_TypeCheck(value, kf_tensor_type) ? (kf_node *)tensor->node : NULL;
    if (!kf_is_node((PyObject *)node) || !tensor->tracked)
        return 0;
    key[0] = node->shape;
    key[1] = node->dtype;
    key[2] = node->device;
    key[3] = tensor->tracked;
    key[4] = (PyObject *)Py_TYPE(value); /* whose methods may be its own */
    return OF_TENSOR;
}

/* An element of a list or a tuple, borrowed. */
static PyObject *item(PyObject *value, Py_ssize_t i)
{
    return PyTuple_Check(value) ? PyTuple_GetItem(value, i) : PyList_GetItem(value, i);
}

/* How many tensors a list or a tuple has; 0 for what is no such, or has something else in it as well. */
static Py_ssize_t tensors_in(PyObject *value)
{
    Py_ssize_t count = PyTuple_CheckExact(value) ? PyTuple_Size(value) : PyList_CheckExact(value) ? PyList_Size(value) : 0;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!PyObject_TypeCheck(item(value, i), kf_tensor_type))
            return 0;
    return count;
}

/* Whether those that equal a value may be others: of other types inside, or zeros of the other sign. */
static bool is_ambiguous(PyObject *value)
{
    bool found = PyTuple_Check(value) && !PyTuple_CheckExact(value);
    for (Py_ssize_t i = 0; !found && PyTuple_Check(value) && i < PyTuple_Size(value); i++)
        found = !PyLong_CheckExact(PyTuple_GetItem(value, i));
    return found || PyList_Check(value) ||
           (PyNumber_Check(value) && !PyLong_Check(value) && !PyFloat_CheckExact(value));
}

/* The same of any argument, of which at most so many are put there. */
static Py_ssize_t add_part(PyObject *value, PyObject **key, Py_ssize_t most)
{
    Py_ssize_t count = tensors_in(value), length = 0;
    if (OF_TENSOR * (count + 1) > most)
        return 0;
    if (PyObject_TypeCheck(value, kf_tensor_type))
        return add_tensor(value, key);
    key[length++] = (PyObject *)Py_TYPE(value);
    for (Py_ssize_t i = 0, added; i < count; i++, length += added)
        if (!(added = add_tensor(item(value, i), key + length)))
            return 0;
    if (!count && is_ambiguous(value))
        return 0;
    if (PyFloat_CheckExact(value) && PyFloat_AsDouble(value) == 0) /* equal, but not the same */
        value = signbit(PyFloat_AsDouble(value)) ? minus_zero : plus_zero;
    key[length++] = count ? (PyObject *)Py_TYPE(value) : value;
    return length;
}

/* Recipes that were found for calls of a few parts, by the very objects these are. */
static struct met {
    PyObject *recipes, *found, *parts[FEW_PARTS];
    Py_ssize_t length;
} met[MET];

/* Where a recipe for such parts is, or will be. */
static struct met *place_of(PyObject *recipes, PyObject *const *parts, Py_ssize_t length)
{
    uint64_t hash = (uintptr_t)recipes;
    for (Py_ssize_t i = 0; i < length; i++)
        hash = kf_mixed(hash, (uintptr_t)parts[i]);
    return &met[hash % MET];
}

/* Keeps a recipe for parts, all of which it holds. */
static void meet(struct met *place, PyObject *recipes, PyObject *const *parts, Py_ssize_t length, PyObject *found)
{
    struct met before = *place, fresh = {.recipes = Py_NewRef(recipes), .found = Py_NewRef(found), .length = length};
    for (Py_ssize_t i = 0; i < length; i++)
        fresh.parts[i] = Py_NewRef(parts[i]);
    *place = fresh;
    for (Py_ssize_t i = 0; i < before.length; i++)
        Py_DECREF(before.parts[i]);
    Py_XDECREF(before.recipes);
    Py_XDECREF(before.found);
}

/* The recipe kept for parts, a new reference; NULL where there is none, with an error set or not.  To look for it may run
   Python, so the parts are held. */
static PyObject *looked_up(PyObject *recipes, PyObject *const *parts, Py_ssize_t length)
{
    PyObject *held[MOST_PARTS], *found = NULL;
    for (Py_ssize_t i = 0; i < length; i++)
        held[i] = Py_NewRef(parts[i]);
    PyObject *key = PyTuple_New(length); /* a tuple that is made may make garbage go, and so Python run */
    for (Py_ssize_t i = 0; i < length; i++) {
        if (key)
            PyTuple_SetItem(key, i, held[i]);
        else
            Py_DECREF(held[i]);
    }
    if (key && (found = PyDict_GetItemWithError(recipes, key)))
        Py_INCREF(found);
    if (found && length <= FEW_PARTS) {
        for (Py_ssize_t i = 0; i < length; i++)
            held[i] = PyTuple_GetItem(key, i);
        meet(place_of(recipes, held, length), recipes, held, length, found);
    }
    Py_XDECREF(key);
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_TypeError))
        PyErr_Clear(); /* what cannot be hashed has no recipe */
    return found;
}

/* The recipe kept for a call's arguments, the last of which have names, a new reference; NULL where there is none, with an
   error set or not. */
static PyObject *recipe_for(PyObject *recipes, PyObject *names, PyObject *arguments)
{
    PyObject *parts[MOST_PARTS], *found = NULL;
    PyObject *floats = PyObject_GetAttr(types, default_float), *ints = PyObject_GetAttr(types, default_int);
    Py_ssize_t length = 2, count = PyTuple_Size(arguments), i = 0;
    if (!(parts[0] = floats) || !(parts[1] = ints))
        i = count + 1;
    for (Py_ssize_t j = 0; names && j < PyTuple_Size(names); j++)
        parts[length++] = PyTuple_GetItem(names, j);
    for (Py_ssize_t added; i < count; i++, length += added)
        if (!(added = add_part(PyTuple_GetItem(arguments, i), parts + length, MOST_PARTS - length)))
            break;
    if (i == count) {
        struct met *place = length <= FEW_PARTS ? place_of(recipes, parts, length) : NULL;
        if (place && place->recipes == recipes && place->length == length &&
            !memcmp(place->parts, parts, (size_t)length * sizeof *parts))
            found = Py_NewRef(place->found);
        else
            found = looked_up(recipes, parts, length);
    }
    Py_XDECREF(floats);
    Py_XDECREF(ints);
    return found;
}

/* The nodes of the tensors among arguments, a new tuple; the first tensor, and the one at a place, borrowed. */
static PyObject *nodes_of(PyObject *arguments, long place, PyObject **first, PyObject **at)
{
    Py_ssize_t count = PyTuple_Size(arguments), met = 0;
    PyObject *nodes[MOST_PARTS];
    *first = *at = NULL;
    for (Py_ssize_t i = 0; i < count && met < MOST_PARTS; i++) {
        PyObject *value = PyTuple_GetItem(arguments, i);
        Py_ssize_t inside = tensors_in(value);
        for (Py_ssize_t j = 0; j < (inside ? inside : 1) && met < MOST_PARTS; j++) {
            PyObject *one = inside ? item(value, j) : value;
            if (!PyObject_TypeCheck(one, kf_tensor_type))
                continue;
            *first = *first ? *first : one;
            *at = met == place ? one : *at;
            nodes[met++] = Py_NewRef(((kf_tensor *)one)->node);
        }
    }
    PyObject *found = PyTuple_New(met);
    for (Py_ssize_t i = 0; i < met; i++) {
        if (found)
            PyTuple_SetItem(found, i, nodes[i]);
        else
            Py_DECREF(nodes[i]);
    }
    return found;
}

/* A class that inherits from that of tensors and that nobody looks at, and what to call once it lost the mark a class
   has as long as neither it nor one of its ancestors was changed since it was looked at. */
static PyTypeObject *unchanged;
static PyObject *renew;
static const unsigned long VALID = 1UL << 19; /* Py_TPFLAGS_VALID_VERSION_TAG */

/* set_unchanged(class, renew): takes these. */
static PyObject *set_unchanged(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *class, *call;
    if (!PyArg_ParseTuple(given, "O!O:set_unchanged", &PyType_Type, &class, &call))
        return NULL;
    kf_put((PyObject **)&unchanged, class);
    kf_put(&renew, call);
    Py_RETURN_NONE;
}

/* forget_met(): recipes that were found are to be looked for again. */
static PyObject *forget_met(PyObject *module, PyObject *none)
{
    (void)module;
    (void)none;
    for (size_t i = 0; i < MET; i++) {
        struct met before = met[i];
        met[i] = (struct met){0};
        for (Py_ssize_t j = 0; j < before.length; j++)
            Py_DECREF(before.parts[j]);
        Py_XDECREF(before.recipes);
        Py_XDECREF(before.found);
    }
    Py_RETURN_NONE;
}

/* Has recipes forgotten where methods are others than when these were recorded; false with an error set. */
static bool follow_changes(void)
{
    if (!unchanged || PyType_GetFlags(unchanged) & VALID)
        return true;
    PyObject *done = PyObject_CallNoArgs(renew);
    Py_XDECREF(done);
    return done;
}

PyObject *kf_applied(PyObject *recipes, PyObject *names, PyObject *arguments, long up)
{
    if (!follow_changes())
        return NULL;
    int other = holds(spelling);
    if (!other)
        other = holds(narrow_type);
    if (other)
        return other < 0 ? NULL : Py_NewRef(Py_None);
    PyObject *known = recipe_for(recipes, names, arguments), *part[KNOWN], *first, *at, *result = NULL;
    if (!known || known == Py_None)
        return known || PyErr_Occurred() ? known : Py_NewRef(Py_None);
    if (PyTuple_Size(known) == REPEATED) {
        PyObject *nodes = nodes_of(arguments, -1, &first, &at);
        result = nodes && first ? kf_repeated(known, nodes, Py_TYPE(first), up) : NULL;
        Py_XDECREF(nodes);
        Py_DECREF(known);
        return result || PyErr_Occurred() ? result : Py_NewRef(Py_None);
    }
    for (Py_ssize_t i = 0; i < KNOWN; i++) /* op, recipe, tracked, shape, dtype, place */
        if (!(part[i] = PyTuple_GetItem(known, i)))
            break;
    long place = PyErr_Occurred() ? -1 : PyLong_AsLong(part[KNOWN - 1]);
    if (!PyErr_Occurred()) {
        PyObject *nodes = nodes_of(arguments, place, &first, &at);
        if (nodes && at)
            result = derived(at, ((kf_tensor *)at)->node); /* changes in place of one are none of the other */
        else if (nodes && first)
            result = kf_wrapped(Py_TYPE(first), kf_node_of(part[0], nodes, part[1], part[3], part[4]), part[2], up);
        Py_XDECREF(nodes);
    }
    Py_DECREF(known);
    return result || PyErr_Occurred() ? result : Py_NewRef(Py_None);
}

/* applied(recipes, arguments): the same, for Python. */
static PyObject *applied(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    if (count != 2 || !types || !PyDict_Check(given[0]) || !PyTuple_Check(given[1]))
        return PyErr_Format(PyExc_TypeError, "applied takes a dict and a tuple");
    return kf_applied(given[0], NULL, given[1], 1);
}

/* -------------------------------------------------------------------------------------------------- the type */

/* set_spent(flag, function): what tensors have whose graph was let go of, and what gives their nodes. */
static PyObject *set_spent(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *flag, *function;
    if (!PyArg_ParseTuple(given, "OO:set_spent", &flag, &function))
        return NULL;
    kf_put(&kf_spent, flag);
    kf_put(&spent_node, function);
    Py_RETURN_NONE;
}

static PyObject *set_tensors(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject **kept[] = {&get_frame, &is_own, &grad_enabled, &spelling, &narrow_type, &eager, &settled, &detached,
                         &constant, &types, &bool_type, &broadcasts};
    if (!PyArg_ParseTuple(given, "OOOOOOOOOOOO!n:set_tensors", kept[0], kept[1], kept[2], kept[3], kept[4], kept[5],
                          kept[6], kept[7], kept[8], kept[9], kept[10], &PyTuple_Type, kept[11], &patience))
        return NULL;
    if (PyTuple_Size(broadcasts) != 2 || !PyDict_Check(PyTuple_GetItem(broadcasts, 0)) ||
        !PyDict_Check(PyTuple_GetItem(broadcasts, 1))) {
        broadcasts = NULL;
        return PyErr_Format(PyExc_TypeError, "recipes by operation are a pair of dicts");
    }
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        Py_INCREF(*kept[i]);
    Py_RETURN_NONE;
}

static void leave(PyObject *self)
{
    if (((kf_tensor *)self)->weak)
        PyObject_ClearWeakRefs(self);
}

KF_KEEPS(kf_tensor, node, place, leave)

static PyMemberDef members[] = {
    KF_FIELD(kf_tensor, node, "_node"), KF_FIELD(kf_tensor, tracked, "_tracked"), KF_FIELD(kf_tensor, leaf, "_leaf"),
    KF_FIELD(kf_tensor, grad, "grad"), KF_FIELD(kf_tensor, hooks, "_hooks"), KF_FIELD(kf_tensor, place, "_place"),
    KF_WEAK(kf_tensor), {NULL, 0, 0, 0, NULL}};

#define FAST(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL

static PyMethodDef methods[] = {
    {"_wrap", FAST(wrap) | METH_CLASS, "A tensor of a node."},
    {"_derived", derived, METH_O, "The tensor of a node computed from this tensor alone."},
    {"_arithmetic", FAST(arithmetic), "A scalar operation on this tensor and another operand."},
    {"_unary", scalar, METH_O, "A scalar operation on this tensor alone."},
    {"_cast", cast, METH_O, "The elements converted to a type."},
    {"_in_place", kf_changed, METH_O, "This tensor with the value of an operation's result."},
    {NULL, NULL, 0, NULL}};

static PyMethodDef functions[] = {
    {"set_unchanged", set_unchanged, METH_VARARGS, "Takes a class that loses a mark when tensors' methods change."},
    {"forget_met", forget_met, METH_NOARGS, "Has all recipes looked for again."},
    {"applied", FAST(applied), "The tensor that a composite gives by a recipe that is kept."},
    {"set_spent", set_spent, METH_VARARGS, "Takes what is needed of Python for tensors whose graph was let go of."},
    {"set_tensors", set_tensors, METH_VARARGS, "Takes what is needed of Python."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_traverse, kf_tensor_traverse}, {Py_tp_clear, kf_tensor_clear}, {Py_tp_dealloc, kf_tensor_forget},
    {Py_tp_members, members}, {Py_tp_methods, methods}, {0, NULL}};

static PyType_Spec spec = {
    "kernelforge.native._native.Tensor", sizeof(kf_tensor), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

int kf_add_tensors(PyObject *module)
{
    struct {
        PyObject **name;
        const char *text;
    } names[] = {{&any_arithmetic, "_any_arithmetic"}, {&any_scalar, "_any_unary"}, {&default_float, "default_float"}, {&default_int, "default_int"},
                 {&touched, "touched"}, {&is_inexact, "is_inexact"},
                 {&co_filename, "co_filename"}, {&f_back, "f_back"}, {&f_lasti, "f_lasti"}, {&plus_zero, "0.0"},
                 {&minus_zero, "-0.0"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!*names[i].name && !(*names[i].name = PyUnicode_InternFromString(names[i].text)))
            return -1;
    kf_tensor_type = kf_add_type(module, "Tensor", &spec);
    return kf_tensor_type ? PyModule_AddFunctions(module, functions) : -1;
}
