"""Which kernels a graph becomes: the counts the policy promises, reasons at boundaries, equal results, linear time."""

import random
from collections import Counter
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.target import CPU, SM90
from kernelforge import GlobalCounters, autograd, graph, realize
from kernelforge.buffer import Buffer
from kernelforge.fusion.fuse import groups
from kernelforge.fusion.lower import lower
from kernelforge.kernels import Device
from kernelforge.planning.steps import Launch
from kernelforge.tensor import Tensor
from kernelforge.tensor.walking import side_by_side
from tests.effort import effort
from tests.evaluate import evaluate_all
from tests.fused import interpreted, planned, tensor, to_compute
from tests.random_graphs import Options, random_graph, tolerance


def largest_stored(plan):
    return max(prod(node.shape) for group in plan for node in group.outputs)


def rms_norm(x, weight):
    return x / ((x * x).mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def attention(q, k, v, mask=0.0):
    return (q @ k.transpose(-1, -2) * 0.3 + mask).softmax(-1) @ v


ONE_KERNEL = {
    "elementwise": lambda: (tensor(64, 96) * 2 + tensor(96)).exp().tanh(),
    "softmax": lambda: tensor(64, 96).softmax(-1),
    "softmax over the first dimension": lambda: tensor(64, 96).softmax(0),
    "log_softmax": lambda: tensor(64, 96).log_softmax(-1),
    "layer norm": lambda: tensor(64, 96).layernorm() * tensor(96) + tensor(96),
    "rms norm": lambda: rms_norm(tensor(64, 96), tensor(96)),
    "log-sum-exp": lambda: tensor(64, 96).logsumexp(-1),
    "cross-entropy": lambda: tensor(32, 64).cross_entropy(Tensor(np.arange(32))),
    "linear, bias, gelu": lambda: Tensor.gelu(tensor(64, 48) @ tensor(48, 80) + tensor(80)),
    "linear, residual": lambda: tensor(64, 48) @ tensor(48, 80) + tensor(80) + tensor(64, 80),
    "contraction of casts": lambda: tensor(32, 48).half() @ tensor(48, 40).half(),
    "attention": lambda: attention(tensor(2, 4, 64, 32), tensor(2, 4, 64, 32, seed=1), tensor(2, 4, 64, 32, seed=2)),
    "attention, other lengths": lambda: attention(tensor(40, 24), tensor(70, 24), tensor(70, 16)),
    "attention with a mask": lambda: attention(tensor(3, 48, 16), tensor(3, 48, 16), tensor(3, 48, 16), tensor(48, 48)),
    "causal attention": lambda: tensor(2, 48, 16).scaled_dot_product_attention(
        tensor(2, 48, 16), tensor(2, 48, 16), is_causal=True
    ),
    "convolution, bias, relu": lambda: tensor(2, 3, 12, 12).conv2d(tensor(8, 3, 3, 3), tensor(8), padding=1).relu(),
    "max pool": lambda: tensor(2, 3, 12, 12).max_pool2d((2, 2)),
    "running sum of an expression": lambda: tensor(64, 96).exp().cumsum(-1) * 2,
    "running sum over the first dimension": lambda: tensor(64, 96).cumsum(0) / tensor(64, 1),
    "running sum of a softmax": lambda: tensor(64, 96).softmax(-1).cumsum(-1),
    "running extrema": lambda: tensor(64, 96).cummax(1)[0] - tensor(64, 96).cummin(1)[0],
    "running sum from the end": lambda: tensor(64, 96).flip(1).cumsum(1).flip(1),
    "running sum of a reshaped line": lambda: (tensor(64 * 96) * 3).reshape(64, 96).cumsum(1).reshape(-1) + 1,
    "places of a running maximum": lambda: tensor(64, 96).cummax(1)[1],
    "sum of a running maximum": lambda: tensor(64, 96).cummax(1)[0].sum(1),
    "views only": lambda: tensor(8, 12).transpose(0, 1).pad(((1, 2), (0, 0))).flip(0),
}


@pytest.mark.parametrize("target", [CPU, SM90], ids=lambda target: target.name)
@pytest.mark.parametrize("name", ONE_KERNEL)
def test_is_one_kernel(name: str, target) -> None:
    result = ONE_KERNEL[name]()
    plan = planned(result, target=target)
    assert len(plan) == 1, [group.reasons for group in plan]
    nodes = to_compute(result, target=target)
    for got, expected in zip(interpreted(plan, nodes), evaluate_all(nodes)):
        np.testing.assert_allclose(got, expected, rtol=2e-3, atol=1e-4)


def test_the_score_matrix_of_an_attention_is_never_stored() -> None:
    q, k, v = (tensor(2, 128, 16, seed=s) for s in range(3))
    plan = planned(attention(q, k, v, tensor(128, 128)))
    assert largest_stored(plan) == 2 * 128 * 16


def test_one_kernel_per_convolution() -> None:
    x = tensor(2, 3, 12, 12)
    for channels in ((3, 8), (8, 8), (8, 16), (16, 4)):
        x = x.conv2d(tensor(channels[1], channels[0], 3, 3), tensor(channels[1]), padding=1).relu()
    assert len(planned(x)) == 4


@pytest.mark.parametrize("taps", [(3, 3), (1, 3), (3, 1), (1, 1)])
def test_one_kernel_per_input_gradient(taps: tuple[int, int]) -> None:
    x, weight = tensor(2, 8, 12, 12), tensor(8, 8, *taps)
    x.requires_grad = True
    x.conv2d(weight, padding=(taps[0] // 2, taps[1] // 2)).square().sum().backward()
    assert x.grad is not None
    assert len(planned(x.grad)) == 2, "the result is read by the gradient"


@pytest.mark.parametrize("stride, dilation", [(1, 1), (2, 1), (2, 3), (3, 2)])
def test_one_kernel_per_gradient_of_a_transposed_convolution(stride: int, dilation: int) -> None:
    x, weight = tensor(2, 8, 7, 6), tensor(8, 5, 3, 4)
    x.requires_grad = weight.requires_grad = True
    y = x.conv_transpose2d(weight, stride=stride, dilation=dilation, padding=1)
    dy = tensor(*y.shape)
    for leaf in (x, weight):
        (found,) = y.gradient(leaf, gradient=dy)
        assert len(planned(found)) == 1
        nodes = to_compute(found)
        (got,), (expected,) = interpreted(planned(found), nodes), evaluate_all(nodes)
        np.testing.assert_allclose(got, expected, rtol=2e-3, atol=1e-4)


def test_one_kernel_per_linear_layer() -> None:
    x = tensor(64, 200)
    for m, n in ((200, 300), (300, 150), (150, 180)):
        x = (x @ tensor(m, n) + tensor(n)).gelu()
    assert len(planned(x)) == 3


@pytest.mark.parametrize(
    "name, build, limit",
    [
        ("softmax", lambda x: x.softmax(-1), 1),
        ("log_softmax", lambda x: x.log_softmax(-1), 1),
        ("layer norm", lambda x: x.layernorm(), 1),
        ("rms norm", lambda x: rms_norm(x, 1.0), 1),
    ],
)
def test_gradients_of_row_operations_are_few_kernels(name, build, limit) -> None:
    x = tensor(64, 96)
    x.requires_grad = True
    (gradient,) = (build(x) * tensor(64, 96, seed=5)).sum().gradient(x)
    assert len(planned(gradient)) <= limit


def test_norm_parameters_have_a_kernel_of_their_own() -> None:
    x, w, b = tensor(64, 96), tensor(96), tensor(96, seed=3)
    for leaf in (x, w, b):
        leaf.requires_grad = True
    gradients = ((x.layernorm() * w + b) * tensor(64, 96, seed=5)).sum().gradient(x, w, b)
    plan = planned(*gradients)
    assert len(plan) == 2
    assert Counter(len(group.outputs) for group in plan)[2] == 1, "both parameters' gradients in one kernel"


def attention_gradients(length: int, which: str):
    q, k, v, dy = (tensor(2, length, 16, seed=s) for s in range(4))
    leaves = {"q": q, "k": k, "v": v}
    for leaf in leaves.values():
        leaf.requires_grad = True
    loss = (attention(q, k, v) * dy).sum()
    return loss.gradient(*(leaves[name] for name in which))


@pytest.mark.parametrize("which, kernels", [("q", 1), ("k", 2), ("v", 2), ("qkv", 2)])
def test_attention_backward_saves_row_statistics_alone(which: str, kernels: int) -> None:
    gradients = attention_gradients(64, which)
    plan = planned(*gradients)
    assert len(plan) == kernels
    assert largest_stored(plan) == 2 * 64 * 16
    if which == "qkv":
        results = set(to_compute(*gradients))
        assert sorted(len(results.intersection(group.outputs)) for group in plan) == [1, 2]


def test_an_optimiser_step_is_one_kernel() -> None:
    shapes = [(40, 30), (30,), (30, 10), (10,), (3, 3, 4), (1,), ()]
    outputs = []
    for seed, shape in enumerate(shapes):
        p, g, m, v = (tensor(*shape, seed=10 * seed + i) for i in range(4))
        m = m * 0.9 + g * 0.1
        v = (v * 0.99 + g * g * 0.01).abs()
        outputs += [p - m / (v.sqrt() + 1e-8) * 0.01, m, v]
    plan = planned(*outputs, target=SM90)
    assert [group.kind for group in plan] == ["flat"]
    nodes = to_compute(*outputs, target=SM90)
    for got, expected in zip(interpreted(plan, nodes), evaluate_all(nodes)):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("length", "kernels"), [(8192, 2), (512, 1)])
def test_an_update_after_a_long_product_is_a_kernel_of_its_own(length: int, kernels: int) -> None:
    """Where there are many terms, small tiles would cost more than to store the gradient."""
    a, b = tensor(length, 48), tensor(length, 40)
    p, m, v = (tensor(48, 40, seed=seed) for seed in range(3))
    g = a.transpose(0, 1) @ b
    m, v = m * 0.9 + g * 0.1, v * 0.99 + g * g * 0.01
    (*_, update) = plan = planned(p - m / (v.abs().sqrt() + 1e-8) * 0.01, m, v, target=replace(SM90, cores=1))
    assert len(plan) == kernels and len(update.outputs) == 3
    assert len(planned(g + p, target=replace(SM90, cores=1))) == 1


def test_large_updates_share_a_kernel_only_with_their_equals() -> None:
    large, small = [tensor(300, 300, seed=s) * 2 for s in range(3)], [tensor(20, seed=s) * 2 for s in range(3)]
    assert sorted(len(group.outputs) for group in planned(*large, *small, target=SM90)) == [3, 3]


@pytest.mark.parametrize(
    "name, build, reason",
    [
        ("several kernels", lambda x: (x * 2).contiguous() + 1, "asked to be contiguous"),
        ("normalised by all", lambda x: x / x.sum(), "a reduction"),
        ("two contractions", lambda x: (x @ tensor(300, 310)) @ tensor(310, 320), "a contraction and its epilogue"),
        ("a dear operand", lambda x: x.gelu() @ tensor(300, 310), "too dear to repeat in a contraction"),
    ],
)
def test_every_boundary_has_a_reason(name, build, reason) -> None:
    plan = planned(build(tensor(290, 300)))
    assert len(plan) == 2
    assert reason in plan[0].reasons.values()
    assert set(plan[1].reasons.values()) == {"output"}


def test_windows_read_what_a_reduction_gives_from_memory() -> None:
    x = tensor(4, 8, 16, 16)
    scaled = x * x.sum((0, 2, 3), keepdim=True)
    assert len(planned(scaled.max_pool2d(3, 2, padding=1))) == 2
    assert len(planned(scaled.max_pool2d(2, 2))) == 1, "windows that do not overlap"


def test_a_reduction_held_by_another_axis_is_cut() -> None:
    x = tensor(300, 400)
    assert len(planned(x - x.mean(0, keepdim=True) - x.mean(1, keepdim=True))) == 2


def test_a_product_used_twice_at_different_places_is_stored() -> None:
    product = tensor(150, 140) @ tensor(140, 150)
    assert len(planned(product @ product.transpose(0, 1))) == 2


def test_too_many_arrays_are_cut() -> None:
    total = tensor(16)
    for seed in range(300):
        total = total + tensor(16, seed=seed)
    plan = planned(total)
    assert len(plan) > 1
    assert all(len(group.inputs) + len(group.outputs) <= 96 for group in plan)
    assert "bounded" in plan[0].reasons.values()


def chain(length: int) -> graph.Node:
    x = graph.buffer(Buffer.from_numpy(np.ones(64, np.float32), tensor(1).dtype, "NUMPY"))
    factor, term = (graph.full((64,), value, x.dtype) for value in (0.999, 0.5))
    for _ in range(length // 2):
        x = graph.elementwise("add", graph.elementwise("mul", x, factor), term)
    return x


def test_a_long_chain_is_cut_into_equal_kernels_in_linear_work() -> None:
    output = chain(10_000)
    assert effort(lambda: groups([output], CPU)) < 12 * effort(lambda: groups([chain(1_000)], CPU))
    plan = groups([output], CPU)
    assert len(plan) >= 50
    names = {lower(group).kernel.name for group in (plan[1], plan[2], plan[-2])}
    assert len(names) == 1
    assert plan[0].reasons == {plan[0].outputs[0]: "bounded"}


def test_a_large_graph_is_planned_in_linear_work() -> None:
    large, small = tangle(20_000), tangle(8_000)
    assert effort(lambda: groups(large, CPU)) < 4 * effort(lambda: groups(small, CPU)), "at 2.3 times the nodes"
    assert len(groups(large, CPU)) >= 20_000 // 400


def tangle(size: int) -> list[graph.Node]:
    """Eight values of a graph of so many nodes, each made of its neighbours."""
    rng = random.Random(0)
    x = [chain(2) for _ in range(4)]
    x += [graph.elementwise("exp", node) for node in x]
    while len(graph.toposort(x[:8])) < size:
        for i in range(8):
            for _ in range(200):
                other = x[rng.randrange(8)]
                x[i] = graph.elementwise("add", graph.elementwise("mul", x[i], other), x[(i + 3) % 8])
    return x


@given(st.integers(0, 2**32 - 1), st.sampled_from([CPU, SM90]))
def test_groups_compute_what_the_graph_means(seed: int, target) -> None:
    outputs = [
        node for node in random_graph(random.Random(seed), Options(steps=12)) if node.op != "buffer" and node.size
    ]
    outputs = list(dict.fromkeys(outputs))
    if not outputs:
        return
    got = interpreted(groups(outputs, target), outputs)
    for result, expected in zip(got, evaluate_all(outputs)):
        np.testing.assert_allclose(
            result.astype(np.float64), expected.astype(np.float64), rtol=1e-5, atol=tolerance(outputs)
        )


def narrow_attention() -> Tensor:
    """Causal attention in bfloat16 of queries, keys and values that lie in one array, and a projection."""
    parts = Tensor.empty(2, 256, 3 * 4 * 64, dtype="bfloat16")
    q, k, v = parts.reshape(2, 256, 3, 4, 64).permute(2, 0, 3, 1, 4).unbind(0)
    seen = q.scaled_dot_product_attention(k, v, is_causal=True).transpose(1, 2).reshape(2, 256, 256)
    return seen @ Tensor.empty(256, 640).cast("bfloat16")


def test_on_a_gpu_nothing_is_stored_wider_than_it_was() -> None:
    """Attention is one kernel whose result is of 16 bits; weights that products read often are rounded once."""
    plan = planned(narrow_attention(), target=SM90)
    assert len(plan) == 3 and all(node.dtype.bits == 16 for group in plan for node in group.outputs)
    (weight,) = (group.outputs[0] for group in plan if group.outputs[0].size == 256 * 640)
    assert weight.op == "cast"


def test_a_product_is_not_repeated_for_the_parts_of_a_stack_on_a_gpu() -> None:
    x, y, z = (tensor(256, 256, seed=seed) for seed in range(3))
    stacked = Tensor.stack(x @ y, y @ z)
    assert len(planned(stacked.pad(((0, 1), (0, 0), (0, 0))).contiguous(), target=SM90)) >= 2


def test_values_are_computed_when_they_are_needed() -> None:
    """The long way first, what is short at its end; and of two results the one that takes less."""
    x = tensor(40, 40)
    side = (tensor(40, 40, seed=1) * 2).contiguous()
    chain = x
    for i in range(5):
        chain = (chain * 0.5 + i).contiguous()
    met = (chain * side).contiguous()
    short, end = (tensor(40, 40, seed=2) * 3).contiguous(), (met + 1).contiguous()
    order = [group.outputs[0] for group in planned(end, short)]
    assert [x.op for x in order] == ["contiguous"] * 9
    assert order[0] is short._node and order[-3:] == [side._node, met._node, end._node]


@pytest.mark.skipif("CPU" not in Device.available(), reason="there is no OpenCL device")
def test_kernels_stay_bounded_where_views_show_what_they_compute_at_many_places() -> None:
    """Derivatives of products are made of shifted halves of shifted halves."""
    z = Tensor(np.ones((3, 37), np.complex64), device="CPU", requires_grad=True)
    (found,) = autograd.grad(z.prod(1), [z], [Tensor(np.ones(3, np.complex64), device="CPU")])
    launches = [step for step in realize.planned([found._node]) if isinstance(step, Launch)]
    assert 1 < len(launches) < 20 and 1000 < max(len(step.program.source) for step in launches) < 100_000


def test_kernels_with_several_results_wait_for_what_any_of_them_needs() -> None:
    numbers = np.random.default_rng(0).normal(size=(5, 5, 2)).view(np.complex128)[..., 0]
    x = Tensor(numbers, requires_grad=True)
    (dx,) = autograd.grad([x.pinverse()], [x], [x.detach()])
    assert planned(dx)


def test_a_long_attention_and_its_gradients_share_what_they_read() -> None:
    """What is computed from its result stays with it, however many keys are summed over."""

    def kernels(length: int) -> int:
        q, k, v, g = (Tensor.empty(2, 4, length, 64, dtype="bfloat16") for _ in range(4))
        out = q.scaled_dot_product_attention(k, v)
        return len(planned(out, *out.gradient(q, k, v, gradient=g), target=SM90))

    assert kernels(4096) == kernels(1024)


def test_values_beside_the_pieces_of_an_array_are_stored_with_them() -> None:
    """One kernel, as what is shared would be stored else; what reads the array waits for it."""
    x, y = Tensor.rand(4, 100).realize(), Tensor.rand(4, 100).realize()
    shared = (x * y).exp().tanh()
    pieces = side_by_side([shared + x, shared.sin()])
    beside = shared * y
    before = GlobalCounters.kernel_count
    Tensor.realize(pieces, beside)
    assert GlobalCounters.kernel_count - before == 1
    expected = np.tanh(np.exp(x.numpy() * y.numpy()))
    np.testing.assert_allclose(pieces.numpy(), np.hstack([expected + x.numpy(), np.sin(expected)]), rtol=1e-5)
    np.testing.assert_allclose(beside.numpy(), expected * y.numpy(), rtol=1e-5)
    again = (side_by_side([x.exp(), y.exp()]) + 1).reshape(4, 2, 100).sum(1)
    np.testing.assert_allclose(again.numpy(), np.exp(x.numpy()) + np.exp(y.numpy()) + 2, rtol=1e-5)


@pytest.mark.parametrize(("rows", "columns", "kernels"), [(1500, 1200, 2), (30, 20, 1)])
def test_sums_of_rows_and_of_columns_do_not_each_read_a_large_table_whole(
    rows: int, columns: int, kernels: int
) -> None:
    table, x, y = tensor(rows, columns, 1), tensor(rows, 1, 64), tensor(1, columns, 64)
    moved = table * (x - y)
    assert len(planned(moved.sum(1), moved.sum(0))) == kernels


@pytest.mark.parametrize(("rows", "together"), [(300, True), (1000, False)])
def test_a_loss_and_its_gradient_go_through_many_rows_side_by_side(rows: int, together: bool) -> None:
    """One program would go through all rows for the loss, and again for the gradient; few are done in no time."""
    x = tensor(rows, 24).requires_grad_()
    loss = x.cross_entropy(Tensor(np.arange(rows) % 24))
    found = [loss, *loss.gradient(x)]
    plan, nodes = planned(*found), to_compute(*found)
    assert (len(plan) == 1) is together
    for got, expected in zip(interpreted(plan, nodes), evaluate_all(nodes)):
        np.testing.assert_allclose(np.ravel(got), np.ravel(expected), rtol=1e-4, atol=1e-5)
    one = planned(tensor(20_000).softmax(0))
    assert len(one) == 1, "what a single row comes to is soon found"


@pytest.mark.parametrize("batch, length", [(1, 64), (2, 65), (1, 200)])
def test_the_gradient_of_scores_that_is_kept_is_read_by_what_is_computed_from_it(batch: int, length: int) -> None:
    """No kernel stores it beside sums over the axis it would walk in blocks."""
    q, k, v, dy = (tensor(batch, 3, length, 16, seed=s) for s in range(4))
    bias = tensor(batch, 3, length, length, seed=4)
    for leaf in (q, k, v, bias):
        leaf.requires_grad = True
    gradients = q.scaled_dot_product_attention(k, v, bias).gradient(q, k, v, bias, gradient=dy)
    stored = [{prod(node.shape) for node in group.outputs} for group in planned(*gradients)]
    assert not any({prod(bias.shape), prod(q.shape)} <= sizes for sizes in stored)


@pytest.mark.parametrize("batch, length", [(2, 33), (5, 20), (3, 140)])
def test_the_gradient_of_scores_that_a_shared_bias_needs_is_computed_once(batch: int, length: int) -> None:
    """It is read by what sums it over the batch and by the gradients of queries and keys."""
    q, k, v, dy = (tensor(batch, 2, length, 16, seed=s) for s in range(4))
    bias = tensor(2, length, length, seed=4)
    for leaf in (q, k, v, bias):
        leaf.requires_grad = True
    gradients = q.scaled_dot_product_attention(k, v, bias).gradient(q, k, v, bias, gradient=dy)
    plan, nodes = planned(*gradients), to_compute(*gradients)
    scores = batch * 2 * length * length
    assert sum(prod(node.shape) == scores for group in plan for node in group.outputs) == 1
    assert not any({scores, prod(bias.shape)} <= {prod(node.shape) for node in group.outputs} for group in plan)
    for got, expected in zip(interpreted(plan, nodes), evaluate_all(nodes)):
        np.testing.assert_allclose(got, expected, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize(("size", "most"), [(256, 3), (2048, 9)])
def test_what_stays_in_a_cache_is_computed_again_less_often(size, most):
    """Sums along both dimensions in turn: quotients of what main memory would hold are taken in several kernels."""
    value = tensor(size, size)
    for step in range(20):
        value = value / value.sum(step % 2, keepdim=True)
    plan = planned(value)
    quotients = [sum(node.op == "div" and node.shape == (size, size) for node in inside(group)) for group in plan]
    assert max(quotients) == most


def inside(group):
    """The nodes a group computes."""
    found, stack = set(), list(group.outputs)
    while stack:
        node = stack.pop()
        if node not in found and (node in group.outputs or node not in group.inputs):
            found.add(node)
            stack += node.src
    return found


def test_what_a_gradient_needs_in_the_end_is_computed_again() -> None:
    """A function of a product is not kept beside the product until the gradient comes to it."""
    x, weights = tensor(64, 256), [tensor(256, 256, seed=i).requires_grad_() for i in range(4)]
    for w in weights:
        x = (x @ w).gelu()
    found = planned(*x.square().sum().gradient(*weights))
    assert not {node.op for group in found for node in group.outputs} & {"erf", "tanh"}
