"""Differences from torch that are meant, with their reasons; docs/operations.md shows them.

Comes in: what a case of the matrix came to.  Goes out: the reason why it may be so, or None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from tests.parity.matrix import weaker
from tests.parity.matrix.calls import Case, raised
from tests.parity.matrix.slopes import measured, measured_factor, measured_hermitian


@dataclass(frozen=True)
class Kept:
    """A difference: operations and outcomes it covers, as patterns, and why it is kept.

    dtypes    element types, "" for all
    kinds     of case, as a pattern
    instead   what has to hold in torch's place
    """

    operations: str
    how: str
    why: str
    dtypes: str = ""
    kinds: str = ".*"
    instead: weaker.Check | None = None

    def covers(self, case: Case, how: str) -> bool:
        """Whether it speaks of a case and of what that came to."""
        fits = re.fullmatch(self.operations, case.name) or re.fullmatch(self.operations, case.op.name)
        typed = not self.dtypes or not case.dtype or case.dtype in self.dtypes.split()
        return bool(fits and typed and re.fullmatch(self.kinds, case.kind) and re.match(self.how, how))


PLACES: Final = re.compile(
    r"arg(max|min|sort|where)|sort|msort|topk|kthvalue|(nan)?median|mode|cum(max|min)|nonzero(_static)?|searchsorted|bucketize"
    r"|unique(_consecutive)?|bincount|nn\.functional\.(adaptive_|fractional_)?max_pool.*|arange|tri[lu]_indices|min|max"
    r"|unravel_index|multinomial"
)
KEPT: Final = [
    Kept(r".*", r"no error: .*(must be Tensor, not (int|float)|got \((int|float), Tensor\))",
         "numbers are taken wherever tensors are"),
    Kept(r".*", r"raised: TypeError: .* argument 'out' for", "results are new tensors: no function takes out="),
    Kept(r"_.*|torch\..*|native_.*"
         r"|jiterator.*|sparse\..*|masked\..*|to_sparse|hash_tensor|grid_sampler_.d"
         r"|native_dropout_backward|max_pool2d_with_indices_backward|signal\..*|(new_)?empty_(strided|permuted)"
         r"|slice", "missing",
         "functions that are not methods of torch's tensors, or of other memory layouts"),
    Kept(r"as_strided:partial_views", r"raised: ShapeError|values",
         "a tensor's own elements, not those beside a view's"),
    Kept(r".*", r"raised: DTypeError: -?\d+ does not fit", "an integer a type cannot hold: an error, as in NumPy"),
    Kept(r"arange", r"raised: OverflowError", "an integer a type cannot hold: an error, as in NumPy", "uint8 int8"),
    Kept(r"as_strided_scatter", r"values", "the gradient is 0 where elements were replaced; torch's is not",
         kinds=".*gradient", instead=measured),
    Kept(r"istft", r"values", "padded windows have gradients, too", kinds=".*gradient", instead=measured),
    Kept(r"svd_lowrank", r"values", "random projections of matrices of a higher rank", kinds="forward",
         instead=weaker.approximate),
    Kept(r"svd_lowrank", r"values", "random projections of matrices of a higher rank, at each call others",
         kinds=".*gradient"),
    Kept(r"arange", r"no error", "steps away from the end give no numbers, as in NumPy and tinygrad"),
    Kept(r"cholesky_(inverse|solve)", r"values", "the other triangle is not read: its gradient is 0",
         kinds=".*gradient", instead=measured_factor),
    Kept(r"(linalg\.)?cholesky(_ex)?", r"values", "the diagonal of a Hermitian matrix is real: so is its gradient",
         "complex128", "gradient", weaker.hermitian_part),
    Kept(r"(linalg\.)?cholesky(_ex)?", r"values", "the diagonal of a Hermitian matrix is real: so is its gradient",
         "complex128", "second gradient", measured_hermitian),
    Kept(r"nn\.functional\.linear_cross_entropy:chunked", r"values", "torch leaves out second gradients",
         kinds="second gradient", instead=measured),
    Kept(r"linalg\.norm:subgradients_at_zero", r"values: .* for (np\.float64\(nan|np\.complex128\(nan)",
         "second gradients at 0 are 0", kinds="second gradient"),
    Kept(r"(special\.)?bessel_[jy][01]", r"values", "accurate to the last digits, which torch's are not",
         instead=weaker.of_scipy),
    Kept(r"square", r".*", "x * x, as tinygrad's: bool stays bool", "bool"),
    Kept(r"any|all", r"type: bool for uint8", "truth is bool, as in NumPy, tinygrad and the array API", "uint8"),
    Kept(r"(special\.)?polygamma.*", r"values", "infinite at poles for all integers, of which torch's types disagree",
         "int8 int16"),
    Kept(r"(cumulative_)?trapezoid|trapz", r"values", "small integers are floats first: no difference wraps around",
         "uint8 int8 int16", "forward", weaker.as_floats),
    Kept(r"logcumsumexp", r"values", "phases are known up to whole turns", "complex64 complex128",
         instead=weaker.by_exponentials),
    Kept(r"where", r"type: int32 for int64", "of whole numbers alone it is of the default type, int32, as in tinygrad",
         "int64"),
    Kept(r"multinomial", r"no error: RuntimeError: multinomial only supports floating",
         "integers are weights, too, as in tinygrad"),
    Kept(r"mean", r"no error: RuntimeError: mean", "means of integers are floats, as in tinygrad"),
    Kept(r"neg", r"no error: RuntimeError: Negation", "of bool it is not, as in tinygrad", "bool"),
    Kept(r"view_as_complex|complex|fft\..*|stft|istft", r"raised: DTypeError: complex numbers of float16|.*complex32",
         "there are no complex numbers of float16", "float16"),
    Kept(r"linalg\.pinv:hermitian", r"values",
         "gradients are of the triangle that is read, torch's of the whole matrix",
         kinds=".*gradient", instead=measured),
]  # fmt: skip


def judged(case: Case, how: str, found: Any = None, expected: Any = None) -> str:
    """What a case came to: why a difference is kept, if it is and what has to hold instead does."""
    if not how or how.startswith("skipped"):
        return how
    for kept in KEPT:
        if kept.covers(case, how):
            try:
                wrong = kept.instead(case, found, expected) if kept.instead else ""
            except Exception as error:
                wrong = raised(error)
            return f"{how}; instead: {wrong}" if wrong else f"kept: {kept.why}"
    return how
