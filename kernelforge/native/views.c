/* Views that were made before: what nodes they are of what they are views of, by the arguments that say so.

A method whose arguments are numbers, slices, None and ... gives a view that depends on these, the shape and the type
alone.  What is kept of a view is a pair: for each node of the view its operation, attribute, shape and type, the next one
to the viewed node first, and the steps that lead there (`kernelforge.tensor.aliases`); of a call that gives several, a pair
of their container's type and a tuple of what is kept of each. */

#include "methods.h"

enum { MOST_PARTS = 40, MOST_KEPT = 4096, MOST_NODES = 16, OF_NODE = 4, MOST_VIEWS = 64 };

/* What Python gives.  placed: makes a place of a family and steps. */
static PyObject *spelling, *placed, *place_class, *first_room, *cast_source;
static PyTypeObject *family_class;
static PyObject *names[5];
enum { START, STOP, STEP, RESHAPE, NUMBERS };

struct key {
    PyObject *parts[MOST_PARTS]; /* borrowed */
    Py_ssize_t length;
    bool is_plain;
};

static void add(struct key *key, PyObject *part)
{
    key->is_plain = key->is_plain && key->length < MOST_PARTS;
    if (key->is_plain)
        key->parts[key->length++] = part;
}

/* A bound of a slice, which the slice holds. */
static void add_bound(struct key *key, PyObject *slice, PyObject *name)
{
    PyObject *bound = PyObject_GetAttr(slice, name);
    key->is_plain = key->is_plain && (bound == Py_None || (bound && PyLong_CheckExact(bound)));
    add(key, bound);
    Py_XDECREF(bound);
}

static void add_argument(struct key *key, PyObject *value, bool inside)
{
    if (PyLong_CheckExact(value) || value == Py_None || value == Py_Ellipsis) {
        add(key, value);
    } else if (PyObject_TypeCheck(value, &PySlice_Type)) {
        add(key, (PyObject *)&PySlice_Type);
        for (int i = START; i <= STEP; i++)
            add_bound(key, value, names[i]);
    } else if (!inside && (PyTuple_CheckExact(value) || PyList_CheckExact(value))) {
        bool is_tuple = PyTuple_CheckExact(value);
        PyObject *type = (PyObject *)Py_TYPE(value);
        add(key, type);
        for (Py_ssize_t i = 0; key->is_plain && i < (is_tuple ? PyTuple_Size(value) : PyList_Size(value)); i++)
            add_argument(key, is_tuple ? PyTuple_GetItem(value, i) : PyList_GetItem(value, i), true);
        add(key, type);
    } else {
        key->is_plain = false;
    }
}

/* What a view depends on, a new tuple; NULL where it may depend on something else, with an error set or not. */
static PyObject *key_of(PyObject *arguments, PyObject *keywords)
{
    kf_tensor *tensor = PyTuple_Size(arguments) ? (kf_tensor *)PyTuple_GetItem(arguments, 0) : NULL;
    if (!spelling || !tensor || !PyObject_TypeCheck((PyObject *)tensor, kf_tensor_type) || !kf_is_node(tensor->node) ||
        !tensor->tracked)
        return NULL;
    const kf_node *node = (kf_node *)tensor->node;
    struct key key = {.is_plain = true};
    add(&key, node->shape);
    add(&key, node->dtype);
    add(&key, (PyObject *)Py_TYPE((PyObject *)tensor)); /* whose methods may be its own */
    for (Py_ssize_t i = 1; key.is_plain && i < PyTuple_Size(arguments); i++)
        add_argument(&key, PyTuple_GetItem(arguments, i), false);
    PyObject *name, *value;
    for (Py_ssize_t place = 0; keywords && key.is_plain && PyDict_Next(keywords, &place, &name, &value);) {
        add(&key, name);
        add_argument(&key, value, false);
    }
    if (!key.is_plain)
        return NULL;
    for (Py_ssize_t i = 0; i < key.length; i++)
        Py_INCREF(key.parts[i]); /* a tuple that is made may make garbage go, and so Python run */
    PyObject *found = PyTuple_New(key.length);
    for (Py_ssize_t i = 0; i < key.length; i++) {
        if (found)
            PyTuple_SetItem(found, i, key.parts[i]);
        else
            Py_DECREF(key.parts[i]);
    }
    return found;
}

/* ------------------------------------------------------------------------------------------------- families */

PyObject *kf_steps_of(const kf_tensor *tensor)
{
    return tensor->place && PyTuple_Check(tensor->place) && PyTuple_Size(tensor->place) == 2
               ? PyTuple_GetItem(tensor->place, 1)
               : NULL;
}

