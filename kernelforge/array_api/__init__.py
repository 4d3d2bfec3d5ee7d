"""The Python array API standard, version 2024.12, on tensors.

Comes in and goes out: tensors.  Nothing is computed but where a shape depends on values (unique, nonzero, masks) and
where Python asks for one.  Read `types.py` (element types and their promotion), `creation.py`, `elementwise.py`,
`manipulation.py`, `reductions.py`, `searching.py`, `linalg.py`, `fft.py`, `info.py`.

source  https://data-apis.org/array-api/2024.12/
"""

from math import e, inf, nan, pi

from codegen.dtypes import dtypes
from kernelforge.array_api import fft, linalg
from kernelforge.array_api.creation import (
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    meshgrid,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from kernelforge.array_api.elementwise import *  # noqa: F403
from kernelforge.array_api.elementwise import __all__ as _elementwise
from kernelforge.array_api.info import __array_namespace_info__
from kernelforge.array_api.linalg import matmul, matrix_transpose, tensordot, vecdot
from kernelforge.array_api.manipulation import (
    broadcast_arrays,
    broadcast_to,
    concat,
    expand_dims,
    flip,
    moveaxis,
    permute_dims,
    repeat,
    reshape,
    roll,
    squeeze,
    stack,
    tile,
    unstack,
)
from kernelforge.array_api.reductions import (
    all,
    any,
    count_nonzero,
    cumulative_prod,
    cumulative_sum,
    diff,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from kernelforge.array_api.searching import (
    argmax,
    argmin,
    argsort,
    nonzero,
    searchsorted,
    sort,
    take,
    take_along_axis,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
    where,
)
from kernelforge.array_api.types import astype, can_cast, finfo, iinfo, isdtype, result_type

__array_api_version__ = "2024.12"
VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")

newaxis = None
bool = dtypes.bool
int8, int16, int32, int64 = dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64
uint8, uint16, uint32, uint64 = dtypes.uint8, dtypes.uint16, dtypes.uint32, dtypes.uint64
float32, float64 = dtypes.float32, dtypes.float64
complex64, complex128 = dtypes.complex64, dtypes.complex128

__all__ = [
    "VERSIONS", "__array_api_version__", "__array_namespace_info__", "all", "any", "arange", "argmax", "argmin",
    "argsort", "asarray", "astype", "bool", "broadcast_arrays", "broadcast_to", "can_cast",
    "complex64", "complex128", "concat", "count_nonzero",
    "cumulative_prod", "cumulative_sum", "diff", "e", "empty", "empty_like", "expand_dims", "eye", "fft", "finfo",
    "flip", "float32", "float64", "from_dlpack", "full", "full_like", "iinfo", "inf", "int8", "int16", "int32",
    "int64", "isdtype", "linalg", "linspace", "matmul", "matrix_transpose", "max", "mean", "meshgrid", "min",
    "moveaxis", "nan", "newaxis", "nonzero", "ones", "ones_like", "permute_dims", "pi", "prod", "repeat", "reshape",
    "result_type", "roll", "searchsorted", "sort", "squeeze", "stack", "std", "sum", "take", "take_along_axis",
    "tensordot", "tile", "tril", "triu", "uint8", "uint16", "uint32", "uint64", "unique_all", "unique_counts",
    "unique_inverse", "unique_values", "unstack", "var", "vecdot", "where", "zeros", "zeros_like",
]  # fmt: skip
__all__ += list(_elementwise)
