"""Functions of SciPy that take array-API inputs, on matrices x and y of normal numbers and what is made of them."""

from scipy import differentiate, fft, integrate, linalg, ndimage, optimize, signal, spatial, special, stats
from scipy.cluster import hierarchy, vq
from scipy.spatial import distance
from scipy.spatial.transform import Rotation


def each(module, names, change=lambda x: (x,), **options):
    """Cases of functions of one module, named as they are, of what change() makes of the inputs."""
    return {
        f"{module.__name__}.{name}": lambda *given, name=name: getattr(module, name)(*change(*given), **options)
        for name in names.split()
    }


def statistic(found):
    return found.statistic


POSITIVE = """expit log_ndtr ndtr i0 i0e i1 i1e gammaln digamma erf erfc exp10 exp2 expm1 log1p cosm1 sinc cbrt entr
gamma rgamma j0 j1 k0 k1"""
PAIRS = "rel_entr kl_div xlogy xlog1py chdtr chdtrc gammainc gammaincc binom betaln poch huber boxcox"
ALONG = """zscore skew kurtosis variation sem tmean tvar tstd tmin tmax median_abs_deviation iqr kstat
skewtest kurtosistest normaltest jarque_bera circmean circvar circstd rankdata describe"""
SPREAD = "gmean hmean gstd gzscore entropy power_divergence chisquare"
TESTS = """ttest_ind ttest_rel pearsonr mannwhitneyu wilcoxon f_oneway bartlett levene fligner kruskal ansari mood
alexandergovern cramervonmises_2samp"""
FILTERS = """sobel prewitt laplace spline_filter center_of_mass maximum minimum sum_labels mean variance
standard_deviation median extrema"""
SIZED = """uniform_filter maximum_filter minimum_filter median_filter grey_dilation grey_erosion grey_opening
grey_closing white_tophat black_tophat morphological_gradient morphological_laplace"""

