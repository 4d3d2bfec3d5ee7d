/* Functions of Python as attributes of a class of tensors, which are asked only where C does not know what they give. */

#include "methods.h"

enum kind { COMPOSITE, VIEW, CHANGE, KINDS };

/* recipes: of calls that were met before; value: of a change in place, what gives the new elements; names: what Python
   keeps of a function beside, its name and its documentation. */
typedef struct {
    PyObject_HEAD
    PyObject *function, *recipes, *value, *names;
    int kind;
} Method;

static PyObject *method_type; /* of Python: a function bound to its first argument */

static PyObject *make(PyTypeObject *type, PyObject *given, PyObject *keywords)
{
    PyObject *function, *recipes, *value = Py_None;
    int kind = COMPOSITE;
    static char *names[] = {"function", "recipes", "kind", "value", NULL};
    if (!PyArg_ParseTupleAndKeywords(given, keywords, "OO!|iO:Method", names, &function, &PyDict_Type, &recipes, &kind,
                                     &value))
        return NULL;
    if (kind < COMPOSITE || kind >= KINDS)
        return PyErr_Format(PyExc_ValueError, "there is no kind %d of methods", kind);
    Method *self = kf_new(type);
    if (!self)
        return NULL;
    self->function = Py_NewRef(function);
    self->recipes = Py_NewRef(recipes);
    self->value = Py_NewRef(value);
    self->kind = kind;
    return (PyObject *)self;
}

/* A change in place with what its value's function gives of the same arguments. */
static PyObject *change(Method *self, PyObject *arguments)
{
    PyObject *value = PyObject_Call(self->value, arguments, NULL);
    PyObject *tensor = value ? kf_changed(PyTuple_GetItem(arguments, 0), value) : NULL;
    Py_XDECREF(value);
    return tensor;
}

static PyObject *call(PyObject *given, PyObject *arguments, PyObject *keywords)
{
    Method *self = (Method *)given;
    bool is_plain = PyTuple_Size(arguments) && !(keywords && PyDict_Size(keywords));
    if (self->kind == VIEW)
        return kf_viewed(self->recipes, self->function, arguments, is_plain ? NULL : keywords);
    if (is_plain && self->kind == CHANGE && PyObject_TypeCheck(PyTuple_GetItem(arguments, 0), kf_tensor_type))
        return change(self, arguments);
    PyObject *found = is_plain && self->kind == COMPOSITE ? kf_applied(self->recipes, arguments, 0) : NULL;
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
