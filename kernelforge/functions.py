"""Functions beside the tensor: `kernelforge.zeros(2, 3)`, `kernelforge.cat([x, y])`, `kernelforge.float32`.

Comes in: a name.  Goes out: what users of PyTorch expect it to be, looked for in this order: the functions below, whose
arguments or results differ from those of the tensor's method (whose names are tinygrad's too); `func`; functions of
`nn.functional` whose methods have tinygrad's order of arguments; element types; public methods of `Tensor`, the tensor
being the first argument; functions of `nn.functional`, `nn` and `special`.

>>> import kernelforge
>>> x = kernelforge.arange(6, dtype=kernelforge.float32).reshape(2, 3)
>>> kernelforge.max(x, 1).values.tolist()
[2.0, 5.0]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import getattr_static, signature
from types import ModuleType
from typing import Any, Final

from codegen.dtypes import DType, as_dtype, dtypes
from kernelforge import func, nn, special
from kernelforge.amp import autocast
from kernelforge.array_api.types import beside, finfo, iinfo
from kernelforge.autograd import inference_mode, is_grad_enabled, set_grad_enabled
from kernelforge.differences import gradient
from kernelforge.errors import ArgumentError, KindError
from kernelforge.io import load, save
from kernelforge.kernels import Device
from kernelforge.nn import functional
from kernelforge.shape import is_several, sequence
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import FUNCTIONS, shortcut
from kernelforge.tensor.generators import Generator
from kernelforge.tensor.printing import get_printoptions, set_printoptions
from kernelforge.tensor.results import Selected

Sizes = int | Sequence[int]
_NUMBER: Final = (int, float, complex)


def randint(
    low: int = 0, high: int | Sequence[int] | None = None, size: Sequence[int] | None = None, **options: Any
) -> Tensor:
    """Random integers from low, or 0, to below high: randint(high, size) or randint(low, high, size), int64.

    >>> randint(3, 5, (2, 2)).shape, randint(10, (4,)).dtype.name
    ((2, 2), 'int64')

    raises ArgumentError for other arguments; source: torch.randint
    """
    if size is None and is_several(high):
        high, size = None, high
    if high is None:
        low, high = 0, low
    if size is None or not (isinstance(low, int) and isinstance(high, int)):
        raise ArgumentError("randint() takes (high, size) or (low, high, size), the size being a tuple")
    return Tensor.randint(*size, low=low, high=high, **{"dtype": dtypes.int64, **options})


def normal(mean: float | Tensor, std: float | Tensor = 1.0, size: Sizes | None = None, **options: Any) -> Tensor:
    """Normally distributed random numbers; without a size one for each element of mean and std.

    >>> normal(Tensor([0.0, 100.0]), 0.5).shape
    (2,)

    raises ArgumentError when neither a size nor a tensor tells how many; source: torch.normal
    """
    if size is not None:
        return _spread(sequence(size), mean, std, options)
    tensors = [x for x in (mean, std) if isinstance(x, Tensor)]
    if not tensors:
        raise ArgumentError("normal() of two numbers needs a size: normal(mean, std, size=(2, 3))")
    shape = Tensor.broadcast_shapes(*[x.shape for x in tensors])
    options = {"dtype": tensors[0].dtype, "device": tensors[0].device, **options}
    return _spread(shape, mean, std, options)


def _spread(shape: Sequence[int], mean: float | Tensor, std: float | Tensor, options: dict[str, Any]) -> Tensor:
    """Normally distributed numbers, drawn and scaled by one kernel."""
    return (Tensor.randn(*shape, contiguous=False, **options) * std + mean).contiguous()


def max(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest element; along dim the largest and their int32 indices; of two tensors maximum().

    >>> max(Tensor([[1, 5], [7, 2]]), 0).indices.tolist()
    [1, 0]

    source: torch.max
    """
    return _extreme(input, dim, keepdim, other, "max")


