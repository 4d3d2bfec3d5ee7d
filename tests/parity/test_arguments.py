"""Arguments by the names torch gives them, and backward() with its options."""

import numpy as np
import pytest

from kernelforge import Tensor

torch = pytest.importorskip("torch")

X, Y = np.arange(12, dtype=np.float32).reshape(3, 4), np.ones((4, 2), np.float32)
CALLS = {
    "split": lambda x, y: x.split(split_size=2)[1], "tensor_split": lambda x, y: x.tensor_split(sections=2, dim=1)[1],
    "hsplit": lambda x, y: x.hsplit(sections=2)[1], "topk": lambda x, y: x.topk(k=2, dim=1, sorted=True)[0],
    "swapaxes": lambda x, y: x.swapaxes(axis0=0, axis1=1), "unfold": lambda x, y: x.unfold(dimension=0, size=2, step=1),
    "expand": lambda x, y: x.expand(size=(2, 3, 4)), "permute": lambda x, y: x.permute(dims=(1, 0)),
    "view": lambda x, y: x.view(size=(4, 3)), "matmul": lambda x, y: x.matmul(other=y),
    "dot": lambda x, y: x[0].dot(tensor=y[:, 0]), "outer": lambda x, y: x[0].outer(vec2=y[0]),
    "fill_diagonal_": lambda x, y: x.T.clone().fill_diagonal_(7, wrap=True),
    "ldexp": lambda x, y: x.ldexp(other=y[:, 0]),
    "gather": lambda x, y: x.gather(dim=0, index=x[:1].argsort() * 0, sparse_grad=False),
    "fill_": lambda x, y: x.clone().fill_(value=3.0), "sum_to_size": lambda x, y: x.sum_to_size(1, 4),
    "copy_": lambda x, y: x.clone().copy_(x * 2, non_blocking=True), "clamp": lambda x, y: x.clamp(min=2, max=5),
    "narrow": lambda x, y: x.narrow(dim=1, start=1, length=2), "sum": lambda x, y: x.sum(dim=1, keepdim=True),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_names(name, numpy_device):
    found = CALLS[name](Tensor(X), Tensor(Y)).numpy()
    assert np.array_equal(found, CALLS[name](torch.tensor(X), torch.tensor(Y)).numpy())


def options(x, w):
    """The gradients after backward() with each option."""
    told = []
    y = (x**3 * w).sum()
    y.backward(retain_graph=True, inputs=[x])
    told += [x.grad.tolist(), w.grad is None]
    y.backward()
    told += [x.grad.tolist(), w.grad.tolist()]
    x.grad = w.grad = None
    (x**3 * w).sum().backward(create_graph=True)
    (x.grad * x.grad).sum().backward(inputs=x)
    return [*told, x.grad.tolist()]


def test_options_of_backward(numpy_device):
    ours = [Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 4.0], requires_grad=True)]
    theirs = [torch.tensor(part.tolist(), requires_grad=True) for part in ours]
    assert options(*ours) == options(*theirs)


def test_an_input_that_is_not_there(numpy_device):
    x, other = Tensor([1.0], requires_grad=True), Tensor([1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"does not depend on input 0 of \(1,\)"):
        x.sum().backward(inputs=[other])