static PyObject *place_of(PyObject *family, PyObject *steps)
{
    PyObject *pair = PyTuple_Pack(2, family, steps);
    PyObject *place = pair ? PyObject_CallFunctionObjArgs(placed, place_class, pair, NULL) : NULL;
    Py_XDECREF(pair);
    return place;
}

/* A family of two, which the first begins. */
static PyObject *begun(kf_tensor *parent, kf_tensor *view)
{
    kf_family *family = kf_new(family_class);
    PyObject *first = family ? PyWeakref_NewRef((PyObject *)parent, NULL) : NULL;
    PyObject *second = first ? PyWeakref_NewRef((PyObject *)view, NULL) : NULL;
    PyObject *nothing = second ? PyTuple_New(0) : NULL, *place = NULL;
    if (nothing && (family->members = PyList_New(0)) && !PyList_Append(family->members, first) &&
        !PyList_Append(family->members, second)) {
        family->room = Py_NewRef(first_room);
        family->shape = Py_NewRef(((kf_node *)parent->node)->shape);
        if ((place = place_of((PyObject *)family, nothing)))
            kf_put(&parent->place, place);
    }
    Py_XDECREF(place);
    Py_XDECREF(nothing);
    Py_XDECREF(second);
    Py_XDECREF(first);
    if (place)
        return (PyObject *)family;
    Py_XDECREF((PyObject *)family);
    return NULL;
}

/* Takes a tensor into a family, and now and then forgets those that are gone; false with an error set. */
static bool enter(kf_family *family, kf_tensor *view)
{
    PyObject *reference = PyWeakref_NewRef((PyObject *)view, NULL);
    bool done = reference != NULL;
    if (done && PyList_Size(family->members) >= PyLong_AsSsize_t(family->room)) {
        PyObject *alive = PyList_New(0);
        done = alive != NULL;
        for (Py_ssize_t i = 0; done && i < PyList_Size(family->members); i++) {
            PyObject *member = PyList_GetItem(family->members, i);
            done = PyWeakref_GetObject(member) == Py_None || !PyList_Append(alive, member);
        }
        Py_ssize_t few = PyLong_AsSsize_t(first_room), room = done ? 2 * PyList_Size(alive) : 0;
        PyObject *number = done ? PyLong_FromSsize_t(room < few ? few : room) : NULL;
        if (number) {
            kf_put(&family->members, alive);
            kf_put(&family->room, number);
        }
        done = number;
        Py_XDECREF(number);
        Py_XDECREF(alive);
    }
    done = done && !PyList_Append(family->members, reference);
    Py_XDECREF(reference);
    return done;
}

bool kf_has_family(const kf_tensor *tensor)
{
    PyObject *steps = kf_steps_of(tensor);
    if (!steps || !PyTuple_Check(steps) || !PyObject_TypeCheck(PyTuple_GetItem(tensor->place, 0), kf_family_type))
        return false;
    const kf_family *family = (kf_family *)PyTuple_GetItem(tensor->place, 0);
    return family->members && PyList_Check(family->members) && family->room && PyLong_Check(family->room);
}

/* Makes a tensor the view that steps lead to of one that has a family or no place, as `aliases.join` does where nothing has
   to be copied; false with an error set. */
static bool join(kf_tensor *parent, kf_tensor *view, PyObject *steps)
{
    PyObject *family = NULL, *whole = NULL, *place = NULL;
    if (!parent->place) {
        family = begun(parent, view);
        whole = Py_NewRef(steps);
    } else if (enter((kf_family *)PyTuple_GetItem(parent->place, 0), view)) {
        family = Py_NewRef(PyTuple_GetItem(parent->place, 0));
        PyObject *own = kf_steps_of(parent);
        whole = PyTuple_Size(own) ? PySequence_Concat(own, steps) : Py_NewRef(steps);
    }
    if (family && whole && (place = place_of(family, whole)))
        kf_put(&view->place, place);
    bool done = place;
    Py_XDECREF(place);
    Py_XDECREF(whole);
    Py_XDECREF(family);
    return done;
}

/* Whether steps may have to copy where others come before them. */
static bool may_copy(PyObject *steps)
{
    bool may = false;
    for (Py_ssize_t i = 0; !may && i < PyTuple_Size(steps); i++) {
        PyObject *name = PyTuple_GetItem(PyTuple_GetItem(steps, i), 0);
        may = name == names[RESHAPE] || name == names[NUMBERS];
    }
    return may;
}

/* ---------------------------------------------------------------------------------------------------- views */

