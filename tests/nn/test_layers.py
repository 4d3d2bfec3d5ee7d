"""What is particular to some layers: masks, modes, initial values, errors."""

from itertools import pairwise

import numpy as np
import pytest

from kernelforge import DTypeError, ShapeError, Tensor, dtypes, nn

torch = pytest.importorskip("torch")


def values(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


IMAGE, ROWS = values(2, 4, 6, 6), values(2, 3, 8)


def same(tensor, expected, rtol=1e-4, atol=1e-4):
    np.testing.assert_allclose(tensor.numpy(), expected.detach().numpy(), rtol=rtol, atol=atol)


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


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_rows_hold_what_lies_between_their_offsets(mode):
    draws = np.random.default_rng(3)
    combine = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode]
    for _ in range(8):
        weight = draws.normal(size=(6, 3)).astype(np.float32)
        names = draws.integers(0, 6, draws.integers(1, 30))
        ends = np.sort(draws.integers(0, len(names) + 1, draws.integers(1, 9)))
        ends = np.concatenate([[0], ends])
        expected, counts = np.zeros((len(ends) - 1, 3), np.float32), np.zeros(6)
        for bag, (start, stop) in enumerate(pairwise(ends)):
            if start < stop:
                expected[bag] = combine(weight[names[start:stop]], 0)
                np.add.at(counts, names[start:stop], 1)
        leaf = Tensor(weight, requires_grad=True)
        found = nn.functional.embedding_bag(Tensor(names), leaf, Tensor(ends), mode=mode, include_last_offset=True)
        found.sum().backward()
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)
        assert not leaf.grad.numpy()[counts == 0].any()
        if mode == "sum":
            np.testing.assert_allclose(leaf.grad.numpy(), counts[:, None].repeat(3, 1))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("count, offsets", [
    (3, [1, 2]), (3, [-1, 2]), (3, [0, 2, 1]), (3, [0, 4]), (3, [0, -1]), (3, [0, 1, 9]), (0, [0, 1]), (0, [-1]),
    (2, []),
])  # fmt: skip
def test_offsets_of_bags_out_of_order_are_an_error(mode, count, offsets):
    names, starts = Tensor(np.arange(count)), Tensor(np.array(offsets, np.int64))
    for last in (False, True)[: len(offsets) + 1]:
        with pytest.raises(ValueError, match="takes offsets in order|without an offset"):
            found = nn.functional.embedding_bag(
                names, Tensor(values(3, 2)), starts, mode=mode, include_last_offset=last
            )
            found.numpy()


@pytest.mark.parametrize("offsets", [[0], [0, 0], [0, 0, 0]])
def test_bags_of_nothing(offsets):
    found = nn.functional.embedding_bag(Tensor(np.arange(0)), Tensor(values(3, 2)), Tensor(offsets), mode="sum")
    assert found.tolist() == [[0, 0]] * len(offsets)


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
    Tensor.training = False
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
        (nn.Linear(3, 4), (2, 5), r"Linear\(in_features=3, out_features=4, bias=True\) of \(2, 5\)"),
        (nn.Conv2d(3, 4, 3), (8, 8), "2 spatial"),
        (nn.LayerNorm((2, 3)), (2, 2), "last dimensions"),
        (nn.RMSNorm(3), (2, 2), "last dimension"),
        (nn.BatchNorm2d(3), (2, 4, 2, 2), "dimension 1"),
        (nn.GroupNorm(2, 4), (2, 3), "dimension 1"),
        (nn.LSTM(3, 2), (0, 4, 3), "length to be larger than 0"),
        (nn.GRU(3, 2, batch_first=True), (4, 0, 3), "length to be larger than 0"),
    ],
)
def test_errors(layer, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer(Tensor.zeros(*shape))


def test_errors_of_sizes():
    for make in (lambda: nn.GroupNorm(3, 4), lambda: nn.Conv2d(3, 4, 1, groups=2), lambda: nn.MultiheadAttention(5, 2)):
        with pytest.raises(ShapeError, match="must divide"):
            make()


@pytest.mark.parametrize("layers", (1, 2))
def test_the_last_state_of_a_recurrent_layer_is_no_part_of_its_output(layers):
    output, (h, c) = nn.LSTM(3, 2, layers)(Tensor.ones(4, 5, 3))
    before = output.numpy().copy()
    assert h.shape == c.shape == (layers, 5, 2)
    np.testing.assert_array_equal(h[-1].numpy(), before[-1])
    h.zero_()
    np.testing.assert_array_equal(output.numpy(), before)
