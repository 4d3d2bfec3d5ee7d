"""Hooks, parametrizations, packed sequences, averages, initial values: what is beside layers, against torch's."""

from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, nn
from kernelforge.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tests.nn.cases import values
from tests.nn.test_against_torch import assert_same

torch = pytest.importorskip("torch")


def pair(make: Any) -> tuple[Any, Any]:
    """A module of both libraries with the same state."""
    ours, theirs = make(nn), make(torch.nn)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    return ours, theirs


def test_hooks_around_forward() -> None:
    layer, seen = nn.Linear(2, 2), []
    with layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,)):
        doubled = layer(Tensor.ones(1, 2))
    np.testing.assert_allclose(doubled.numpy(), layer(Tensor.ones(1, 2) * 2).numpy())
    handle = layer.register_forward_hook(lambda m, args, out: seen.append(out.shape))
    layer.register_forward_hook(lambda m, args, kwargs, out: out * 0, with_kwargs=True, prepend=True)
    assert layer(Tensor.ones(3, 2)).numpy().any() is np.False_ and seen == [(3, 2)]
    handle.remove()
    handle.remove()
    layer(Tensor.ones(3, 2))
    assert len(seen) == 1


def test_hooks_of_gradients() -> None:
    found = []
    for library, model in zip((nn, torch.nn), pair(lambda m: m.Sequential(m.Linear(3, 4), m.Tanh(), m.Linear(4, 2)))):
        record: list[Any] = []
        model[1].register_full_backward_hook(lambda m, gi, go, record=record: record.append((gi[0], go[0])))
        model[2].register_full_backward_pre_hook(lambda m, go: (go[0] * 2,))
        x = values(5, 3)
        model(Tensor(x) if library is nn else torch.tensor(x)).sum().backward()
        found.append((record, [p.grad for p in model.parameters()]))
    for mine, reference in zip(found[0][0] + found[0][1], found[1][0] + found[1][1], strict=True):
        assert_same(mine, reference, 1e-4)


@pytest.mark.parametrize("form", ["utils", "parametrizations"])
@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_norms_of_weights(name: str, form: str) -> None:
    def make(m: Any) -> Any:
        return getattr(m.utils if form == "utils" else m.utils.parametrizations, name)(m.Linear(3, 4))

    ours, theirs = pair(make)
    x = values(5, 3)
    for _ in range(2):
        found, expected = ours.train()(Tensor(x)), theirs.train()(torch.tensor(x))
        assert_same(found, expected, 1e-4)
    found.square().sum().backward()
    (expected**2).sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_same(p.grad, q.grad, 1e-3)


def test_parametrizations_come_and_go() -> None:
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(3, 5))
    weight = layer.weight.numpy()
    np.testing.assert_allclose(weight.T @ weight, np.eye(3), atol=1e-5)
    assert nn.utils.parametrize.is_parametrized(layer, "weight")
    nn.utils.parametrize.remove_parametrizations(layer, "weight")
    np.testing.assert_allclose(layer.weight.numpy(), weight)
    assert type(layer) is nn.Linear and sorted(layer.state_dict()) == ["bias", "weight"]


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_packed_sequences(kind: str) -> None:
    ours, theirs = pair(lambda m: getattr(m, kind)(3, 4, bidirectional=True))
    lengths, x = [2, 4, 1], values(4, 3, 3)
    results = []
    for model, rnn, data in ((ours, nn.utils.rnn, Tensor(x)), (theirs, torch.nn.utils.rnn, torch.tensor(x))):
        packed = rnn.pack_padded_sequence(data, lengths, enforce_sorted=False)
        output, state = model(packed)
        results.append((*rnn.pad_packed_sequence(output), *(state if kind == "LSTM" else (state,))))
    for mine, reference in zip(*results, strict=True):
        assert_same(mine, reference)


def test_averages_of_models() -> None:
    rows = values(4, 2, 3)
    results = []
    for library, model, wrap in (
        (nn, nn.Linear(3, 2), AveragedModel), (torch.nn, torch.nn.Linear(3, 2), torch.optim.swa_utils.AveragedModel)
    ):  # fmt: skip
        ema = get_ema_multi_avg_fn(0.8) if library is nn else torch.optim.swa_utils.get_ema_multi_avg_fn(0.8)
        averages = [wrap(model), wrap(model, multi_avg_fn=ema)]
        for row in rows:
            if library is nn:
                model.weight.assign(Tensor(row))
            else:
                model.weight.data.copy_(torch.tensor(row))
            for average in averages:
                average.update_parameters(model)
        results.append([average.module.weight for average in averages])
    for mine, reference in zip(*results):
        assert_same(mine, reference, 1e-5)


@pytest.mark.parametrize("name", ["xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "normal_",
                                  "uniform_", "trunc_normal_", "orthogonal_", "ones_", "zeros_", "eye_"])  # fmt: skip
def test_initial_values_have_torchs_spread(name: str) -> None:
    ours = getattr(nn.init, name)(Tensor.zeros(60, 80)).numpy()
    theirs = getattr(torch.nn.init, name)(torch.zeros(60, 80)).numpy()
    assert ours.std() == pytest.approx(theirs.std(), rel=0.1) and abs(ours.mean() - theirs.mean()) < 0.05
    assert abs(ours).max() == pytest.approx(abs(theirs).max(), rel=0.35)


def test_lazy_layers_and_ctc() -> None:
    layer = nn.LazyLinear(4)
    assert layer(Tensor.ones(2, 3)).shape == (2, 4) and type(layer) is nn.Linear
    logits, targets = values(6, 2, 5), np.array([[1, 2, 2], [3, 1, 0]])
    x, y = Tensor(logits, requires_grad=True), torch.tensor(logits, requires_grad=True)
    mine = nn.CTCLoss()(x.log_softmax(-1), Tensor(targets), Tensor([6, 5]), Tensor([3, 2]))
    reference = torch.nn.CTCLoss()(y.log_softmax(-1), torch.tensor(targets), torch.tensor([6, 5]), torch.tensor([3, 2]))
    mine.backward()
    reference.backward()
    assert_same(mine, reference, 1e-5)
    assert_same(x.grad, y.grad, 1e-5)
