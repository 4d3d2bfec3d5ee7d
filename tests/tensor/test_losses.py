"""Losses against their formulas, against torch, and gradients against finite differences."""

import numpy as np
import pytest

from kernelforge.errors import DTypeError, ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, assert_same, values

LOGITS, CLASSES = values(6, 5), np.array([0, 4, 2, 2, 1, 3])
DENSE, DENSE_CLASSES = values(2, 5, 3, 4), values(2, 3, 4, low=0, high=5, dtype=np.int32)
P, Q = values(4, 3, low=0.05, high=0.95), values(4, 3, seed=1, low=0.05, high=0.95)
W = values(5, low=0.5, high=2)


def _log_softmax(x):
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def test_cross_entropy(device):
    log, dense = _log_softmax(LOGITS.astype(np.float64)), _log_softmax(DENSE.astype(np.float64))
    nll = -log[np.arange(6), CLASSES]
    dense_nll = -np.take_along_axis(dense, DENSE_CLASSES[:, None], 1)[:, 0]
    smooth = 0.9 * nll - 0.1 * log.mean(1)
    w = W[CLASSES]
    mix = np.exp(log[::-1])
    x, t = Tensor(LOGITS), Tensor(CLASSES)
    kept = CLASSES != 2
    found = [
        x.cross_entropy(t),
        x.cross_entropy(t, "none"),
        x.cross_entropy(t, "sum"),
        x.cross_entropy(t, label_smoothing=0.1),
        x.cross_entropy(t, weight=Tensor(W)),
        x.cross_entropy(t, ignore_index=2),
        x.cross_entropy(Tensor(mix)),
        Tensor(DENSE).cross_entropy(Tensor(DENSE_CLASSES)),
        x[0].cross_entropy(t[0]),
        x.log_softmax().nll_loss(t),
        x.sparse_categorical_crossentropy(t),
        x.sparse_categorical_crossentropy(t, ignore_index=2, reduction="none"),
    ]
    expected = [
        nll.mean(),
        nll,
        nll.sum(),
        smooth.mean(),
        (nll * w).sum() / w.sum(),
        nll[kept].mean(),
        -(log * mix).sum(1).mean(),
        dense_nll.mean(),
        nll[0],
        nll.mean(),
        nll.mean(),
        nll * kept,
    ]
    assert_all_same(found, expected, rtol=1e-5)


def test_cross_entropy_against_torch(numpy_device):
    torch = pytest.importorskip("torch")
    function = torch.nn.functional.cross_entropy
    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.2):
            for weight in (None, W):
                options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": 3}
                expected = function(
                    torch.tensor(LOGITS), torch.tensor(CLASSES), None if weight is None else torch.tensor(W), **options
                )
                found = Tensor(LOGITS).cross_entropy(
                    Tensor(CLASSES), weight=None if weight is None else Tensor(W), **options
                )
                assert_same(found, expected.numpy())


def test_cross_entropy_of_large_logits(device):
    x = Tensor(np.array([[1e4, 0, -1e4], [-np.inf, 0, 0]], np.float32))
    assert_same(x.cross_entropy(Tensor([1, 2]), "none"), [1e4, np.log(2)])


LOSSES = {
    "mse_loss": (lambda p, q: (p - q) ** 2, {}),
    "l1_loss": (lambda p, q: np.abs(p - q), {}),
    "huber_loss": (
        lambda p, q: np.where(abs(p - q) <= 0.3, (p - q) ** 2 / 2, 0.3 * (abs(p - q) - 0.15)),
        {"delta": 0.3},
    ),
    "smooth_l1_loss": (lambda p, q: np.where(abs(p - q) <= 0.3, (p - q) ** 2 / 0.6, abs(p - q) - 0.15), {"beta": 0.3}),
    "kl_div": (lambda p, q: q * (np.log(q) - p), {}),
    "binary_crossentropy": (lambda p, q: -q * np.log(p) - (1 - q) * np.log(1 - p), {}),
    "binary_crossentropy_logits": (lambda p, q: np.log1p(np.exp(p)) - p * q, {}),
}


def test_elementwise_losses(device):
    found, expected = [], []
    for name, (formula, options) in LOSSES.items():
        for reduction, reduced in (("none", lambda x: x), ("mean", np.mean), ("sum", np.sum)):
            found.append(getattr(Tensor(P), name)(Tensor(Q), reduction=reduction, **options))
            expected.append(reduced(formula(P.astype(np.float64), Q.astype(np.float64))))
    assert_all_same(found, expected, rtol=2e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name, numpy_device):
    assert_gradient(lambda p, q: getattr(p, name)(q, **LOSSES[name][1]), P, Q)


