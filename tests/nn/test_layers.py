"""Every layer against its torch namesake: names and shapes of parameters, values, gradients."""

import numpy as np
import pytest

from kernelforge import DTypeError, ShapeError, Tensor, dtypes, nn

torch = pytest.importorskip("torch")


def values(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


IMAGE, ROWS = values(2, 4, 6, 6), values(2, 3, 8)
LAYERS = {
    "Linear": (ROWS, (8, 5), {}),
    "Linear without bias": (ROWS, (8, 5), {"bias": False}),
    "Conv1d": (values(2, 4, 9), (4, 6, 3), {"padding": 1, "groups": 2}),
    "Conv3d": (values(2, 4, 3, 5, 4), (4, 6, 3), {"padding": 1, "groups": 2}),
    "Conv2d": (IMAGE, (4, 6, 3), {"stride": 2, "padding": 1, "dilation": 2}),
    "Conv2d same": (IMAGE, (4, 6, 3), {"padding": "same"}),
    "ConvTranspose1d": (values(2, 4, 5), (4, 6, 3), {"stride": 2, "output_padding": 1}),
    "ConvTranspose2d": (IMAGE, (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}),
    "BatchNorm1d": (values(6, 4), (4,), {}),
    "BatchNorm2d": (IMAGE, (4,), {"momentum": 0.3}),
    "BatchNorm2d plain": (IMAGE, (4,), {"affine": False}),
    "LayerNorm": (ROWS, (8,), {}),
    "LayerNorm of two axes": (ROWS, ((3, 8),), {"elementwise_affine": False}),
    "RMSNorm": (ROWS, (8,), {"eps": 1e-6}),
    "GroupNorm": (IMAGE, (2, 4), {}),
    "InstanceNorm2d": (IMAGE, (4,), {"affine": True}),
    "MaxPool2d": (IMAGE, (3,), {"stride": 2, "padding": 1}),
    "AvgPool2d": (IMAGE, (2,), {"ceil_mode": True}),
    "MaxPool1d": (ROWS, (2,), {}),
    "AvgPool1d": (ROWS, (3, 2), {}),
    "AdaptiveAvgPool2d": (IMAGE, (2,), {}),
    "Flatten": (IMAGE, (), {}),
    "Identity": (ROWS, (), {}),
    "ReLU": (ROWS, (), {}),
    "ReLU6": (ROWS, (), {}),
    "LeakyReLU": (ROWS, (0.2,), {}),
    "GELU": (ROWS, (), {}),
    "GELU tanh": (ROWS, (), {"approximate": "tanh"}),
    "SiLU": (ROWS, (), {}),
    "Sigmoid": (ROWS, (), {}),
    "Tanh": (ROWS, (), {}),
    "ELU": (ROWS, (0.5,), {}),
    "SELU": (ROWS, (), {}),
    "Softplus": (ROWS, (), {"beta": 2}),
    "Mish": (ROWS, (), {}),
    "Hardtanh": (ROWS, (-0.5, 0.7), {}),
    "Hardswish": (ROWS, (), {}),
    "Hardsigmoid": (ROWS, (), {}),
    "Softmax": (ROWS, (1,), {}),
    "LogSoftmax": (ROWS, (-1,), {}),
}


def same(tensor, expected, rtol=1e-4, atol=1e-4):
    np.testing.assert_allclose(tensor.numpy(), expected.detach().numpy(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    data, arguments, options = LAYERS[name]
    ours, theirs = (getattr(library, name.split()[0])(*arguments, **options) for library in (nn, torch.nn))
    state = theirs.state_dict()
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: tuple(v.shape) for k, v in state.items()}
    for key, value in state.items():
        if value.is_floating_point():
            value.copy_(torch.tensor(np.random.default_rng(len(key)).uniform(0.5, 1.5, tuple(value.shape))))
    ours.load_state_dict({key: value.numpy() for key, value in state.items()})
    ours.train()
    x, y = Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    found, expected = ours(x), theirs(y)
    weights = values(*expected.shape)
    (found * Tensor(weights)).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    same(found, expected)
    same(x.grad, y.grad, atol=1e-3)
    for (_, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        same(p.grad, q.grad, atol=1e-3)
    for key, value in theirs.state_dict().items():
        same(ours.state_dict()[key], value)
    same(ours.eval()(x), theirs.eval()(y))


def test_embedding():
    ours, theirs = nn.Embedding(7, 3, padding_idx=2), torch.nn.Embedding(7, 3, padding_idx=2)
    assert ours.weight.numpy()[2].tolist() == [0, 0, 0]
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    index = np.array([[0, 2, 6], [2, 0, 0]])
    found, expected = ours(Tensor(index)), theirs(torch.tensor(index))
    same(found, expected)
    found.square().sum().backward()
    (expected**2).sum().backward()
    same(ours.weight.grad, theirs.weight.grad)


def test_embedding_takes_every_integer_type_and_no_row_outside():
    rows = nn.Embedding(1000, 3)
    for dtype in ("uint8", "int8", "uint32", "int64"):
        assert np.array_equal(rows(Tensor([3, 0], dtype=dtype)).numpy(), rows.weight.numpy()[[3, 0]])
    for bad in (-1, 1000):
        with pytest.raises(IndexError, match="out of range"):
            rows(Tensor([0, bad])).numpy()
    with pytest.raises(DTypeError, match="integers"):
        rows(Tensor([0.5]))


@pytest.mark.parametrize("batch_first", [False, True])
def test_multihead_attention(batch_first):
    ours, theirs = (library.MultiheadAttention(8, 2, batch_first=batch_first) for library in (nn, torch.nn))
    assert set(ours.state_dict()) == set(theirs.state_dict())
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    q, kv = values(5, 5, 8), values(5, 5, 8) + 1
    causal = np.triu(np.ones((5, 5), bool), 1)
    padding = np.zeros((5, 5), bool)
    padding[:, -1] = True
    for options in ({}, {"attn_mask": causal}, {"key_padding_mask": padding}):
        found = ours(Tensor(q), Tensor(kv), Tensor(kv), **{name: Tensor(mask) for name, mask in options.items()})
        inputs = (torch.tensor(q), torch.tensor(kv), torch.tensor(kv))
        expected = theirs(*inputs, **{name: torch.tensor(mask) for name, mask in options.items()})
        same(found[0], expected[0])
        same(found[1], expected[1])
    assert ours(Tensor(q), need_weights=False)[1] is None
    same(ours(Tensor(q), is_causal=True)[0], theirs(*[torch.tensor(q)] * 3, attn_mask=torch.tensor(causal))[0])


LOSSES = {
    "CrossEntropyLoss": {"label_smoothing": 0.1},
    "NLLLoss": {},
    "MSELoss": {"reduction": "sum"},
    "L1Loss": {},
    "HuberLoss": {"delta": 0.5},
    "SmoothL1Loss": {"beta": 0.5},
    "KLDivLoss": {"reduction": "batchmean"},
    "BCELoss": {},
    "BCEWithLogitsLoss": {},
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    prediction, target = (np.random.default_rng(i).uniform(0.1, 0.9, (4, 5)).astype(np.float32) for i in range(2))
    if name in ("CrossEntropyLoss", "NLLLoss"):
        target = np.array([0, 4, 2, -100])
    ours, theirs = (getattr(library, name)(**LOSSES[name]) for library in (nn, torch.nn))
    same(ours(Tensor(prediction), Tensor(target)), theirs(torch.tensor(prediction), torch.tensor(target)), atol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda m: m.Linear(40, 60), lambda m: m.Conv2d(8, 9, 3), lambda m: m.ConvTranspose2d(8, 9, 3)]
)
def test_initial_values_have_torchs_range(make):
    torch.manual_seed(0)
    ours, theirs = make(nn), make(torch.nn)
    for name, parameter in ours.named_parameters():
        found, expected = np.abs(parameter.numpy()), theirs.state_dict()[name].abs().numpy()
        assert found.max() == pytest.approx(expected.max(), rel=0.25)
        assert found.mean() == pytest.approx(expected.mean(), rel=0.5)


def test_dropout_follows_the_mode():
    layer, x = nn.Dropout(0.5), Tensor.ones(100)
    assert layer(x) is x
    with Tensor.train():
        assert layer(x) is not x and layer.eval()(x) is x
    dropped = layer.train()(x).numpy()
    assert set(dropped.tolist()) == {0, 2}


def test_batch_norm_without_running_statistics():
    layer = nn.BatchNorm2d(4, track_running_stats=False)
    assert set(layer.state_dict()) == {"weight", "bias"}
    same(layer(Tensor(IMAGE)), torch.nn.BatchNorm2d(4, track_running_stats=False)(torch.tensor(IMAGE)))


@pytest.mark.parametrize("make", [nn.LayerNorm, nn.RMSNorm, lambda n: nn.Linear(n, 4)])
def test_narrow_floats_stay_narrow(make):
    half = make(8).to(dtypes.float16)
    assert str(half(Tensor(ROWS).half()).dtype) == "float16"


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Linear(3, 4), (2, 5), r"Linear\(3, 4, bias=True\) of \(2, 5\)"),
        (nn.Conv2d(3, 4, 3), (3, 8, 8), "2 spatial"),
        (nn.LayerNorm((2, 3)), (2, 2), "last dimensions"),
        (nn.RMSNorm(3), (2, 2), "last dimension"),
        (nn.BatchNorm2d(3), (2, 4, 2, 2), "dimension 1"),
        (nn.GroupNorm(2, 4), (2, 3), "dimension 1"),
    ],
)
def test_errors(layer, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer(Tensor.zeros(*shape))


def test_errors_of_sizes():
    for make in (lambda: nn.GroupNorm(3, 4), lambda: nn.Conv2d(3, 4, 1, groups=2), lambda: nn.MultiheadAttention(5, 2)):
        with pytest.raises(ShapeError, match="must divide"):
            make()
