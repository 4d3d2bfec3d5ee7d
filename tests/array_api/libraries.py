"""A library's functions on tensors and on NumPy's arrays, as a program: python -m tests.array_api.libraries NAME.

SciPy and scikit-learn read SCIPY_ARRAY_API when they are imported, so this is a program of its own.  It prints what
went wrong, by the names of cases, as one line of JSON.
"""

import importlib
import json
import sys
import warnings

import numpy as np

from kernelforge import Device, Tensor


def parts(found):
    """The arrays and numbers of a result."""
    return [part for one in found for part in parts(one)] if isinstance(found, list | tuple) else [found]


def wrong(case, x, y, host):
    """What is wrong about the results of tensors: values, or where they are."""
    expected, made = parts(case(x, y)), parts(case(Tensor(x), Tensor(y)))
    assert len(made) == len(expected)
    for one, other in zip(made, expected):
        on_host = not isinstance(one, Tensor)
        assert on_host == host or not isinstance(other, np.ndarray), type(one)
        if other is not None and not isinstance(other, str):
            np.testing.assert_allclose(one if on_host else one.numpy(), other, 1e-6, 1e-9)


def main(name):
    Device.DEFAULT = "NUMPY"
    warnings.simplefilter("ignore")
    cases = importlib.import_module(f"tests.array_api.{name}_cases")
    if name == "sklearn":
        importlib.import_module(name).set_config(array_api_dispatch=True)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 5)), rng.normal(size=(12, 5))
    found = {}
    for host, table in ((False, cases.CASES), (True, cases.HOST)):
        for title, case in table.items():
            try:
                wrong(case, x, y, host)
            except Exception as error:
                found[title] = f"{type(error).__name__}: {error}"[:600]
    print(json.dumps({"failed": found, "count": len(cases.CASES), "host": len(cases.HOST)}))


if __name__ == "__main__":
    main(sys.argv[1])
