"""What ordinary programs look like: a type checker finds nothing wrong with it.  Nothing here is run."""

from __future__ import annotations

import numpy as np

from kernelforge import Tensor, dtypes, nn, no_grad, optim


class Net(nn.Module):
    """A model."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 8)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.layer(x)
        return hidden.relu().sum(dim=1, keepdim=True)


def reductions(x: Tensor) -> Tensor:
    y = x.sum(dim=1) + x.sum(axis=1, keepdims=True) + x.mean(dim=(0, 1)) + x.mean()
    y = y + x.softmax(dim=-1) + x.max(dim=1) + x.argmax(dim=1, keepdim=True) + x.norm(dim=1)
    y = y + x.cumsum(dim=1) + x.var(dim=1, correction=0) + x.quantile(0.5, dim=1) + x.median() + x.nanmedian()
    values, places = x.median(dim=1)
    values, places = x.sort(dim=0, descending=True)
    values, places = x.topk(3, dim=1)
    return y + values.gather(dim=1, index=places)


def shapes(x: Tensor, y: Tensor) -> Tensor:
    rows: int = x.size(0)
    sizes: tuple[int, ...] = x.size()
    y = Tensor.cat(x, y, dim=1).stack(y, dim=0).reshape(rows, -1).view(sizes).flip(dims=(0,))
    y = x.permute(1, 0).transpose(0, 1).unsqueeze(dim=0).squeeze(dim=0).split(2, dim=1)[0]
    y = x[0, :, None, ..., ::2] + x[x > 0] + x[y]
    x[0] = 1.0
    x[:, 1] += y
    return x.pad((1, 1), value=3.0).interpolate(size=(3, 3), mode="bilinear")


def elements(x: Tensor, y: Tensor) -> Tensor:
    y = 2 * x - x / 3 + x**2 - 2**x + -x @ x.T + x // 2 + x % 2 + np.float32(1)
    y = y.clamp(min=0, max=1).clip(0, 1).leaky_relu(negative_slope=0.2).where(x, 0)
    y += (x > 0).where(x, 0.0) + (x == y) + (x.to("CPU").to(dtypes.float16).cast("float32").float())
    for row in x:
        y = row + 1
    return y if (x > 0).all() else x


def choices(x: Tensor) -> Tensor:
    largest, places = x.max_pool2d(2, return_indices=True)
    distinct, counts = x.unique(return_counts=True)
    rows, columns = x.nonzero(as_tuple=True)
    both = largest + places + distinct + counts + rows + columns
    return both + x.max_pool2d(kernel_size=3, stride=2).relu() + x.unique() + x.nonzero()


def training() -> float:
    net = Net()
    optimizer = optim.Adam(net.parameters(), lr=1e-3)
    loss = Tensor(0.0)
    with Tensor.train():
        optimizer.zero_grad()
        loss = net(Tensor.rand(2, 4)).mean()
        loss.backward()
        optimizer.step()
    weight = Tensor.zeros(2, 3, dtype=dtypes.int32, requires_grad=True)
    with no_grad():
        array: np.ndarray = loss.numpy()
        assert weight.grad is not None and array.size
        weight.grad = weight.grad * 2
    return float(loss.item())