def min(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest element; along dim the smallest and their int32 indices; of two tensors minimum().

    source: torch.min
    """
    return _extreme(input, dim, keepdim, other, "min")


def _extreme(x: Tensor, dim: int | Tensor | None, keepdim: bool, other: Any, which: str) -> Any:
    if not isinstance(x, Tensor):
        raise KindError(f"{which}() takes a Tensor first, got {type(x).__name__}; kernelforge.tensor(...) makes one")
    second = dim if isinstance(dim, Tensor) else other
    if second is not None:
        return getattr(x, f"{which}imum")(second)
    values = getattr(x, which)(dim, keepdim)
    return values if dim is None else Selected(values, getattr(x, f"arg{which}")(dim, keepdim))


def _check_operands(name: str, *operands: Any) -> None:
    """Raises KindError where all operands are Python's numbers."""
    if all(isinstance(operand, _NUMBER) for operand in operands):
        raise KindError(f"{name}() takes a Tensor, got two numbers; kernelforge.tensor(...) makes one")


def pow(input: Any, exponent: Any) -> Any:
    """input ** exponent; either may be a number; source: torch.pow."""
    _check_operands("pow", input, exponent)
    return input**exponent


def remainder(input: Any, other: Any) -> Any:
    """input % other, with the sign of other; either may be a number; source: torch.remainder."""
    _check_operands("remainder", input, other)
    return input % other


def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> Tensor:
    """nn.functional.batch_norm(), whose arguments are in another order; source: torch.batch_norm."""
    return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> Tensor:
    """nn.functional.instance_norm(), whose arguments are in another order; source: torch.instance_norm."""
    return functional.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def real(input: Tensor) -> Tensor:
    """The real part."""
    return input.real


def imag(input: Tensor) -> Tensor:
    """The imaginary part of complex numbers."""
    return input.imag


def device(type: str | int, index: int | None = None) -> str:
    """The one spelling of a device's name: device("cuda", 1), device("cuda:1"), device(1).

    >>> device("cpu")
    'CPU'

    raises DeviceError when there is no such device; source: torch.device, whose objects are strings here
    """
    name = f"cuda:{type}" if isinstance(type, int) else type
    return Device.canonicalize(name if index is None else f"{name}:{index}")


def get_default_dtype() -> DType:
    """The type of floats made of Python's numbers."""
    return dtypes.default_float


def set_default_dtype(d: DType | str) -> None:
    """Make d the type of floats made of Python's numbers.

    raises KindError when d is no floating-point type
    """
    found = as_dtype(d)
    if not found.is_float:
        raise KindError(f"the default type is one of floating-point numbers, got {found.name}")
    dtypes.default_float = found


_OWN: Final[dict[str, Any]] = {
    "inference_mode": inference_mode,
    **{thing.__name__: thing for thing in (
        batch_norm, instance_norm, randint, normal, max, min, pow, remainder, real, imag, device, finfo, iinfo,
        autocast, Generator, get_default_dtype, set_default_dtype, load, save, is_grad_enabled, set_grad_enabled,
        get_printoptions, set_printoptions, gradient,
    )},
}  # fmt: skip

_FIRST: Final = ("condition", "sorted_sequence", "data", "elements", "tensors", "A", "self", "input")
"""Names torch has for the first argument of functions that are methods here."""

_AS_FUNCTIONAL: Final = frozenset((
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "cosine_embedding_loss",
    "cosine_similarity", "hinge_embedding_loss", "kl_div", "margin_ranking_loss", "max_pool1d", "max_pool2d",
    "max_pool3d", "pairwise_distance", "selu", "triplet_margin_loss",
))  # fmt: skip
"""Methods whose arguments are in tinygrad's order: the function is the one of nn.functional, in torch's."""

_OF_NUMBERS: Final = frozenset((
    "add", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "bucketize",
    "copysign", "div",
    "divide", "float_power", "floor_divide", "fmod", "isin", "mul", "multiply", "rsub", "sub", "subtract",
    "true_divide", "xlogy",
))  # fmt: skip
"""Functions of two operands the first of which may be a number, too."""

_OF_TWO_NUMBERS: Final = frozenset((
    "add", "div", "divide", "floor_divide", "mul", "multiply", "sub", "subtract", "true_divide",
))  # fmt: skip
"""Those that both operands of may be numbers."""

_ROOMS: Final = (functional, nn, special)


def named(name: str) -> Any:
    """What kernelforge.name is.

    raises AttributeError
    """
    if name.startswith("_"):
        raise AttributeError(name)
    if name in _OWN:
        return _OWN[name]
    if name in func.__all__:
        return getattr(func, name)
    if name in _AS_FUNCTIONAL:
        return getattr(functional, name)
    if isinstance(kind := getattr(dtypes, name, None), DType) and not name.startswith("default"):
        return kind
    method = getattr_static(Tensor, name, None)
    if isinstance(method, classmethod | staticmethod):
        return _of_sizes(name)
    if isinstance(method, FUNCTIONS):
        return _of_tensors(name, method)
    for home in _ROOMS:
        if name in _functions(home):
            return getattr(home, name)
    raise AttributeError(name)


def names() -> list[str]:
    """All names that `named` knows."""
    types = [name for name, kind in vars(dtypes).items() if isinstance(kind, DType) and name[:7] != "default"]
    kinds = (classmethod, staticmethod, *FUNCTIONS)
    methods = [name for name in dir(Tensor) if name[0] != "_" and isinstance(getattr_static(Tensor, name), kinds)]
    return sorted({*_OWN, *func.__all__, *types, *methods, *[name for home in _ROOMS for name in _functions(home)]})


def _functions(room: ModuleType) -> list[str]:
    """The names of a room's functions, without those of classes and of rooms."""
    return [name for name in room.__all__ if isinstance(getattr(room, name), FUNCTIONS)]


def _number(value: complex, other: Any) -> Tensor:
    """A number as a tensor of the type it has beside another operand."""
    if not isinstance(other, Tensor):
        return Tensor(value)
    return Tensor.full((), value, dtype=beside(value, other.dtype), device=other.device)


def _of_sizes(name: str) -> Callable[..., Any]:
    """A method of the class as a function, whose shape, if it takes one, is `size` by name."""
    method: Callable[..., Any] = getattr(Tensor, name)
    first = next(iter(signature(method).parameters.values()), None)
    if first is None or first.name != "shape":
        return method

    @wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        return method(kwargs.pop("size"), *args, **kwargs) if "size" in kwargs else method(*args, **kwargs)

    return called


def _of_tensors(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """A method as a function of a tensor, or of a list of tensors, which may be named as torch names it; a number is a
    tensor of the type it has beside the second.
    """
    others = set(signature(method).parameters)
    names = [first for first in _FIRST if first not in others]

    @wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        if args and args[0].__class__ is Tensor:
            return method(*args, **kwargs) if kwargs else method(*args)
        if not args:
            args = next(((kwargs.pop(first),) for first in names if first in kwargs), ())
        if args and isinstance(args[0], _NUMBER) and name in _OF_NUMBERS:
            other = args[1] if len(args) > 1 else kwargs.get("other")
            if name not in _OF_TWO_NUMBERS:
                _check_operands(name, args[0], other)
            args = (_number(args[0], other), *args[1:])
        if not args or not isinstance(args[0], Tensor | list | tuple):
            given = type(args[0]).__name__ if args else "nothing"
            raise KindError(f"{name}() takes a Tensor first, got {given}; kernelforge.tensor(...) makes one")
        return method(*args, **kwargs)

    return shortcut(called, "kernelforge", name) if hasattr(called, "recipes") or hasattr(called, "views") else called