kf_node *kf_walked(kf_node *from, PyObject *chain)
{
    kf_node *node = (kf_node *)Py_NewRef((PyObject *)from);
    for (Py_ssize_t i = 0; node && i < PyTuple_Size(chain); i += OF_NODE) {
        PyObject *src = PyTuple_Pack(1, node);
        Py_DECREF((PyObject *)node);
        node = src ? kf_node_of(PyTuple_GetItem(chain, i), src, PyTuple_GetItem(chain, i + 1), PyTuple_GetItem(chain, i + 2),
                                PyTuple_GetItem(chain, i + 3))
                   : NULL;
        Py_XDECREF(src);
    }
    return node;
}

/* The view a tensor has by what is kept of one. */
static PyObject *again(kf_tensor *tensor, PyObject *row)
{
    PyObject *steps = PyTuple_GetItem(row, 1);
    kf_node *node = kf_walked((kf_node *)tensor->node, PyTuple_GetItem(row, 0));
    PyObject *view = kf_wrapped_of(Py_TYPE((PyObject *)tensor), node, kf_flag_of(tensor->tracked), 0, (kf_node *)tensor->node);
    if (view && !join(tensor, (kf_tensor *)view, steps))
        Py_CLEAR(view);
    return view;
}

/* What leads from a node to another one: a tuple of what `again` takes; NULL where other nodes are among it, with an error
   set or not. */
static PyObject *chain_of(const kf_node *to, const kf_node *from)
{
    const kf_node *nodes[MOST_NODES];
    Py_ssize_t count = 0;
    for (; to != from; to = (kf_node *)PyTuple_GetItem(to->src, 0)) {
        if (count == MOST_NODES || PyTuple_Size(to->src) != 1 || to->realized != Py_None ||
            !kf_is_node(PyTuple_GetItem(to->src, 0)))
            return NULL;
        nodes[count++] = to;
    }
    PyObject *chain = PyTuple_New(OF_NODE * count);
    for (Py_ssize_t i = 0; chain && i < count; i++) {
        const kf_node *node = nodes[count - 1 - i];
        PyObject *parts[OF_NODE] = {node->op, node->attr, node->shape, node->dtype};
        for (Py_ssize_t j = 0; j < OF_NODE; j++)
            PyTuple_SetItem(chain, OF_NODE * i + j, Py_NewRef(parts[j]));
    }
    return chain;
}

/* How a view comes about, a new reference; NULL where that is another matter, with an error set or not. */
static PyObject *row_of(kf_tensor *tensor, PyObject *before, PyObject *given)
{
    kf_tensor *view = (kf_tensor *)given;
    PyObject *steps = PyObject_TypeCheck(given, kf_tensor_type) && kf_is_node(view->node) ? kf_steps_of(view) : NULL;
    if (!steps || view == tensor || Py_TYPE(given) != Py_TYPE((PyObject *)tensor) || !kf_has_family(tensor) ||
        PyTuple_GetItem(tensor->place, 0) != PyTuple_GetItem(view->place, 0) ||
        (view->tracked == Py_True) != (tensor->tracked == Py_True))
        return NULL;
    PyObject *own = kf_steps_of(tensor);
    Py_ssize_t count = PyTuple_Size(own);
    if (!kf_is_node(tensor->node) || tensor->node != before || count >= PyTuple_Size(steps))
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        if (PyTuple_GetItem(own, i) != PyTuple_GetItem(steps, i))
            return NULL;
    PyObject *chain = chain_of((kf_node *)view->node, (kf_node *)tensor->node);
    PyObject *way = chain ? PyTuple_GetSlice(steps, count, PyTuple_Size(steps)) : NULL;
    PyObject *row = way ? PyTuple_Pack(2, chain, way) : NULL;
    Py_XDECREF(way);
    Py_XDECREF(chain);
    return row;
}

/* The part of a list or a tuple of views, borrowed. */
static PyObject *part(PyObject *views, Py_ssize_t i)
{
    return PyTuple_Check(views) ? PyTuple_GetItem(views, i) : PyList_GetItem(views, i);
}

/* The same of each of several views. */
static PyObject *rows_of(kf_tensor *tensor, PyObject *before, PyObject *views)
{
    Py_ssize_t count = PyTuple_Check(views) ? PyTuple_Size(views) : PyList_Size(views);
    PyObject *rows = count <= MOST_VIEWS ? PyTuple_New(count) : NULL, *found = NULL, *row;
    for (Py_ssize_t i = 0; rows && i < count; i++) {
        if ((row = row_of(tensor, before, part(views, i))))
            PyTuple_SetItem(rows, i, row);
        else
            Py_CLEAR(rows);
    }
    if (rows && count)
        found = PyTuple_Pack(2, (PyObject *)Py_TYPE(views), rows);
    Py_XDECREF(rows);
    return found;
}

