"""Functions beside the tensor, the names and the types of results, against torch's."""

from typing import Any

import numpy as np
import pytest

import kernelforge

torch = pytest.importorskip("torch")

from kernelforge import Tensor, linalg  # noqa: E402
from kernelforge.nn import functional  # noqa: E402
from tests.parity import operations  # noqa: E402

RESULTS = {
    "sort": (), "topk": (1,), "kthvalue": (1,), "median": (1,), "nanmedian": (1,), "mode": (), "cummax": (0,),
    "min": (1,), "max": (1,), "cummin": (0,), "slogdet": (), "qr": (), "aminmax": (), "frexp": (), "geqrf": (),
    "triangular_solve": "x",
    "linalg.eigh": (), "linalg.eig": (), "linalg.slogdet": (), "linalg.qr": (), "linalg.svd": (), "linalg.lu": (),
    "linalg.lu_factor": (), "linalg.lu_factor_ex": (), "linalg.ldl_factor": (), "linalg.ldl_factor_ex": (),
    "linalg.inv_ex": (), "linalg.cholesky_ex": (), "linalg.solve_ex": "x", "linalg.lstsq": "x",
}  # fmt: skip
OTHER_VALUES = """qr linalg.qr linalg.eig linalg.eigh linalg.svd linalg.ldl_factor linalg.ldl_factor_ex
    linalg.lstsq"""


def called(home: Any, name: str, x: Any) -> Any:
    for part in name.split(".")[:-1]:
        home = getattr(home, part)
    arguments = RESULTS[name]
    return getattr(home, name.split(".")[-1])(x, *([x] if arguments == "x" else arguments))


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.filterwarnings("ignore")
def test_results_have_torchs_names(name: str) -> None:
    """And they mean the same, where there is one answer."""
    x = np.array([[4.0, 1.0], [1.0, 3.0]], dtype=np.float32)
    ours, theirs = called(kernelforge, name, kernelforge.tensor(x)), called(torch, name, torch.from_numpy(x))
    fields = type(theirs).__match_args__
    assert ours._fields == fields or set(ours._fields) == set(fields)
    for field in () if name in OTHER_VALUES.split() else fields:
        np.testing.assert_allclose(getattr(ours, field).numpy(), getattr(theirs, field).numpy(), rtol=1e-5, atol=1e-6)


def test_torchs_functions_are_functions_here() -> None:
    """Every one the table of operations lists, but for copies: what has memory of its own is none."""
    names = [name for name in operations.operations(torch) if operations.is_there(name, None)]
    missing = [name for name in names if not hasattr(kernelforge, name) and not name.endswith("_copy")]
    assert not missing


def test_the_module_of_tensors_makes_one() -> None:
    made = kernelforge.tensor([1, 2, 3], dtype=kernelforge.float64, requires_grad=True)
    assert made.dtype is kernelforge.float64 and made.requires_grad
    assert linalg.norm(made).item() == pytest.approx(14**0.5)


@pytest.mark.parametrize(
    "name",
    ["float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2", "complex64", "int8", "int64"],
)
def test_limits_of_types(name: str) -> None:
    which = "iinfo" if name.startswith("int") else "finfo"
    ours = getattr(kernelforge, which)(getattr(kernelforge, name))
    theirs = getattr(torch, which)(getattr(torch, name))
    fields = ("bits", "max", "min") if which == "iinfo" else (
        "bits", "max", "min", "eps", "tiny", "smallest_normal", "resolution")  # fmt: skip
    assert [getattr(ours, field) for field in fields] == [getattr(theirs, field) for field in fields]
    with pytest.raises(TypeError, match=name):
        getattr(kernelforge, "iinfo" if which == "finfo" else "finfo")(getattr(kernelforge, name))


def test_integers_stay_what_they_are() -> None:
    """Types of results torch does not widen, and norms of complex numbers with torch's small number."""
    x = np.array([[1, -2, 3]], np.int32)
    assert functional.hardtanh(Tensor(x)).dtype.name == "int32"
    assert functional.bilinear(Tensor(x), Tensor(x), Tensor(np.ones((2, 3, 3), np.int32))).dtype.name == "int32"
    z = np.array([[3 + 4j, 1 - 1j]], np.complex64)
    expected = torch.nn.functional.rms_norm(torch.tensor(z), (2,)).numpy()
    np.testing.assert_allclose(functional.rms_norm(Tensor(z), 2).numpy(), expected, 1e-6)