CASES = {
    **each(special, POSITIVE, lambda x, y: (abs(x) + 0.1,)),
    **each(special, PAIRS, lambda x, y: (abs(x) + 0.1, abs(y) + 0.1)),
    **each(special, "betainc betaincc", lambda x, y: (abs(x) + 1, abs(y) + 1, abs(x) / (1 + abs(x)))),
    **each(special, "logit ndtri", lambda x, y: (abs(x) / (1 + abs(x)),)),
    **each(special, "logsumexp softmax log_softmax", lambda x, y: (x,), axis=1),
    **each(fft, "fft ifft rfft hfft ihfft dct dst idct idst fft2 ifft2 rfft2 fftn ifftn rfftn dctn dstn fftshift",
           lambda x, y: (x,)),
    "fft.irfft": lambda x, y: fft.irfft(fft.rfft(x)),
    "fft.fht": lambda x, y: fft.fht(x, 0.1, 0.2),
    **each(stats, ALONG, lambda x, y: (x,)),
    "stats.moment": lambda x, y: stats.moment(x, 3),
    "stats.pmean": lambda x, y: stats.pmean(abs(x), 2),
    "stats.zmap": stats.zmap,
    "stats.trim_mean": lambda x, y: stats.trim_mean(x, 0.1),
    "stats.quantile": lambda x, y: stats.quantile(x, 0.3),
    "stats.ttest_1samp": lambda x, y: statistic(stats.ttest_1samp(x, 0.0)),
    **each(stats, SPREAD, lambda x, y: (abs(x) + 0.1,)),
    **{name: lambda x, y, case=case: statistic(case(x, y))
       for name, case in each(stats, TESTS, lambda x, y: (x[:, 0], y[:, 0])).items()},
    **each(stats, "combine_pvalues false_discovery_control", lambda x, y: (abs(x[:, 0]) / (1 + abs(x[:, 0])),)),
    **each(signal, "detrend hilbert hilbert2 wiener medfilt2d", lambda x, y: (x,)),
    **each(signal, "fftconvolve oaconvolve convolve correlate convolve2d correlate2d", lambda x, y: (x, y)),
    "signal.resample": lambda x, y: signal.resample(x, 20),
    "signal.resample_poly": lambda x, y: signal.resample_poly(x, 3, 2),
    "signal.savgol_filter": lambda x, y: signal.savgol_filter(x, 5, 2, axis=0),
    "signal.lfilter": lambda x, y: signal.lfilter(abs(x[0, :3]), abs(x[1, :3]) + 1, y),
    "signal.upfirdn": lambda x, y: signal.upfirdn(x[0, :3], y, 2),
    "signal.freqz": lambda x, y: signal.freqz(x[0], worN=8),
    **each(ndimage, FILTERS, lambda x, y: (x,)),
    **each(ndimage, SIZED, lambda x, y: (x, 3)),
    **each(ndimage, "gaussian_filter gaussian_laplace gaussian_gradient_magnitude", lambda x, y: (x, 1.0)),
    **each(ndimage, "binary_erosion binary_dilation", lambda x, y: (x > 0,)),
    "ndimage.shift": lambda x, y: ndimage.shift(x, (0.5, 1)),
    "ndimage.zoom": lambda x, y: ndimage.zoom(x, 2),
    "ndimage.rotate": lambda x, y: ndimage.rotate(x, 30.0),
    "vq.whiten": lambda x, y: vq.whiten(x),
    "vq.vq": vq.vq,
    "vq.kmeans": lambda x, y: vq.kmeans(x, y[:3]),
    "hierarchy.linkage": lambda x, y: hierarchy.linkage(x),
    "hierarchy.fcluster": lambda x, y: hierarchy.fcluster(hierarchy.linkage(x), 1.5),
    "hierarchy.cophenet": lambda x, y: hierarchy.cophenet(hierarchy.linkage(x)),
    "distance.pdist": lambda x, y: distance.pdist(x),
    "distance.euclidean": lambda x, y: distance.euclidean(x[0], y[0]),
    "Rotation.as_matrix": lambda x, y: Rotation.from_rotvec(x[:, :3]).as_matrix(),
    "Rotation.apply": lambda x, y: Rotation.from_quat(x[:, :4]).apply(y[:, :3]),
    "integrate.trapezoid": lambda x, y: integrate.trapezoid(x, axis=0),
    "integrate.cumulative_trapezoid": lambda x, y: integrate.cumulative_trapezoid(x, axis=0),
    "integrate.tanhsinh": lambda x, y: integrate.tanhsinh(lambda t: t**2, x[0] * 0, abs(x[0]) + 1).integral,
    "optimize.rosen": lambda x, y: optimize.rosen(x[0]),
    "optimize.rosen_der": lambda x, y: optimize.rosen_der(x[0]),
    "differentiate.derivative": lambda x, y: differentiate.derivative(lambda t: t**3, x[0]).df,
    "differentiate.jacobian": lambda x, y: differentiate.jacobian(lambda t: t**2, x[0]).df,
}  # fmt: skip

# Those that SciPy computes on the host: it asks for NumPy's array, and gives one.
HOST = {
    **{f"linalg.{name}": lambda x, y, name=name: getattr(linalg, name)(x.T @ x)
       for name in ["det", "inv", "pinv", "cholesky", "expm", "svdvals", "eigvalsh", "norm", "sqrtm"]},
    "distance.cdist": distance.cdist,
    "spatial.procrustes": lambda x, y: spatial.procrustes(x, y)[2],
    "signal.welch": lambda x, y: signal.welch(x[:, 0], nperseg=8),
    "stats.linregress": lambda x, y: tuple(stats.linregress(x[:, 0], y[:, 0])),
    "stats.kendalltau": lambda x, y: statistic(stats.kendalltau(x[:, 0], y[:, 0])),
    "integrate.simpson": lambda x, y: integrate.simpson(x, axis=0),
}  # fmt: skip