/* Keeps how what a call gave comes about; false with an error set. */
static bool keep(PyObject *kept, PyObject *key, kf_tensor *tensor, PyObject *before, PyObject *given)
{
    bool are_several = PyTuple_CheckExact(given) || PyList_CheckExact(given);
    PyObject *row = are_several ? rows_of(tensor, before, given) : row_of(tensor, before, given);
    if (row && PyDict_Size(kept) >= MOST_KEPT)
        PyDict_Clear(kept);
    if (row)
        PyDict_SetItem(kept, key, row);
    Py_XDECREF(row);
    return !PyErr_Occurred();
}

/* Whether a tensor has the views that are kept of a call, where steps lead to it already: nothing has to be copied. */
static bool fits(const kf_tensor *tensor, PyObject *row)
{
    if (!tensor->place)
        return true;
    if (!kf_has_family(tensor))
        return false;
    bool are_several = PyType_Check(PyTuple_GetItem(row, 0)), copies = false;
    PyObject *rows = PyTuple_GetItem(row, 1);
    if (!PyTuple_Size(kf_steps_of(tensor)))
        return true;
    for (Py_ssize_t i = 0; are_several && !copies && i < PyTuple_Size(rows); i++)
        copies = may_copy(PyTuple_GetItem(PyTuple_GetItem(rows, i), 1));
    return !(are_several ? copies : may_copy(rows));
}

/* What a call gave, of another tensor. */
static PyObject *given_again(kf_tensor *tensor, PyObject *row)
{
    PyObject *type = PyTuple_GetItem(row, 0), *rows = PyTuple_GetItem(row, 1), *view;
    if (!PyType_Check(type))
        return again(tensor, row);
    PyObject *views = PyList_New(0);
    for (Py_ssize_t i = 0; views && i < PyTuple_Size(rows); i++) {
        if (!(view = again(tensor, PyTuple_GetItem(rows, i))) || PyList_Append(views, view))
            Py_CLEAR(views);
        Py_XDECREF(view);
    }
    if (!views || type == (PyObject *)&PyList_Type)
        return views;
    PyObject *found = PyList_AsTuple(views);
    Py_DECREF(views);
    return found;
}

/* 1 where operations are spelled out, which joins nothing, 0 where not, -1 with an error set. */
static int is_spelling(void)
{
    PyObject *value = PyObject_CallNoArgs(spelling);
    int found = value ? PyObject_IsTrue(value) : -1;
    Py_XDECREF(value);
    return found;
}

PyObject *kf_viewed(PyObject *kept, PyObject *function, PyObject *arguments, PyObject *keywords)
{
    PyObject *key = key_of(arguments, keywords), *view = NULL;
    int spells = key ? is_spelling() : 0;
    if (spells)
        Py_CLEAR(key);
    if (spells < 0)
        return NULL;
    kf_tensor *tensor = key ? (kf_tensor *)PyTuple_GetItem(arguments, 0) : NULL;
    PyObject *row = key ? PyDict_GetItemWithError(kept, key) : NULL;
    if (row && fits(tensor, row)) {
        Py_INCREF(row);
        view = given_again(tensor, row);
        Py_DECREF(row);
    } else if (!PyErr_Occurred()) {
        PyObject *before = tensor ? Py_NewRef(tensor->node) : NULL;
        view = PyObject_Call(function, arguments, keywords);
        if (view && key && !row && !keep(kept, key, tensor, before, view))
            Py_CLEAR(view);
        Py_XDECREF(before);
    }
    Py_XDECREF(key);
    return view;
}

/* ---------------------------------------------------------------------------------------------- assignments */

/* What elements of a tensor are to become, a new reference: a tensor of the same type that is none of its views, which a
   number becomes in Python; NULL for what is another matter, with an error set or not. */
static PyObject *source_of(const kf_tensor *tensor, PyObject *given)
{
    const kf_tensor *value = (kf_tensor *)given;
    if (PyFloat_CheckExact(given) || PyLong_CheckExact(given))
        return PyObject_CallMethodObjArgs((PyObject *)tensor, cast_source, given, NULL);
    bool is_plain = PyObject_TypeCheck(given, kf_tensor_type) && kf_is_node(value->node) &&
                    (!value->place || !tensor->place) &&
                    ((kf_node *)value->node)->dtype == ((kf_node *)tensor->node)->dtype;
    return is_plain ? Py_NewRef(given) : NULL;
}

