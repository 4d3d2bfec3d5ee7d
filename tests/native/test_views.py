"""Views and changes in place are the same whether C makes them again or Python does, and mean what NumPy's do."""

import gc
import random
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from kernelforge import Context, Tensor, no_grad
from kernelforge.calls import memory_forms
from kernelforge.errors import ShapeError, StateError
from kernelforge.native import compiled
from kernelforge.tensor import registry

SHAPES = [(), (1,), (0, 3), (7,), (1, 5), (2, 3, 4), (4, 6), (24,)]
TYPES = ["float32", "int32", "float64", "uint8"]
ITEMS = (slice(None), slice(None, None, -1), slice(0, None, 2), slice(1, None), 0, -1, None)


def ways(rng: random.Random, shape: tuple[int, ...]) -> tuple[str, tuple[Any, ...]]:
    """A random method that gives a view of an array of a shape, with its arguments, as NumPy has them."""
    turned = tuple(range(len(shape)))[::-1]
    index: list[Any] = []
    taken = 0
    while taken < len(shape):
        item = rng.choice(ITEMS)
        if isinstance(item, int) and not shape[taken]:
            item = slice(None)
        index.append(item)
        taken += item is not None
    index.insert(rng.randrange(len(index) + 1), Ellipsis)
    size = int(np.prod(shape))
    return rng.choice([
        ("T", ()), ("reshape", shape[::-1] or ((),)), ("reshape", (shape[::-1],)), ("reshape", ([*shape, 1],)),
        ("reshape", (-1,) if size else (0,)), ("transpose", (turned,)), ("__getitem__", (tuple(index),)),
        ("__getitem__", (rng.choice((..., slice(None), None)) if shape else ...,)), ("squeeze", ()),
    ])  # fmt: skip


def seen(x: Any, way: tuple[str, tuple[Any, ...]]) -> Any:
    name, arguments = way
    if name == "T":
        return x.T
    if name == "transpose" and isinstance(x, Tensor):
        return x.permute(*arguments)
    if name == "__getitem__":
        return x[arguments[0]]
    return getattr(x, name)(*arguments)


def change(rng: random.Random, x: Tensor, y: NDArray) -> None:
    """The same random change of both."""
    value = rng.randint(1, 9)
    kind = rng.randrange(6)
    if kind == 0:
        x += value
        y += np.asarray(value, y.dtype)
    elif kind == 1:
        x.mul_(value)
        y *= np.asarray(value, y.dtype)
    elif kind == 2:
        x.clamp_(2, 40)
        y[...] = np.clip(y, 2, 40)
    elif kind == 3:
        x.zero_()
        y[...] = 0
    elif kind == 4:
        x.copy_(Tensor(np.full(y.shape, value, np.int16)))
        y[...] = value
    else:
        x[...] = value
        y[...] = value


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_as_in_numpy(seed: int) -> None:
    rng = random.Random(seed)
    kind = rng.choice(TYPES)
    start = (np.arange(24) % 19).astype(kind)
    start = np.resize(start, rng.choice(SHAPES))
    with Context(DEVICE="NUMPY"):
        ours, theirs = [Tensor(start)], [start.copy()]
        for _ in range(rng.randint(4, 30)):
            i = rng.randrange(len(ours))
            step = rng.random()
            if step < 0.5:
                way = ways(rng, theirs[i].shape)
                ours.append(seen(ours[i], way))
                theirs.append(np.asarray(seen(theirs[i], way)) if theirs[i].ndim else seen(theirs[i], way)[...])
            elif step < 0.85:
                change(rng, ours[i], theirs[i])
            elif step < 0.95 and len(ours) > 1:
                del ours[i], theirs[i]
            else:
                ours[i].realize()
        for x, y in zip(ours, theirs, strict=True):
            assert x.dtype.name == kind
            np.testing.assert_array_equal(x.numpy(), y)


PARTS: list[Any] = [
    0, -1, slice(1, 3), (slice(None), 1), (slice(None), slice(None, None, 2)), (..., slice(2, None)),
    (slice(-1, None), slice(1, 2)), slice(None, None, -1), None,
]  # fmt: skip


