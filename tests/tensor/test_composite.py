"""Composite operations: the same values, gradients and kernels as the operations they are made of."""

import copy
import pickle
from inspect import signature
from typing import NamedTuple
from weakref import ref

import numpy as np
import pytest

import kernelforge
from codegen.dtypes import dtypes
from kernelforge import GlobalCounters, Tensor, no_grad
from kernelforge.amp import autocast
from kernelforge.calls import memory_forms
from kernelforge.errors import ShapeError
from kernelforge.graph import toposort
from kernelforge.native import compiled
from kernelforge.nn import functional
from kernelforge.structure import structure
from kernelforge.tensor import composite as room
from kernelforge.tensor.composite import composite

RNG = np.random.default_rng(5)
TARGET = Tensor(np.array([1, 0, 3, 2], np.int32)).realize()
CALLS = {
    "softmax": lambda x: x.softmax(-1),
    "log_softmax over the first": lambda x: x.log_softmax(axis=0),
    "layernorm": lambda x: x.layernorm((-2, -1), eps=1e-3),
    "std": lambda x: x.std(axis=[1], keepdim=True),
    "gelu of a mean": lambda x: (x - x.mean(1, keepdim=True)).gelu(),
    "cross_entropy": lambda x: x.cross_entropy(TARGET),
    "a product with itself": lambda x: x.dot(x.T),
    "nested": lambda x: x.softmax(-1).softmax(0).dot(x.silu().T).layernorm(),
    "convolution": lambda x: x.reshape(1, 1, 4, 5).conv2d(x.reshape(1, 1, 4, 5)[:, :, :3, :3], padding=1),
    "cat": lambda x: x.cat(x.exp(), dim=1).tril(),
}  # fmt: skip


SEVERAL = {
    "sort": lambda x: x.sort(1),
    "argsort": lambda x: x.argsort(0, descending=True),
    "topk": lambda x: x.topk(2, 0),
    "kthvalue": lambda x: x.kthvalue(2, keepdim=True),
    "median": lambda x: x.median(),
    "median of rows": lambda x: x.median(1),
    "mode": lambda x: x.mode(),
    "aminmax": lambda x: x.aminmax(axis=0),
    "cummax": lambda x: x.cummax(1),
    "cummin": lambda x: x.cummin(0),
    "var_mean": lambda x: x.var_mean(0),
    "std_mean": lambda x: x.std_mean(),
    "nanmedian": lambda x: x.nanmedian(0),
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "matrix_norm": lambda x: x.matrix_norm(1),
    "rot90": lambda x: x.rot90(2),
    "hstack": lambda x: x.hstack(Tensor.ones(x.shape)),
    "vstack": lambda x: x.vstack(Tensor.ones(x.shape)),
    "dstack": lambda x: x.dstack(Tensor.ones(x.shape)),
    "column_stack": lambda x: x[0].column_stack(x[1]),
    "cartesian_prod": lambda x: x[:, 0].cartesian_prod(Tensor.ones(3)),
    "inner": lambda x: x.inner(Tensor.ones(x.shape)),
    "adaptive_avg_pool1d": lambda x: functional.adaptive_avg_pool1d(x, 1),
    "unfold": lambda x: functional.unfold(x.reshape(1, 1, *x.shape), (2, 1)),
    "max_pool1d": lambda x: functional.max_pool1d(x, 2, return_indices=True),
    "avg_pool1d": lambda x: functional.avg_pool1d(x, 2, padding=1),
}


class Pair(NamedTuple):
    first: object
    second: object


class Real(float):
    """A number of a class of one's own."""


def leaf() -> Tensor:
    return Tensor(RNG.standard_normal((4, 5)).astype(np.float32), requires_grad=True)


def spelled_out(function, *args):
    token = room.spelling.set(True)
    try:
        return function(*args)
    finally:
        room.spelling.reset(token)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_what_it_stands_for(name) -> None:
    """The very same nodes, once the two are not kept apart: values, gradients and kernels cannot differ."""
    x, function = leaf(), CALLS[name]
    called, spelled = function(x), spelled_out(function, x)
    assert memory_forms([called._node]) == memory_forms([spelled._node])
    assert len(toposort([called._node])) < len(toposort([spelled._node]))
    gradients = [y.square().sum().gradient(x)[0] for y in (called, spelled)]
    assert len(set(memory_forms([g._node for g in gradients]))) == 1