/* What is kept of an index: how `part_of` tells the part it names, new where it was not met before, None where it names
   none; borrowed, NULL with an error set. */
static PyObject *part_named(PyObject *kept, PyObject *part_of, PyObject *tensor, PyObject *index, PyObject *key)
{
    PyObject *part = PyDict_GetItemWithError(kept, key);
    if (part || PyErr_Occurred() || !(part = PyObject_CallFunctionObjArgs(part_of, tensor, index, NULL)))
        return part;
    if (PyDict_Size(kept) >= MOST_KEPT)
        PyDict_Clear(kept);
    int done = PyDict_SetItem(kept, key, part);
    Py_DECREF(part);
    return done ? NULL : part;
}

/* Whether a value is the very part of a tensor that is kept as a call's view: what x[i] += y assigns.  false with an error
   set or not. */
static bool is_part(const kf_tensor *tensor, PyObject *given, PyObject *views, PyObject *key)
{
    const kf_tensor *value = (kf_tensor *)given;
    if (!tensor->place || !PyObject_TypeCheck(given, kf_tensor_type) || !value->place || !kf_has_family(tensor) ||
        !kf_has_family(value) || PyTuple_GetItem(tensor->place, 0) != PyTuple_GetItem(value->place, 0))
        return false;
    PyObject *row = PyDict_GetItemWithError(views, key);
    if (!row || PyType_Check(PyTuple_GetItem(row, 0)))
        return false;
    PyObject *own = kf_steps_of(tensor), *way = PyTuple_GetItem(row, 1), *steps = kf_steps_of(value);
    Py_ssize_t before = PyTuple_Size(own), count = PyTuple_Size(steps);
    bool is = count == before + PyTuple_Size(way);
    for (Py_ssize_t i = 0; is && i < count; i++)
        is = PyTuple_GetItem(steps, i) == (i < before ? PyTuple_GetItem(own, i) : PyTuple_GetItem(way, i - before));
    return is;
}

PyObject *kf_assigned(PyObject *kept, PyObject *ways, PyObject *arguments)
{
    PyObject *replaced = PyTuple_GetItem(ways, 0), *part_of = PyTuple_GetItem(ways, 1);
    PyObject *given = PyTuple_GetItem(arguments, 0), *index = PyTuple_GetItem(arguments, 1);
    PyObject *viewed = PyTuple_GetSlice(arguments, 0, 2), *found = NULL, *result = NULL;
    PyObject *key = viewed ? key_of(viewed, NULL) : NULL;
    Py_XDECREF(viewed);
    if (key && is_part((kf_tensor *)given, PyTuple_GetItem(arguments, 2), PyTuple_GetItem(ways, 2), key)) {
        Py_DECREF(key);
        return Py_NewRef(given);
    }
    PyObject *value = key && !PyErr_Occurred() ? source_of((kf_tensor *)given, PyTuple_GetItem(arguments, 2)) : NULL;
    if (!value) {
        Py_XDECREF(key);
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    }
    PyObject *part = Py_XNewRef(part_named(kept, part_of, given, index, key));
    PyObject *whole = part && PyTuple_Check(part) && PyTuple_Size(part) == 2
                          ? PyTuple_Pack(4, given, PyTuple_GetItem(part, 0), PyTuple_GetItem(part, 1), value)
                          : NULL;
    if (whole)
        found = kf_applied(replaced, NULL, whole, 0);
    if (found && found != Py_None)
        result = kf_changed(given, found);
    else if (!PyErr_Occurred())
        result = Py_NewRef(Py_None);
    Py_XDECREF(found);
    Py_XDECREF(whole);
    Py_XDECREF(part);
    Py_DECREF(value);
    Py_DECREF(key);
    return result;
}

static PyObject *set_views(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *class, **kept[] = {&spelling, &placed, &place_class, &first_room};
    if (!PyArg_ParseTuple(given, "OOOO!O!:set_views", &class, kept[0], kept[1], &PyType_Type, kept[2], &PyLong_Type,
                          kept[3]))
        return NULL;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        Py_INCREF(*kept[i]);
    family_class = (PyTypeObject *)Py_NewRef(class);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_views", set_views, METH_VARARGS, "Takes what families and places are made of."}, {NULL, NULL, 0, NULL}};

int kf_add_views(PyObject *module)
{
    static const char *const texts[] = {"start", "stop", "step", "reshape", "numbers"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!names[i] && !(names[i] = PyUnicode_InternFromString(texts[i])))
            return -1;
    if (!cast_source && !(cast_source = PyUnicode_InternFromString("_cast_source")))
        return -1;
    return PyModule_AddFunctions(module, functions);
}