@pytest.mark.parametrize("seed", range(30))
def test_parts_that_change_in_place_again_and_again(seed: int) -> None:
    """Views that live for one change, as those of x[i] += 1, or for several, of a tensor and of views of it."""
    rng = random.Random(seed)
    theirs = [np.arange(24, dtype=np.float32).reshape(4, 6)]
    with Context(DEVICE="NUMPY"):
        ours = [Tensor(theirs[0].copy())]
        for _ in range(80):
            i, part, step = rng.randrange(len(ours)), rng.choice(PARTS), rng.random()
            if ours[i].ndim < 2 or min(ours[i].shape) < 2:
                part = rng.choice((..., slice(None, None, -1), slice(None, -1)))
            if step < 0.3:
                change(rng, ours[i][part], theirs[i][part])
            elif step < 0.5:
                ours[i][part] += 2
                theirs[i][part] += 2
            elif step < 0.6:
                change(rng, ours[i].T, theirs[i].T)
            elif step < 0.7 and np.shape(theirs[i][part]) and len(ours) < 4:
                ours.append(ours[i][part])
                theirs.append(theirs[i][part])
            elif step < 0.8:
                change(rng, ours[i], theirs[i])
            elif step < 0.9 and len(ours) > 1:
                del ours[i], theirs[i]
            else:
                ours[i].realize()
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x.numpy(), y)


@pytest.mark.skipif(compiled is None, reason="there is no C module to compare with")
def test_a_part_that_changed_before_is_one_more_node() -> None:
    x, values = Tensor(np.zeros((4, 6), np.float32)), np.zeros((4, 6), np.float32)
    with Context(EAGER=0):
        for _ in range(3):
            before = x._node
            x[1:3].add_(1)
            values[1:3] += 1
            assert x._node.op == "call"
            assert x._node.src[0] is before
            x[1:3] += 1
            values[1:3] += 1
    np.testing.assert_array_equal(x.numpy(), values)


@pytest.mark.parametrize("seed", range(20))
def test_gradients_through_parts_that_change_as_in_torch(seed: int) -> None:
    """Of tensors that gradients flow through, that they begin to flow through, and that are detached."""
    torch = pytest.importorskip("torch")
    rng = random.Random(seed)
    start = np.random.default_rng(seed).standard_normal((4, 6)).astype(np.float32)
    leaves = Tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    plan = [(rng.choice(PARTS[:-2]), rng.randrange(5)) for _ in range(8)]  # torch has no negative steps
    results = []
    for leaf, zeros in zip(leaves, (Tensor.zeros(4, 6), torch.zeros(4, 6))):
        x, constant = leaf * 2, zeros + 1
        y = zeros + 3
        for part, kind in plan * 2:
            if kind == 0:
                x[part].mul_(1.5)
            elif kind == 1:
                x[part] += constant[part]
            elif kind == 2:
                y[part].add_(leaf[part])
            elif kind == 3:
                constant[part].add_(0.5)
            else:
                x.T.sub_(0.25)
        (x * y * (x + constant.detach())).sum().backward()
        results.append((x.detach(), y.detach(), leaf.grad))
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), 1e-4, 1e-4)


CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("reshape", (3, 8)), ("reshape", ([8, 3],)), ("reshape", ((-1,),)), ("reshape", (2, None, -1)), ("flatten", (1,)),
    ("permute", (2, 0, 1)), ("permute", ((0, 1, 2),)), ("transpose", ()), ("transpose", (0, -1)), ("movedim", (0, 2)),
    ("unsqueeze", (1,)), ("squeeze", ()), ("expand", (5, 2, 3, 4)), ("expand", ((-1, -1, 4),)), ("ravel", ()),
    ("__getitem__", (0,)), ("__getitem__", ((0, slice(None, None, -2)),)), ("__getitem__", (slice(1, None),)),
    ("__getitem__", ((None, ..., 1),)), ("__getitem__", ([0, 1],)), ("__getitem__", ((0, 1, 2),)),
    ("__getitem__", (True,)), ("__getitem__", (np.int64(1),)), ("swapaxes", (0, 1)), ("unflatten", (2, (2, 2))),
]  # fmt: skip


