"""reset_parameters() gives layers values as those they were made with."""

import numpy as np
import pytest

from kernelforge import Tensor, nn, no_grad

LAYERS = {
    "Linear": (lambda: nn.Linear(4, 300), 0.5), "Bilinear": (lambda: nn.Bilinear(4, 5, 60), 0.5),
    "Conv2d": (lambda: nn.Conv2d(4, 60, 2), 0.25), "ConvTranspose1d": (lambda: nn.ConvTranspose1d(60, 8, 2), 0.25),
    "LSTM": (lambda: nn.LSTM(30, 4, 2, proj_size=2), 0.5), "GRUCell": (lambda: nn.GRUCell(30, 4), 0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_uniform(name, numpy_device):
    make, bound = LAYERS[name]
    layer = make()
    with no_grad():
        for parameter in layer.parameters():
            parameter.fill_(7.0)
    layer.reset_parameters()
    sizes = np.concatenate([np.abs(parameter.numpy()).ravel() for parameter in layer.parameters()])
    assert bound * 0.9 < sizes.max() <= bound
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in layer.parameters())


@pytest.mark.parametrize("make", [
    lambda: nn.BatchNorm1d(3), lambda: nn.LayerNorm(3), lambda: nn.GroupNorm(1, 3), lambda: nn.RMSNorm(3),
    lambda: nn.PReLU(2, 0.5),
])  # fmt: skip
def test_constants(make, numpy_device):
    layer = make()
    before = {name: x.numpy() for name, x in layer.state_dict().items()}
    with no_grad():
        for parameter in layer.parameters():
            parameter.fill_(7.0)
    if isinstance(layer, nn.BatchNorm1d):
        layer(Tensor.randn(4, 3))
    layer.reset_parameters()
    assert all(np.array_equal(x.numpy(), before[name]) for name, x in layer.state_dict().items())


def test_tables(numpy_device):
    layer = nn.Embedding(50, 3, padding_idx=2)
    before = layer.weight.numpy()
    layer.reset_parameters()
    assert (layer.weight.numpy()[2] == 0).all()
    assert (layer.weight.numpy() != before).any()
