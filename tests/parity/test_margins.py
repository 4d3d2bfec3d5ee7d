"""Losses with margins and distributions give torch's values and gradients."""

import numpy as np
import pytest

from kernelforge import ShapeError, Tensor
from tests.parity.checks import assert_gradients_equal

torch = pytest.importorskip("torch")
F = torch.nn.functional
RNG = np.random.default_rng(0)
X, Y, Z = (RNG.normal(size=(4, 5)) for _ in range(3))
SIGNS, CLASSES = np.array([1.0, -1.0, -1.0, 1.0]), np.array([0, 4, 2, 2])
ALL_SIGNS = np.sign(Y)
CASES = [
    ("hinge_embedding_loss", (X,), (ALL_SIGNS,), {"margin": 0.5}),
    ("margin_ranking_loss", (X, Y), (ALL_SIGNS,), {"margin": 0.3}),
    ("soft_margin_loss", (X,), (ALL_SIGNS,), {}),
    ("cosine_embedding_loss", (X, Y), (SIGNS,), {"margin": -0.2}),
    ("triplet_margin_loss", (X, Y, Z), (), {}),
    ("triplet_margin_loss", (X, Y, Z), (), {"p": 1.0, "swap": True, "margin": 2.0}),
    ("multi_margin_loss", (X,), (CLASSES,), {}),
    ("multi_margin_loss", (X,), (CLASSES,), {"p": 2, "margin": 0.4, "weight": np.abs(Y[0])}),
    ("multilabel_soft_margin_loss", (X,), ((Y > 0) * 1.0,), {"weight": np.abs(Y[0])}),
    ("poisson_nll_loss", (X,), (np.abs(Y) * 3,), {"full": True}),
    ("poisson_nll_loss", (np.abs(X),), (np.abs(Y),), {"log_input": False}),
    ("gaussian_nll_loss", (X, Y, np.abs(Z)), (), {"full": True}),
    ("gaussian_nll_loss", (X, Y, np.abs(Z[:, :1])), (), {"eps": 0.5}),
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_losses(case, reduction, numpy_device):
    name, inputs, targets, options = case

    def loss(*tensors):
        kind = Tensor if isinstance(tensors[0], Tensor) else torch.tensor
        named = {key: kind(value) if isinstance(value, np.ndarray) else value for key, value in options.items()}
        rest = [kind(target) for target in targets]
        if kind is Tensor:
            return getattr(tensors[0], name)(*tensors[1:], *rest, reduction=reduction, **named)
        return getattr(F, name)(*tensors, *rest, reduction=reduction, **named)

    assert_gradients_equal(loss, *inputs)


def test_refused(numpy_device):
    with pytest.raises(ShapeError, match=r"\[N, C\]"):
        Tensor(X).multi_margin_loss(Tensor(CLASSES[:2]))
    with pytest.raises(IndexError, match="0 <= index < 5"):
        Tensor(X).multi_margin_loss(Tensor([0, 5, 1, 1])).numpy()