@pytest.mark.skipif(compiled is None, reason="there is no C module to compare with")
@pytest.mark.parametrize(("name", "arguments"), CALLS)
@pytest.mark.parametrize("tracked", [False, True])
def test_what_is_made_again_is_what_python_makes(name: str, arguments: tuple[Any, ...], tracked: bool) -> None:
    method = getattr(Tensor, name)
    plain: Any = getattr(method, "__wrapped__", method)
    x = Tensor(np.arange(24, dtype=np.float32).reshape(2, 3, 4), requires_grad=tracked or None).sin()
    for base in (x, x, x.permute(0, 1, 2), x[:, :, :]):
        for _ in range(3):  # the first is not known, the second begins with a tensor that has a family
            ours, theirs = method(base, *arguments), plain(base, *arguments)
            assert ours.shape == theirs.shape
            assert ours._tracked is theirs._tracked
            places = [getattr(y, "_place", None) for y in (ours, theirs)]
            assert (places[0] is None) == (places[1] is None)
            if places[0] is not None and places[1] is not None:
                assert memory_forms([ours._node]) == memory_forms([theirs._node])
                assert tracked != (ours._node is theirs._node)  # gradients tell them apart
                assert places[0].steps == places[1].steps
                assert places[0].family is places[1].family


class Named(Tensor):
    """A class of tensors whose views are others'."""

    def permute(self, *order: Any, dims: Any = None) -> Any:
        """Never exchanged."""
        return super().permute(*range(self.ndim))


def test_views_are_of_their_own_class_and_by_its_methods() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    for _ in range(3):
        assert Tensor(values).movedim(0, 1).shape == (3, 2)
        other = Named(values)
        assert other.movedim(0, 1).shape == (2, 3)
        assert type(other.T) is Named
        assert type(other[0]) is Named


def test_many_views_of_one_tensor_are_forgotten_with_them() -> None:
    x = Tensor(np.zeros(3, np.float32))
    first = x[:2]
    for _ in range(200):
        x.reshape(3, 1)
    assert len(x._place.family._members) < 40
    first += 1
    np.testing.assert_array_equal(x.numpy(), [1, 1, 0])


def test_no_change_of_leaves() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(StateError, match="leaf"):
        x.add_(1)
    with pytest.raises(StateError, match="leaf"):
        x[0].add_(1)
    with no_grad():
        x.add_(1)
        x[0].add_(1)
    assert x.tolist() == [3, 3]
    assert x.requires_grad


