"""SciPy's and scikit-learn's functions on tensors: results are tensors, with the values NumPy's arrays give.

Both libraries read SCIPY_ARRAY_API when they are imported, so a program of its own calls them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCIPY = """
from scipy import fft, ndimage, signal, special, stats
from scipy.cluster.vq import whiten
CASES = {
    "special": lambda x, y: [special.expit(x), special.logsumexp(x, axis=1), special.gammaln(abs(x) + 1),
                             special.xlogy(abs(x), abs(y)), special.erf(x), special.ndtr(x)],
    "fft": lambda x, y: [fft.fft(x), fft.rfft(x, axis=0), fft.irfft(fft.rfft(x)), fft.fftshift(x), fft.dct(x)],
    "stats": lambda x, y: [stats.zscore(x), stats.skew(x, axis=1), stats.kurtosis(x), stats.entropy(abs(x)),
                           stats.variation(x), stats.ttest_ind(x, y).pvalue, stats.pearsonr(x, y, axis=0).statistic],
    "signal": lambda x, y: [signal.detrend(x), signal.fftconvolve(x, y), signal.hilbert(x)],
    "ndimage": lambda x, y: [ndimage.gaussian_filter(x, 1.0), ndimage.uniform_filter(x, 3)],
    "cluster": lambda x, y: [whiten(x)],
}
"""
SKLEARN = """
import sklearn
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, mean_squared_error, r2_score
from sklearn.metrics.pairwise import cosine_similarity, rbf_kernel
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, PolynomialFeatures, StandardScaler
sklearn.set_config(array_api_dispatch=True)
def classes(x):
    return (x[:, 0] > 0) * 1
CASES = {
    "scaling": lambda x, y: [made().fit_transform(x) for made in (
        StandardScaler, MinMaxScaler, MaxAbsScaler, Normalizer, PolynomialFeatures)],
    "pca": lambda x, y: [abs(PCA(2, svd_solver="full").fit_transform(x))],
    "ridge": lambda x, y: [Ridge(solver="svd").fit(x, y[:, 0]).predict(x)],
    "classes": lambda x, y: [LinearDiscriminantAnalysis().fit(x, classes(x)).predict(x),
                             GaussianNB().fit(x, classes(x)).predict_proba(x)],
    "metrics": lambda x, y: [mean_squared_error(x, y), r2_score(x, y), accuracy_score(classes(x), classes(y)),
                             cosine_similarity(x, y), rbf_kernel(x, y)],
}
"""
RUN = """
import json, sys, warnings
import numpy as np
from kernelforge import Device, Tensor
Device.DEFAULT = "NUMPY"
exec(sys.argv[1])
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
x, y = rng.normal(size=(12, 5)), rng.normal(size=(12, 5))
found = {}
for name, case in CASES.items():
    try:
        for number, (one, other) in enumerate(zip(case(Tensor(x), Tensor(y)), case(x, y), strict=True)):
            assert isinstance(one, Tensor) or not isinstance(other, np.ndarray), f"{number}: {type(one)}"
            np.testing.assert_allclose(np.asarray(one), other, 1e-6, 1e-9, err_msg=str(number))
        found[name] = ""
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"[:600]
print(json.dumps(found))
"""


@pytest.mark.parametrize(("library", "cases"), [("scipy", SCIPY), ("sklearn", SKLEARN)])
def test_other_libraries(library: str, cases: str) -> None:
    pytest.importorskip(library, minversion="1.15" if library == "scipy" else "1.6")
    root = Path(__file__).parents[2]
    setting = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": str(root)}
    ran = subprocess.run([sys.executable, "-c", RUN, cases], capture_output=True, text=True, env=setting, check=False)
    assert ran.returncode == 0, ran.stderr
    failed = {name: told for name, told in json.loads(ran.stdout.splitlines()[-1]).items() if told}
    assert not failed