def parts_of(found):
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("name", SEVERAL)
def test_what_gave_several_nodes_gives_them_again(name, tracked) -> None:
    for shape in ((4, 5), (3, 2), (7, 130)):
        function, x, y = SEVERAL[name], *[
            Tensor(RNG.standard_normal(shape).astype(np.float32), requires_grad=tracked) for _ in range(2)
        ]  # fmt: skip
        function(x)
        found, spelled = function(y), spelled_out(function, y)
        assert type(found) is type(spelled)
        for ours, theirs in zip(parts_of(found), parts_of(spelled), strict=True):
            assert memory_forms([ours._node]) == memory_forms([theirs._node])
            assert ours.requires_grad == theirs.requires_grad
            if ours.requires_grad:
                slopes = [result.square().sum().gradient(y)[0]._node for result in (ours, theirs)]
                assert len(set(memory_forms(slopes))) == 1


@pytest.mark.skipif(compiled is None, reason="C is not built")
def test_what_gave_several_nodes_is_not_asked_again() -> None:
    asked: list[object] = []

    @room.in_c
    @room.repeatable
    def both(x, y, factor):
        asked.append(x)
        return Pair(x * factor + y, x.exp())

    for factor in (2.0, 2.0, 3.0):
        x, y = leaf(), leaf()
        found = both(x, y, factor)
        assert type(found) is Pair
        np.testing.assert_allclose(found.first.numpy(), x.numpy() * factor + y.numpy(), rtol=1e-6)
        (slope,) = found.first.sum().gradient(x)
        assert (slope.numpy() == factor).all()
    assert len(asked) == 4  # with placeholders, and for itself, each kind of call once


def test_what_gives_its_argument_or_a_view_is_asked_again() -> None:
    x = leaf().detach().realize()

    @room.repeatable
    def same(x):
        return x, x * 1.5

    @room.repeatable
    def part(x):
        return x[0]

    for _ in range(3):
        assert same(x)[0] is x
        part(x).assign(7.0)
        assert (x[0].numpy() == 7).all()
        x.assign(x + 1)


@pytest.mark.parametrize("name", CALLS)
def test_gradients_of_gradients(name) -> None:
    x, function = leaf(), CALLS[name]

    def twice() -> np.ndarray:
        first = function(x).square().sum().gradient(x)[0]
        return (first * first).sum().gradient(x)[0].numpy()

    np.testing.assert_allclose(twice(), spelled_out(twice), rtol=1e-4, atol=1e-5)


def test_a_step_of_known_structure_spells_nothing_out() -> None:
    def step() -> tuple[Tensor, Tensor]:
        x = leaf()
        loss = x.softmax(-1).layernorm().square().mean()
        return loss, loss.gradient(x)[0]

    loss, slope = step()
    loss.realize(slope)
    plans = GlobalCounters.plans
    loss, slope = step()
    assert len(structure([loss._node, slope._node]).nodes) < 12
    loss.realize(slope)
    assert GlobalCounters.plans == plans


