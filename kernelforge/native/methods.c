/* Functions of Python as attributes of a class of tensors, which are asked only where C does not know what they give. */

#include "methods.h"

enum kind { COMPOSITE, VIEW, CHANGE, ASSIGNMENT, KINDS };
enum { MOST_KEYWORDS = 12 }; /* fewer than a key has room for */

/* recipes: of calls that were met before; value: of a change in place, what gives the new elements, of an
   assignment what `kf_assigned` takes; renamed: the function's
   own names of arguments by others they have, a dict or None; names: what Python keeps of a function beside, its name and
   its documentation. */
typedef struct {
    PyObject_HEAD
    PyObject *function, *recipes, *value, *renamed, *names;
    int kind;
} Method;

static PyObject *method_type; /* of Python: a function bound to its first argument */

static PyObject *make(PyTypeObject *type, PyObject *given, PyObject *keywords)
{
    PyObject *function, *recipes, *value = Py_None, *renamed = Py_None;
    int kind = COMPOSITE;
    static char *names[] = {"function", "recipes", "kind", "value", "renamed", NULL};
    if (!PyArg_ParseTupleAndKeywords(given, keywords, "OO!|iOO:Method", names, &function, &PyDict_Type, &recipes, &kind,
                                     &value, &renamed))
        return NULL;
    if (renamed != Py_None && !PyDict_Check(renamed))
        return PyErr_Format(PyExc_TypeError, "%R is no dict of names", renamed);
    if (kind == ASSIGNMENT && (!PyTuple_Check(value) || PyTuple_Size(value) != 3 || !PyDict_Check(PyTuple_GetItem(value, 0)) ||
                               !PyDict_Check(PyTuple_GetItem(value, 2))))
        return PyErr_Format(PyExc_TypeError, "%R are no recipes and no function", value);
    if (kind < COMPOSITE || kind >= KINDS)
        return PyErr_Format(PyExc_ValueError, "there is no kind %d of methods", kind);
    Method *self = kf_new(type);
    if (!self)
        return NULL;
    self->function = Py_NewRef(function);
    self->recipes = Py_NewRef(recipes);
    self->value = Py_NewRef(value);
    self->renamed = Py_NewRef(renamed);
    self->kind = kind;
    return (PyObject *)self;
}

/* What the function calls an argument of a name, borrowed; NULL with an error set. */
static PyObject *own_name(const Method *self, PyObject *name)
{
    PyObject *own = self->renamed == Py_None ? NULL : PyDict_GetItemWithError(self->renamed, name);
    return own || PyErr_Occurred() ? own : name;
}

/* Keywords by the function's own names, a new dict; NULL where two have one, with an error set or not. */
static PyObject *by_own_names(const Method *self, PyObject *keywords)
{
    PyObject *found = PyDict_New(), *name, *value;
    bool done = found;
    for (Py_ssize_t place = 0; done && PyDict_Next(keywords, &place, &name, &value);)
        done = (name = own_name(self, name)) && !PyDict_SetItem(found, name, value);
    if (done && PyDict_Size(found) == PyDict_Size(keywords))
        return found;
    Py_XDECREF(found);
    return NULL;
}

/* A change in place with what its value's function gives of the same arguments; None where two keywords are one. */
static PyObject *change(Method *self, PyObject *arguments, PyObject *keywords)
{
    PyObject *own = keywords ? by_own_names(self, keywords) : NULL;
    if (keywords && !own)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    PyObject *value = PyObject_Call(self->value, arguments, own);
    PyObject *tensor = value ? kf_changed(PyTuple_GetItem(arguments, 0), value) : NULL;
    Py_XDECREF(value);
    Py_XDECREF(own);
    return tensor;
}

