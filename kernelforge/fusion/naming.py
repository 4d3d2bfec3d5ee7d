"""Names for kernels, by content.

Comes in: a kernel.  Goes out: a name such as `contract_512x3072_k768_gelu_f32` that is a C identifier of at most 60
characters; equal kernels have equal names.
"""

from __future__ import annotations

from math import prod

from codegen.ir import Apply, Expr, Kernel, Reduce
from codegen.ops import SCALAR_OPS

LONGEST = 60
PLAIN = frozenset(
    (
        "add",
        "sub",
        "mul",
        "div",
        "neg",
        "cast",
        "where",
        "lt",
        "le",
        "eq",
        "ne",
        "and",
        "or",
        "not",
        "max",
        "min",
        "bitcast",
    )
)
SHORT_DTYPES = {"float": "f", "bfloat": "bf", "int": "i", "uint": "u"}


def kernel_name(kernel: Kernel) -> str:
    """What the kernel does, over which sizes, in which type.

    reduces first ("contract" where operands are used more than once), then the telling scalar operations, the shape of
    the largest store and the sizes reduced, and the type stored
    """
    plain = [store for store in kernel.stores if store.mode != "flag"] or kernel.stores
    largest = max(plain, key=lambda store: prod(axis.size for axis in store.axes))
    words = list(dict.fromkeys(_reduce_word(e) for e in kernel.reduces))
    words += dict.fromkeys(f"cum{_plain_word(e.op.name)}" for e in kernel.scans)
    words += dict.fromkeys(e.op.name for e in kernel.exprs if isinstance(e, Apply) and e.op.name not in PLAIN)
    if not words:
        words = list(dict.fromkeys(e.op.name for e in kernel.exprs if isinstance(e, Apply)))[:3] or ["copy"]
    if largest.mode not in ("set", "flag"):
        words.insert(0, f"scatter_{largest.mode}")
    sizes = "x".join(str(axis.size) for axis in largest.axes) or "1"
    bound = dict.fromkeys(axis for e in kernel.reduces for axis in e.bound if axis not in largest.axes)
    inner = [f"k{'x'.join(str(axis.size) for axis in bound)}"] if bound else []
    tail = "_".join([sizes, *inner, short_dtype(largest.param.dtype.name)])
    head = "_".join(words)[: max(0, LONGEST - len(tail) - 1)].rstrip("_")
    return f"{head}_{tail}"[:LONGEST]


def short_dtype(name: str) -> str:
    """The usual abbreviation of a type's name.

    >>> short_dtype("float32"), short_dtype("bfloat16"), short_dtype("bool")
    ('f32', 'bf16', 'bool')
    """
    letters = name.rstrip("0123456789")
    return SHORT_DTYPES.get(letters, letters) + name[len(letters) :]


def _reduce_word(e: Reduce) -> str:
    if e.op.name == "add":
        return "contract" if reuses(e) else "sum"
    return _plain_word(e.op.name)


def _plain_word(name: str) -> str:
    return {"add": "sum", "mul": "prod"}.get(name, name)


def reuses(e: Reduce) -> bool:
    """True for a sum of products whose factors lack some of its axes, so that each of them is used more than once."""
    body: Expr = e.arg
    if not isinstance(body, Apply) or body.op is not SCALAR_OPS["mul"]:
        return False
    return all(arg.axes != body.axes and not arg.axes.isdisjoint(e.bound) for arg in body.args)
