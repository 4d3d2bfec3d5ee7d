"""Estimators and functions of scikit-learn that take array-API inputs, on matrices x and y of normal numbers."""

from sklearn import decomposition, linear_model, metrics, mixture, model_selection, preprocessing
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics import pairwise
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline


def classes(x):
    return (x[:, 0] > 0) * 1


def share(x):
    return abs(x[:, 0]) / (1 + abs(x[:, 0]))


def each(module, names, change, **options):
    """Cases of functions of one module, of what change() makes of the inputs."""
    return {
        name: lambda *given, name=name: getattr(module, name)(*change(*given), **options) for name in names.split()
    }


SCALERS = """StandardScaler MinMaxScaler MaxAbsScaler Normalizer PolynomialFeatures Binarizer RobustScaler
PowerTransformer"""
CLASSES = """accuracy_score balanced_accuracy_score confusion_matrix f1_score hamming_loss jaccard_score precision_score
recall_score zero_one_loss multilabel_confusion_matrix cohen_kappa_score mutual_info_score adjusted_rand_score"""
SHARES = """brier_score_loss log_loss roc_curve roc_auc_score det_curve precision_recall_curve
average_precision_score"""
NUMBERS = """mean_squared_error r2_score mean_absolute_error mean_absolute_percentage_error max_error
explained_variance_score root_mean_squared_error median_absolute_error d2_absolute_error_score mean_pinball_loss
d2_tweedie_score"""
KERNELS = """additive_chi2_kernel chi2_kernel cosine_distances cosine_similarity euclidean_distances laplacian_kernel
linear_kernel manhattan_distances paired_cosine_distances paired_euclidean_distances paired_manhattan_distances
polynomial_kernel rbf_kernel sigmoid_kernel pairwise_distances"""

CASES = {
    **{name: lambda x, y, name=name: getattr(preprocessing, name)().fit_transform(x) for name in SCALERS.split()},
    "KernelCenterer": lambda x, y: preprocessing.KernelCenterer().fit_transform(x @ x.T),
    "LabelEncoder": lambda x, y: preprocessing.LabelEncoder().fit_transform(classes(x)),
    "LabelBinarizer": lambda x, y: preprocessing.LabelBinarizer().fit_transform(classes(x)),
    **{f"PCA {solver}": lambda x, y, solver=solver: abs(decomposition.PCA(2, svd_solver=solver).fit_transform(x))
       for solver in ("full", "covariance_eigh")},
    "Ridge": lambda x, y: linear_model.Ridge(solver="svd").fit(x, y[:, 0]).predict(x),
    "RidgeCV": lambda x, y: linear_model.RidgeCV().fit(x, y[:, 0]).predict(x),
    "RidgeClassifier": lambda x, y: linear_model.RidgeClassifier(solver="svd").fit(x, classes(x)).predict(x),
    "LinearRegression": lambda x, y: linear_model.LinearRegression().fit(x, y[:, 0]).predict(x),
    "LogisticRegression": lambda x, y: linear_model.LogisticRegression().fit(x, classes(x + y)).predict(x),
    "LinearDiscriminantAnalysis": lambda x, y: LinearDiscriminantAnalysis().fit(x, classes(x)).predict(x),
    "GaussianNB": lambda x, y: GaussianNB().fit(x, classes(x)).predict_proba(x),
    "GaussianMixture": lambda x, y: mixture.GaussianMixture(2, random_state=0, init_params="random").fit(x).means_,
    "Nystroem": lambda x, y: Nystroem(n_components=5, random_state=0).fit_transform(x),
    "CalibratedClassifierCV": lambda x, y: CalibratedClassifierCV(
        LinearDiscriminantAnalysis(), method="temperature", cv=2).fit(x, classes(x + y)).predict_proba(x),
    "pipeline": lambda x, y: make_pipeline(
        preprocessing.StandardScaler(), linear_model.Ridge(solver="svd")).fit(x, y[:, 0]).predict(x),
    "cross_val_predict": lambda x, y: model_selection.cross_val_predict(
        linear_model.Ridge(solver="svd"), x, y[:, 0], cv=3),
    "train_test_split": lambda x, y: tuple(model_selection.train_test_split(x, random_state=0)),
    "GridSearchCV": lambda x, y: model_selection.GridSearchCV(
        linear_model.Ridge(solver="svd"), {"alpha": [0.1, 1.0]}, cv=2).fit(x, y[:, 0]).best_score_,
    **each(metrics, CLASSES, lambda x, y: (classes(x), classes(y))),
    **each(metrics, SHARES, lambda x, y: (classes(x), share(y))),
    **each(metrics, NUMBERS, lambda x, y: (x[:, 0], y[:, 0])),
    **each(metrics, "mean_gamma_deviance mean_poisson_deviance mean_squared_log_error",
           lambda x, y: (abs(x[:, 0]) + 0.1, abs(y[:, 0]) + 0.1)),
    **each(pairwise, KERNELS, lambda x, y: (abs(x), abs(y))),
}  # fmt: skip

# Those that scikit-learn computes on the host, as it has no array-API form of them.
HOST = {
    "SplineTransformer": lambda x, y: preprocessing.SplineTransformer().fit_transform(x),
    "QuadraticDiscriminantAnalysis": lambda x, y: QuadraticDiscriminantAnalysis().fit(x, classes(x)).predict(x),
}
