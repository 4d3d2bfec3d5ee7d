"""Modules: contents by name, modes, text, state; tensors of any object by name."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest

from kernelforge import Tensor, dtypes, nn
from kernelforge.nn.state import get_parameters, get_state_dict, load_state_dict
from kernelforge.nn.utils import clip_grad_norm_, clip_grad_value_


class Block(nn.Module):
    def __init__(self):
        self.norm = nn.BatchNorm(2)
        self.mix = [nn.Linear(2, 2), nn.Linear(2, 2, bias=False)]

    def forward(self, x):
        return self.mix[1](self.mix[0](self.norm(x)).relu())


class Net(nn.Module):
    def __init__(self):
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout(0.1))
        self.scale = Tensor([1.0], requires_grad=True)
        self.tied = self.scale

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x) * self.scale


BLOCK = [
    "norm.weight",
    "norm.bias",
    "norm.running_mean",
    "norm.running_var",
    "norm.num_batches_tracked",
    "mix.0.weight",
    "mix.0.bias",
    "mix.1.weight",
]


def test_names():
    net = Net()
    names = ["scale", "tied", *[f"blocks.{i}.{name}" for i in range(2) for name in BLOCK]]
    names += ["head.0.weight", "head.0.bias"]
    assert list(net.state_dict()) == names
    parameters = [name for name in names if "running" not in name and "num_" not in name and name != "tied"]
    assert [name for name, _ in net.named_parameters()] == parameters
    assert len(list(net.parameters())) == len(parameters) and len(list(net.buffers())) == 6
    assert len(get_parameters(net)) == len(names) - 1
    kinds = [type(module).__name__ for module in net.modules()]
    block = ["Block", "BatchNorm", "Linear", "Linear"]
    assert kinds == ["Net", "ModuleList", *block, *block, "Sequential", "Linear", "ReLU", "Dropout"]
    assert [name for name, _ in Block().named_children()] == ["norm", "mix.0", "mix.1"]


def test_text():
    assert repr(nn.Sequential(nn.Linear(1, 2), nn.ReLU())) == (
        "Sequential(\n  (0): Linear(in_features=1, out_features=2, bias=True)\n  (1): ReLU()\n)"
    )
    assert "(mix.0): Linear(in_features=2, out_features=2, bias=True)" in repr(Net())
    for module in (nn.Conv2d(1, 2, 3, stride=2), nn.GELU(), nn.MaxPool2d(2), nn.Embedding(2, 3), nn.RMSNorm(4)):
        assert repr(module).startswith(type(module).__name__ + "(")


def test_containers():
    layers = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), lambda x: x + 1)
    assert len(layers) == 3 and isinstance(layers[0], nn.Linear) and isinstance(layers[1:], nn.Sequential)
    assert layers(Tensor([[1.0]])).shape == (1, 2)
    modules = nn.ModuleList().extend([nn.ReLU()]).append(nn.Tanh())
    assert [type(m) for m in modules] == [nn.ReLU, nn.Tanh] and isinstance(modules[-1], nn.Tanh)
    with pytest.raises(NotImplementedError, match="ModuleList"):
        modules(Tensor([1.0]))


def test_modes():
    net, other = Net(), nn.Sequential(nn.Dropout(0.5))
    assert net.training and other[0].training and not other.eval()[0].training, "fresh modules train"
    with Tensor.train():
        assert net.training and not other.training
    assert not net.training, "the program uses Tensor.training: fresh modules follow"
    with Tensor.train():
        assert net.training
        assert not net.eval().blocks[0].norm.training
    assert net.train().head[2].training


def test_fresh_dropout_drops():
    x = Tensor.ones(1000)
    assert 0 < (nn.Dropout(0.5)(x) == 0).sum().item() < 1000
    Tensor.training = False
    assert (nn.Dropout(0.5)(x) == 1).all().item() and (nn.Dropout(0.5).train()(x) == 0).any().item()


def test_state_goes_in_and_out():
    first, second = Net().eval(), Net().eval()
    with pytest.raises(RuntimeError, match=r"size mismatch for head.0.bias: copying a param with shape torch.Size"):
        second.load_state_dict({**first.state_dict(), "head.0.bias": np.zeros(4)})
    assert repr(second.load_state_dict(first.state_dict())) == "<All keys matched successfully>"
    x = Tensor.randn(5, 2)
    np.testing.assert_array_equal(first(x).numpy(), second(x).numpy())
    second(x).sum().backward()
    assert second.head[0].weight.grad is not None and first.head[0].weight.grad is None
    state = {name: value.numpy() for name, value in first.state_dict().items()}
    del state["scale"]
    complaint = r'for Net:\n\tUnexpected key\(s\) in state_dict: "other". \n\tMissing key\(s\) in state_dict: "scale". '
    with pytest.raises(RuntimeError, match=complaint):
        second.load_state_dict({**state, "other": np.zeros(1)})
    with pytest.raises(KeyError, match="missing \\['scale'\\], unexpected \\['other'\\]"):
        load_state_dict(second, {**state, "other": np.zeros(1)})
    assert "scale" not in load_state_dict(second, state, strict=False)


def test_state_of_any_object():
    pair = namedtuple("pair", "left right")

    class Plain:
        def __init__(self):
            self.a = Tensor([1.0])
            self.items = [Tensor([2.0]), {"k": Tensor([3.0])}, pair(Tensor([4.0]), 5)]
            self.ordered = OrderedDict(x=Tensor([6.0]))
            self.me = self
            self.number = 7

    state = get_state_dict(Plain(), prefix="model")
    assert {name: t.item() for name, t in state.items()} == {
        "model.a": 1,
        "model.items.0": 2,
        "model.items.1.k": 3,
        "model.items.2.left": 4,
        "model.ordered.x": 6,
    }


def test_moving_and_casting():
    net = Net().to("NUMPY").to(dtypes.float16)
    assert {str(t.dtype) for t in net.parameters()} == {"float16"}
    assert str(net.blocks[0].norm.num_batches_tracked.dtype) == "int64"
    net(Tensor.randn(3, 2).half()).sum().backward()
    assert str(net.scale.grad.dtype) == "float16"


def test_freezing_and_forgetting_gradients():
    net = Net()
    net(Tensor.randn(3, 2)).sum().backward()
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.head.requires_grad_(False)
    assert not any(p.requires_grad for p in net.head.parameters()) and net.scale.requires_grad
    assert len(list(net.head.parameters())) == 2 and not list(net.head.buffers())
    visited = []
    net.apply(visited.append)
    assert visited[-1] is net


def test_gradient_limits():
    x, y = Tensor([3.0], requires_grad=True), Tensor([4.0, 0.0], requires_grad=True)
    (x * x / 2).sum().backward()
    (y * y / 2).sum().backward()
    assert clip_grad_norm_([x, y], 10.0).item() == pytest.approx(5)
    assert clip_grad_norm_([x, y], 1.0).item() == pytest.approx(5)
    np.testing.assert_allclose([*x.grad.tolist(), *y.grad.tolist()], [0.6, 0.8, 0], rtol=1e-5)
    clip_grad_value_([x, y], 0.7)
    np.testing.assert_allclose([*x.grad.tolist(), *y.grad.tolist()], [0.6, 0.7, 0], rtol=1e-5)
    assert clip_grad_norm_([Tensor([1.0])], 1.0).item() == 0


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
def test_gradient_norms(norm_type):
    shapes = [(3, 4), (5,), (2, 1, 3)]
    grads = [np.random.default_rng(i).normal(size=shape).astype(np.float32) for i, shape in enumerate(shapes)]
    params = [Tensor(np.zeros(g.shape, np.float32), requires_grad=True) for g in grads]
    for p, g in zip(params, grads):
        p.grad = Tensor(g)
    expected = np.linalg.norm(np.concatenate([g.reshape(-1) for g in grads]), norm_type)
    assert clip_grad_norm_(params, 0.5, norm_type).item() == pytest.approx(expected, rel=1e-5)
    for p, g in zip(params, grads):
        np.testing.assert_allclose(p.grad.numpy(), g * min(1, 0.5 / expected), rtol=1e-4, atol=1e-6)


def test_modules_get_memory_that_nobody_has_set():
    layer = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = {name: (x.shape, x.dtype) for name, x in layer.state_dict().items()}
    weight = layer[0].weight
    assert layer.to_empty(device="CPU") is layer
    assert {name: (x.shape, x.dtype) for name, x in layer.state_dict().items()} == before
    assert layer[0].weight is weight
    assert weight.requires_grad