/* What a composite gives by a recipe; None where it has none.  Names are told as Python's side of it tells them. */
static PyObject *compose(Method *self, PyObject *arguments, PyObject *keywords)
{
    if (!keywords)
        return kf_applied(self->recipes, NULL, arguments, 0);
    PyObject *names = PyTuple_New(PyDict_Size(keywords)), *all = NULL, *name, *value, *found = NULL;
    PyObject *values = PyDict_Values(keywords);
    bool done = names && values;
    for (Py_ssize_t place = 0, met = 0; done && PyDict_Next(keywords, &place, &name, &value); met++)
        if ((done = (name = own_name(self, name))))
            PyTuple_SetItem(names, met, Py_NewRef(name));
    PyObject *last = done ? PyList_AsTuple(values) : NULL;
    if (last && (all = PySequence_Concat(arguments, last)))
        found = kf_applied(self->recipes, names, all, 0);
    Py_XDECREF(all);
    Py_XDECREF(last);
    Py_XDECREF(values);
    Py_XDECREF(names);
    return found;
}

static PyObject *call(PyObject *given, PyObject *arguments, PyObject *keywords)
{
    Method *self = (Method *)given;
    if (keywords && !PyDict_Size(keywords))
        keywords = NULL;
    if (self->kind == VIEW)
        return kf_viewed(self->recipes, self->function, arguments, keywords);
    PyObject *found = NULL;
    bool is_usual = PyTuple_Size(arguments) && !(keywords && PyDict_Size(keywords) > MOST_KEYWORDS);
    if (self->kind == ASSIGNMENT && !keywords && PyTuple_Size(arguments) == 3) {
        if ((found = kf_assigned(self->recipes, self->value, arguments)) && found != Py_None) {
            Py_DECREF(found);
            Py_RETURN_NONE;
        }
    } else if (is_usual && self->kind == COMPOSITE)
        found = compose(self, arguments, keywords);
    else if (is_usual && self->kind == CHANGE && PyObject_TypeCheck(PyTuple_GetItem(arguments, 0), kf_tensor_type))
        found = change(self, arguments, keywords);
    if (found && found != Py_None)
        return found;
    Py_XDECREF(found);
    return PyErr_Occurred() ? NULL : PyObject_Call(self->function, arguments, keywords);
}

static PyObject *bound(PyObject *self, PyObject *object, PyObject *type)
{
    (void)type;
    return object && object != Py_None ? PyObject_CallFunctionObjArgs(method_type, self, object, NULL) : Py_NewRef(self);
}

/* The name that a method is found under in its module, which is all that is kept of one. */
static PyObject *reduced(PyObject *self, PyObject *none)
{
    (void)none;
    return PyObject_GetAttrString(self, "__qualname__");
}

static PyObject *shown(PyObject *self)
{
    PyObject *name = reduced(self, NULL), *text = name ? PyUnicode_FromFormat("<function %S at %p>", name, self) : NULL;
    Py_XDECREF(name);
    return text;
}

static void leave(PyObject *self)
{
    (void)self;
}

KF_KEEPS(Method, function, names, leave)

static PyMemberDef members[] = {
    KF_FIELD(Method, recipes, "recipes"), {"__dictoffset__", T_PYSSIZET, offsetof(Method, names), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyGetSetDef places[] = {{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
                               {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef methods[] = {
    {"__reduce__", reduced, METH_NOARGS, "The name it is found under."}, {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_methods, methods}, {Py_tp_repr, shown}, {Py_tp_new, make}, {Py_tp_call, call}, {Py_tp_descr_get, bound},
    {Py_tp_traverse, Method_traverse}, {Py_tp_clear, Method_clear}, {Py_tp_dealloc, Method_forget},
    {Py_tp_members, members}, {Py_tp_getset, places}, {0, NULL}};

static PyType_Spec spec = {
    "kernelforge.native._native.Method", sizeof(Method), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_METHOD_DESCRIPTOR, slots};

int kf_add_methods(PyObject *module)
{
    PyObject *types_of_python = PyImport_ImportModule("types");
    PyObject *before = method_type;
    method_type = types_of_python ? PyObject_GetAttrString(types_of_python, "MethodType") : NULL;
    Py_XDECREF(types_of_python);
    Py_XDECREF(before);
    return method_type && kf_add_type(module, "Method", &spec) ? 0 : -1;
}