def test_gradients_go_through_what_was_computed_before() -> None:
    x = leaf()
    y = x.softmax(-1)
    before = y.numpy()
    slope = y.square().sum().gradient(x)[0]
    y.realize()
    expected = 2 * before * (before - (before**2).sum(-1, keepdims=True))
    np.testing.assert_allclose(slope.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_a_loss_computed_before_its_gradient_does_not_hide_the_graph() -> None:
    """Two graphs whose outputs are both computed already differ in how."""
    slopes = []
    for function in (lambda x: x.exp(), lambda x: x.square()):
        x = Tensor(np.full(3, 2.0, np.float32), requires_grad=True)
        loss = function(x).sum()
        slope = loss.gradient(x)[0]
        loss.realize()
        slopes.append(slope.numpy()[0])
    np.testing.assert_allclose(slopes, [np.exp(2.0), 4.0], rtol=1e-6)


def test_arguments_that_are_equal_but_not_alike_are_told_apart() -> None:
    @composite
    def plus(x: Tensor, y: float) -> Tensor:
        return x * 2 + y

    x = Tensor([1, 2])
    assert [plus(x, y).dtype.name for y in (1, 1.0, 1)] == ["int32", "float32", "int32"]

    @composite
    def scaled(x: Tensor, y: float) -> Tensor:
        return x.exp() * y

    assert [np.signbit(scaled(Tensor([1.0]), y).item()) for y in (0.0, -0.0)] == [False, True]


def test_what_reads_other_tensors_is_spelled_out() -> None:
    hidden = Tensor([1.0, 2.0]).realize()

    @composite
    def secretive(x: Tensor) -> Tensor:
        return x.exp() * hidden

    x = Tensor([0.0, 0.0])
    assert secretive(x).tolist() == [1, 2]
    hidden = Tensor([3.0, 4.0]).realize()
    assert secretive(x).tolist() == [3, 4]


def test_errors_are_raised_every_time() -> None:
    for _ in range(2):
        with pytest.raises(ShapeError):
            Tensor.zeros(2, 3).dot(Tensor.zeros(2, 3))


def test_no_gradient_passes_without_permission() -> None:
    x = leaf()
    x.softmax(-1)
    with no_grad():
        assert x.softmax(-1).requires_grad is None
    assert x.softmax(-1).requires_grad


def test_constants_that_somebody_has_computed_are_constants() -> None:
    @composite
    def shifted(x: Tensor) -> Tensor:
        return x + Tensor.arange(23) * 7

    table = Tensor.arange(23) * 7
    node = table._node
    table.realize()
    assert node.realized is not None
    assert shifted(Tensor(np.ones(23, np.int32)))._node.op == "call"


@pytest.mark.parametrize("realized", (False, True))
@pytest.mark.parametrize("call", (Tensor.cat, Tensor.hstack, lambda x: x.roll(0), lambda x: x.cat(Tensor.zeros(0))))
def test_what_gives_its_operand_as_it_is_gives_another_tensor(call, realized):
    """As torch's functions do: a change in place of the result or of the operand is not seen in the other."""
    for _ in range(2):  # by a new recipe, then by one that is known
        x = Tensor([1.0, 2.0])
        y = call(x.realize() if realized else x)
        y += 1
        assert (x.tolist(), y.tolist()) == ([1, 2], [2, 3])
        y = call(x)
        x.zero_()
        assert (x.tolist(), y.tolist()) == ([0, 0], [1, 2])


# As attributes -----------------------------------------------------------------------------------------------------


def test_a_method_is_what_the_function_of_python_is() -> None:
    x = leaf()
    assert signature(Tensor.exp).parameters.keys() == {"self"} and (Tensor.exp.__doc__ or "").startswith("e to")
    assert copy.deepcopy([Tensor.relu])[0] is Tensor.relu and pickle.loads(pickle.dumps(Tensor.relu)) is Tensor.relu
    bound = x.clamp
    np.testing.assert_array_equal(bound(min_=0).numpy(), Tensor.clamp(x, 0, None).numpy())
    with pytest.raises(TypeError):
        x.exp(1, 2)
    assert x.where.__self__ is x and (x > 0).where(1, 0).dtype is (x > 0).int().dtype


class Halved(Tensor):
    def exp(self) -> Tensor:
        return super().exp() / 2


def test_methods_of_other_classes_come_first() -> None:
    assert Halved([0.0]).exp().tolist() == [0.5] and Tensor([0.0]).exp().tolist() == [1.0]


def test_lists_of_tensors_have_recipes() -> None:
    x, y, z = (Tensor([float(i)]).realize() for i in range(3))
    for _ in range(3):
        assert Tensor.cat([x, y, z]).tolist() == [0, 1, 2] and Tensor.cat([z, y]).tolist() == [2, 1]
        assert kernelforge.stack((x, y), 1).tolist() == [[0, 1]] and x.cat(y, dim=0).tolist() == [0, 1]
    only = kernelforge.cat([x])
    only += 1
    assert x.tolist() == [0] and only.tolist() == [1]


def test_zeros_of_both_signs_are_told_apart() -> None:
    x, mask = Tensor([1.0, 2.0]).realize(), Tensor([True, False]).realize()
    for _ in range(3):
        found = [x.masked_fill(mask, value).numpy()[0] for value in (0.0, -0.0, 0)]
        assert [bool(np.signbit(value)) for value in found] == [False, True, False]


@pytest.mark.parametrize("kind", [float, np.float16, np.float32, np.float64, complex, np.complex64, Real])
def test_zeros_of_every_type_of_number_keep_their_signs(kind: type) -> None:
    x, mask = Tensor([1.0, 2.0]).realize(), Tensor([True, False]).realize()
    for _ in range(3):
        found = [mask.where(kind(value), x).numpy()[0].real for value in (0.0, -0.0, 0.0)]
        assert [bool(np.signbit(value)) for value in found] == [False, True, False]


def test_recipes_know_both_default_types(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = Tensor([True, False]).realize()
    for ints in (dtypes.int32, dtypes.int64, dtypes.int32):
        monkeypatch.setattr(dtypes, "default_int", ints)
        for floats in (dtypes.float32, dtypes.float64):
            monkeypatch.setattr(dtypes, "default_float", floats)
            assert mask.where(1, 0).dtype is ints and mask.where(1.0, 0.0).dtype is floats


def test_equal_values_inside_sequences_are_told_apart_by_sign_and_type() -> None:
    @composite
    def told(x: Tensor, values: object) -> Tensor:
        return x.full_like(len(repr(values)))

    x = leaf()
    for _ in range(2):
        for values in ((0.0,), (-0.0,), (1,), (True,), [1], [True], [1.0], ((1,),), ((True,),), Pair(1, 2), (1, 2)):
            assert told(x, values).numpy()[0, 0] == len(repr(values)), values


def test_nothing_is_kept_of_tensors_inside_other_arguments() -> None:
    @composite
    def joined(x: Tensor, others: object) -> Tensor:
        return x + others[0] + others[1]  # type: ignore[index]

    x, y = leaf(), leaf()
    for others in (Pair(y, 1.0), (y, 1.0), [y, 1.0]):
        known = ref(y)
        np.testing.assert_array_equal(joined(x, others).numpy(), x.numpy() + y.numpy() + 1)
    del y, others
    assert known() is None


def test_one_operation_is_no_call() -> None:
    """What comes later sees the operation, and so do those who look at graphs."""
    x = leaf()
    assert x.exp()._node.op == "exp" and x.maximum(x.exp())._node.op == "max"


def test_products_are_narrow_within_autocast_whatever_was_met_before() -> None:
    x, weight = leaf(), leaf()
    for _ in range(2):
        assert (x @ weight.T).dtype is dtypes.float32 and functional.linear(x, weight).dtype is dtypes.float32
        with autocast(dtype=dtypes.bfloat16):
            assert (x @ weight.T).dtype is dtypes.bfloat16 and functional.linear(x, weight).dtype is dtypes.bfloat16


@pytest.mark.parametrize("own_first", [False, True])
def test_a_class_with_a_method_of_its_own_has_it_used_and_leaves_others_alone(own_first: bool) -> None:
    class Own(Tensor):
        def max(self, *args, **kwargs):
            return super().max(*args, **kwargs) * 3

    def both(kind: type[Tensor]) -> None:
        x = kind([[1.0, 5.0, float(own_first)], [7.0, 3.0, 2.0]])
        expected = np.array([7, 5, 2], np.float32) * (3 if kind is Own else 1)
        np.testing.assert_array_equal(x.amax(0).numpy(), expected)
        assert type(x.amax(0)) is kind

    for kind in (Own, Tensor, Own) if own_first else (Tensor, Own, Tensor):
        both(kind)


@pytest.mark.parametrize("name", ["exp", "sum", "max"])
def test_recipes_are_of_the_methods_tensors_have(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a call was met before a method is another one, while it is, or with both."""
    method = getattr(Tensor, name)
    ways = [lambda x: x.softmax(0), lambda x: x.softmax(axis=0), lambda x: x.logsumexp(0)]
    for size, met in ((5, True), (6, False)):
        for way in ways:
            x = Tensor(np.linspace(-1, 1, size, dtype=np.float32))
            with monkeypatch.context() as patch:
                if met:
                    plain = [way(x).numpy() for _ in range(3)][-1]
                patch.setattr(Tensor, name, lambda *given, **more: method(*given, **more) * 2 + 1)
                patched = [way(x).numpy() for _ in range(3)]
                with room.spelled_out():
                    other = way(x).numpy()
            again = [way(x).numpy() for _ in range(3)]
            with room.spelled_out():
                expected = way(x).numpy()
            for found in [*again, plain] if met else again:
                assert np.allclose(found, expected)
            assert all(np.allclose(one, other) for one in patched)
            assert name != "exp" or not np.allclose(other, expected)
