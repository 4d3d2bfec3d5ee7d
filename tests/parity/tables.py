"""All tables of cases.

Comes in: the tables of `cases.py` and the files beside it.  Goes out: one dictionary of them by name.
"""

from tests.parity.cases import ARITHMETIC, PICKS, REDUCTIONS, SHAPES
from tests.parity.cases_of_samples import PARTS, SAMPLES, SPECIAL

ALL_CASES = {
    "arithmetic": ARITHMETIC, "reductions": REDUCTIONS, "shapes": SHAPES, "picks": PICKS,
    "special functions": SPECIAL, "samples": SAMPLES, "parts": PARTS,
}  # fmt: skip
WITH_DIMENSIONS = {
    "transpose", "movedim", "unfold", "flipud", "index_add", "index_copy", "index_fill", "slice_scatter",
    "select_scatter", "diagonal_scatter", "index_put", "index_put added", "index_reduce prod", "index_reduce mean",
    "index_reduce amax", "index_reduce amin", "ldexp", "cov with weights",
}  # fmt: skip