def test_what_gradients_go_through_after_a_change() -> None:
    a, b = (Tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    y = a * 1
    y.mul_(b)
    y.mul_(y)
    y.sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    assert a.grad.tolist() == [2, 16]
    assert b.grad.tolist() == [2, 16]
    w = Tensor([1.0, 2.0])
    w.copy_(a)
    assert w.requires_grad
    w.zero_()
    assert not w.requires_grad


def test_errors_are_pythons() -> None:
    x = Tensor([1, 2, 3])
    for wrong in (lambda: x.add_(Tensor([1.0, 2.0])), lambda: x.add_(0.5), lambda: cast(Any, x).add_(), lambda: x[5]):
        with pytest.raises((TypeError, ValueError, IndexError)):
            wrong()
    assert x.tolist() == [1, 2, 3]
    x.add_(other=Tensor([1, 1, 1]), alpha=2)
    assert x.tolist() == [3, 4, 5]


def test_who_waits_is_known_as_long_as_it_lives() -> None:
    x, y = Tensor([1.0]).realize(), Tensor([2.0]).realize()
    x.add_(1)
    y.add_(1)
    assert registry.pending[id(x)] is x
    number = id(x)
    for other in registry.pending.values():  # one that goes meanwhile changes nothing that is gone through
        if other is x:
            del x, other
            break
    gc.collect()
    assert all(value is not None for value in registry.pending.values())
    assert number not in registry.pending
    y.realize()
    assert id(y) not in registry.pending


def test_one_that_goes_while_others_are_gone_through() -> None:
    tensors = [Tensor([float(i)]).realize() for i in range(6)]
    for tensor in tensors:
        tensor.add_(1)
    names = {id(tensor) for tensor in tensors}
    del tensor
    met = [tensors.clear() for _ in registry.pending.values()]
    gc.collect()
    assert met
    assert not names & set(registry.pending.keys())


def test_constants_stay_where_the_changed_tensor_is() -> None:
    for device in ("NUMPY", "CPU", "NUMPY"):
        x = Tensor([1.0, 2.0], device=device).realize()
        x.zero_()
        x.add_(Tensor([1.0, 1.0], device=device))
        assert (x.device, x.tolist()) == (device, [1, 1])
        x.fill_(3)
        assert (x.device, x.realize().device, x.tolist()) == (device, device, [3, 3])


@pytest.mark.parametrize("seed", range(40))
def test_parts_become_values_as_in_numpy(seed: int) -> None:
    rng = random.Random(seed)
    shape = rng.choice([shape for shape in SHAPES if shape])
    kind = rng.choice([*TYPES, "bool", "float16"])
    y = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    x = Tensor(y.copy())
    whole = x.reshape(-1) if rng.random() < 0.5 else None
    index = tuple([rng.choice(ITEMS[:4]) if not n or rng.random() < 0.6 else rng.choice((0, -1)) for n in shape])
    index = rng.choice([index, (Ellipsis, *index[-1:]), (None, *index), Ellipsis, slice(None), index[0], index[:1]])
    past, before = x * 1 if kind != "bool" else x | False, y.copy()
    for i in range(6):
        part = y[index]
        value: Any = rng.choice([1, 0.0, -0.0, 2.5 if kind != "bool" else True, "tensor", "row", "view", "other type"])
        if isinstance(value, str) and value != "view":
            source = np.asarray((part if value == "tensor" else part[..., :1] if part.ndim else part) * 0 + i, kind)
            x[index] = Tensor(source if value != "other type" else source.astype("int64"))
            y[index] = source
        elif value == "view":
            x[index] = x[index]
        else:
            x[index] = value
            y[index] = value
        np.testing.assert_array_equal(x.numpy(), y)
        np.testing.assert_array_equal(np.signbit(x.numpy()), np.signbit(y)) if y.dtype.kind == "f" else None
        if whole is not None:
            np.testing.assert_array_equal(whole.numpy(), y.reshape(-1))
    np.testing.assert_array_equal(past.numpy(), before)


def test_parts_that_cannot_become_values_are_errors_each_time() -> None:
    leaf, x = Tensor.ones(3, requires_grad=True), Tensor.zeros(2, 3)
    for _ in range(3):
        with pytest.raises(IndexError):
            x[2] = 1.0
        with pytest.raises(ShapeError):
            x[0] = Tensor([1.0, 2.0])
        with pytest.raises(StateError):
            leaf[0] = 1.0
        with pytest.raises(TypeError):
            Tensor.__setitem__(x, 0)  # type: ignore[call-arg]
        with no_grad():
            leaf[0] = 2.0
        x[0] = x[1] + 1
        x[1] = leaf.detach()
    assert leaf.tolist() == [2, 1, 1]
    assert x.tolist() == [[3, 2, 2], [2, 1, 1]]


def test_parts_have_gradients() -> None:
    for _ in range(3):
        x, row = Tensor.ones(2, 3, requires_grad=True), Tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = x * 3
        y[1] = row
        y[:, 0] = 5.0
        (y * y).sum().backward()
        assert x.grad is not None
        assert row.grad is not None
        assert x.grad.tolist() == [[0, 18, 18], [0, 0, 0]]
        assert row.grad.tolist() == [0, 4, 6]