def test_gradients_of_cross_entropy(numpy_device):
    t, w = Tensor(CLASSES), Tensor(W.astype(np.float64))
    assert_gradient(lambda x: x.cross_entropy(t), LOGITS)
    assert_gradient(lambda x: x.cross_entropy(t, label_smoothing=0.1, weight=w, ignore_index=2), LOGITS)
    assert_gradient(lambda x, y: x.cross_entropy(y.softmax()), LOGITS, values(6, 5, seed=2))
    assert_gradient(lambda x: x.cross_entropy(Tensor(DENSE_CLASSES)), DENSE)


def test_options(numpy_device):
    p, q = Tensor(P), Tensor(Q)
    factor = np.float32(3)
    x = P.astype(np.float64)
    softplus = np.log1p(np.exp(-x))
    assert_all_same(
        [
            p.binary_crossentropy_logits(q, "none", pos_weight=Tensor(factor)),
            p.log().kl_div(q.log(), log_target=True, reduction="sum"),
            p.kl_div(q, reduction="batchmean"),
            Tensor([0.0, 1.0]).binary_crossentropy(Tensor([0.0, 1.0])),
            p.smooth_l1_loss(q, beta=0),
        ],
        [
            3 * Q * softplus + (1 - Q) * (softplus + x),
            (Q * (np.log(Q) - np.log(P))).sum(),
            (Q * (np.log(Q) - P)).sum() / 4,
            0,
            np.abs(P - Q).mean(),
        ],
        rtol=2e-5,
    )


def test_errors():
    x = Tensor(LOGITS)
    with pytest.raises(ShapeError, match=r"shape \(6,\), got \(5,\)"):
        x.cross_entropy(Tensor([0, 1, 2, 3, 4]))
    with pytest.raises(DTypeError, match="classes are integers"):
        x.cross_entropy(Tensor([True] * 6))
    with pytest.raises(ShapeError, match="must be equal"):
        x.mse_loss(Tensor.zeros(5))
    with pytest.raises(ShapeError, match="class weights"):
        x.cross_entropy(Tensor(CLASSES), weight=Tensor.ones(4), label_smoothing=0.1)
    with pytest.raises(ValueError, match="reduction"):
        x.mse_loss(x, reduction="avg")
    with pytest.raises(ValueError, match="label_smoothing"):
        x.cross_entropy(Tensor(CLASSES), label_smoothing=2)


@pytest.mark.parametrize("classes", [[0, 4, 1], [0, -1, 1], [-4, 0, 1], [-100, -99, 1]])
def test_classes_out_of_range(classes, device):
    """Neither past the last class nor, as indices would, counted from the end; unless ignored."""
    logits, target = Tensor(values(3, 4)), Tensor(classes)
    with pytest.raises(IndexError, match=r"(?s)out of range.*test_losses.py:\d+"):
        logits.cross_entropy(target).item()
    with pytest.raises(IndexError, match="out of range"):
        logits.log_softmax().nll_loss(target, ignore_index=-100).item()
    allowed = logits.cross_entropy(Tensor([0, -1, 1]), ignore_index=-1).item()
    assert np.isfinite(allowed)


def test_classes_of_every_integer_type(numpy_device):
    logits = Tensor(values(2, 300))
    expected = logits.cross_entropy(Tensor([3, 100]), label_smoothing=0.1).item()
    for dtype in ("int8", "uint8", "uint32", "int64"):
        assert logits.cross_entropy(Tensor([3, 100], dtype=dtype), label_smoothing=0.1).item() == expected


@pytest.mark.parametrize(("probability", "target"), [(0.5, 1.5), (1.5, 0.5), (-0.1, 0.0), (0.5, -1.0), (np.nan, 1.0)])
def test_probabilities_are_from_0_to_1(probability, target, device):
    with pytest.raises(ValueError, match="from 0 to 1"):
        Tensor([0.5, probability]).binary_crossentropy(Tensor([0.5, target])).numpy()
    assert np.isfinite(Tensor([0.0, 1.0]).binary_crossentropy(Tensor([1.0, 0.5])).item())
