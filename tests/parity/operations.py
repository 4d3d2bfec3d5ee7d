"""Which of torch's operations a tensor has: docs/operations.md, written by `python -m tests.parity.operations`.

Comes in: the names of both libraries.  Goes out: a page that lists what there is, what differs, and what is missing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import torch

from kernelforge import Tensor
from tests.parity import tinygrad_names
from tests.parity.matrix import kept

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "operations.md"
PLACES: Final[dict[str, Any]] = {
    "Tensor": torch.Tensor, "nn.functional": torch.nn.functional, "linalg": torch.linalg, "special": torch.special,
}  # fmt: skip
NO_OPERATION: Final = """
    as_subclass boolean_dispatch assert_int_or_pair coalesce ccol_indices col_indices const_data_ptr
    crow_indices cuda data_ptr dense_dim dequantize dim_order get_device handle_torch_function has_torch_function
    has_torch_function_unary has_torch_function_variadic hash_tensor index indices int_repr ipu is_coalesced is_conj
    is_distributed is_inference is_neg is_pinned is_set_to is_shared module_load mtia pin_memory q_per_channel_axis
    q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point qscheme record_stream reinforce resolve_conj
    resolve_neg row_indices slice_inverse smm sparse_dim sparse_mask sspaddmm storage storage_offset storage_type
    to_dense to_mkldnn to_padded_tensor to_sparse to_sparse_bsc to_sparse_bsr to_sparse_coo to_sparse_csc to_sparse_csr
    type unsafe_chunk unsafe_split unsafe_split_with_sizes untyped_storage values xpu new new_empty_strided
    nonzero_static resize resize_as native_channel_shuffle multi_head_attention_forward symeig lu_solve
    conj_physical"""
OTHERWISE: Final = {
    "binary_cross_entropy_with_logits": "binary_crossentropy_logits()",
    "adaptive_max_pool1d_with_indices": "adaptive_max_pool1d(), without indices",
    "adaptive_max_pool2d_with_indices": "adaptive_max_pool2d(), without indices",
    "adaptive_max_pool3d_with_indices": "adaptive_max_pool3d(), without indices",
    "max_pool1d_with_indices": "max_pool2d((n,), return_indices=True)",
    "max_pool2d_with_indices": "max_pool2d(return_indices=True)",
    "max_pool3d_with_indices": "max_pool3d(return_indices=True)",
    "batch_norm": "batchnorm(), with given statistics; nn.BatchNorm2d keeps them",
    "upsample_bilinear": 'interpolate(mode="bilinear", align_corners=True)',
    "upsample_nearest": 'interpolate(mode="nearest")',
    "cholesky_ex": "cholesky()", "inv_ex": "inv()", "solve_ex": "solve()",
    "conv_tbc": "conv1d() of permuted dimensions",
}  # fmt: skip
DIFFERS: Final = {
    "max, min": "give values alone, as amax() and amin(), which are other names of them; argmax() gives places",
    "argmax, argsort, cummax, nonzero, sort, topk, ...": "places are int32",
    "lstsq": "gives the solution alone",
    "svd": "as torch.linalg.svd: the last result is V.T",
    "interpolate": "size, mode, align_corners, scale_factor in this order; linear by default",
    "x // 0, x % 0": "of integers by a zero in a tensor are 0; by the number 0 an error",
    "tensors without dimensions": "have as much to say about a result's type as any other",
    "inv, det, qr, svd, eigh, ...": "are computed by NumPy on the host, their gradients in tensor operations",
}
MISSING: Final = {
    "complex types": "cdouble cfloat chalf eig eigvals istft stft",
    "memory layouts other than row-major": "as_strided as_strided_scatter",
    "not yet: factors": """
        geqrf householder_product ldl_factor ldl_factor_ex ldl_solve lu lu_factor lu_factor_ex lu_solve
        orgqr ormqr tensorinv tensorsolve""",
    "not yet: bits of floats": "frexp nextafter",
    "not yet: special functions": """airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t
        chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w gammainc gammaincc hermite_polynomial_h
        hermite_polynomial_he igamma igammac laguerre_polynomial_l legendre_polynomial_p modified_bessel_k0
        modified_bessel_k1 scaled_modified_bessel_k0 scaled_modified_bessel_k1 shifted_chebyshev_polynomial_t
        shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w
        spherical_bessel_j0 zeta""",
    "not yet: losses and pooling": """ctc_loss multilabel_margin_loss triplet_margin_with_distance_loss
        fractional_max_pool2d fractional_max_pool2d_with_indices fractional_max_pool3d
        fractional_max_pool3d_with_indices lp_pool3d linear_cross_entropy""",
    "not yet: others": "embedding_bag feature_alpha_dropout grouped_mm rrelu scaled_grouped_mm scaled_mm",
}


MATRIX: Final = """The matrix (`pytest tests/parity/test_matrix.py --matrix full`) compares every operation of
torch's own database with torch: values, types, shapes, gradients and errors, in all types. What it lets pass:"""


def _kept() -> list[str]:
    """Rows of the differences the matrix lets pass."""
    rows = []
    for each in kept.KEPT:
        names = re.sub(r"[\\()$?]", "", each.operations.replace("|", ", ").replace(".*", "..."))
        if each.how != "missing":
            rows.append(f"| {names} | {each.dtypes.replace(' ', ', ') or 'all'} | {each.why} |")
    return rows


def functions(place: Any) -> list[str]:
    """The public functions of a class or module of torch, those in place apart."""
    names = [name for name in dir(place) if name.islower() and name[0] != "_" and name[-1] != "_"]
    found = [(name, getattr(place, name, None)) for name in names]
    return [name for name, function in found if callable(function) and not isinstance(function, type)]


def unexplained() -> list[str]:
    """torch's operations that are neither there nor listed as missing."""
    listed = {*" ".join(MISSING.values()).split(), *NO_OPERATION.split(), *OTHERWISE}
    names = [name for place in PLACES.values() for name in functions(place)]
    return [name for name in names if not hasattr(Tensor, name) and name not in listed]


def text() -> str:
    """The page."""
    about = "Written by `python -m tests.parity.operations`: torch's operations, and what a tensor has of them."
    lines = ["# Operations", "", about, ""]
    seen: set[str] = set(NO_OPERATION.split())
    for title, place in PLACES.items():
        found = [name for name in functions(place) if hasattr(Tensor, name) and name not in seen]
        seen.update(found)
        lines += [f"## torch.{title}: has {len(found)}", "", ", ".join(f"`{name}`" for name in found), ""]
    lines += tinygrad_names.lines()
    lines += ["## Differs", "", "| operation | how |", "| --- | --- |"]
    lines += [f"| {name} | {how} |" for name, how in DIFFERS.items()]
    lines += ["", MATRIX, "", "| operation | types | how |", "| --- | --- | --- |", *_kept()]
    lines += ["", "## By another name", "", "| torch's | here |", "| --- | --- |"]
    lines += [f"| `{name}` | `{how}` |" for name, how in OTHERWISE.items()]
    lines += ["", "## Missing", "", "| reason | operations |", "| --- | --- |"]
    for reason, names in MISSING.items():
        left = [name for name in names.split() if not hasattr(Tensor, name)]
        if left:
            lines.append(f"| {reason} | {', '.join(f'`{name}`' for name in left)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(text())
