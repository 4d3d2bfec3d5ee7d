"""The small examples give the results their pages promise."""

import math
from pathlib import Path

import numpy as np
import pytest

from examples import neuron
from kernelforge import Tensor


def test_a_neurons_gradients_and_their_graph() -> None:
    tensors, graph = neuron.neuron(w=-3.0, x=2.0, b=6.8813735870195432)
    values = {name: tensor.item() for name, tensor in tensors.items()}
    o = math.tanh(-3 * 2 + 6.8813735870195432)
    expected = {"n": 0.8813736, "o": o, "do/dw": 2 * (1 - o * o), "do/dx": -3 * (1 - o * o), "do/db": 1 - o * o}
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert graph.count("tanh") == 1, "the gradient uses the value that is there"
    assert all(f'label="{name}"' in graph for name in tensors)


def test_learnt_features_are_ahead_once_there_is_enough_to_learn_from() -> None:
    features = pytest.importorskip("examples.features")
    hand, network = features.compared(1437, steps=300)
    assert hand > 0.9 and network > 0.96 and network > hand


def test_digits_are_drawn_again_and_invented(tmp_path: Path) -> None:
    vae = pytest.importorskip("examples.vae")
    image = pytest.importorskip("PIL.Image")
    Tensor.manual_seed(0)
    seen, others = vae.digits(0)
    model = vae.VAE()
    vae.train(model, seen, epochs=12)
    again, blank = model.drawn_again(Tensor(others)).numpy(), np.abs(others - seen.mean(0)).mean()
    assert np.abs(others - again).mean() < 0.75 * blank
    invented = model.invented(32).numpy()
    nearest = np.abs(invented[:, None] - seen[None]).mean(2)
    assert nearest.min(1).mean() < 0.75 * blank and len(set(nearest.argmin(1).tolist())) > 16, (
        "like digits, and various"
    )
    vae.picture(invented.reshape(2, 16, 64), tmp_path / "x.png")
    assert image.open(tmp_path / "x.png").size == (960, 120)


def test_digits_are_drawn_from_noise() -> None:
    flow = pytest.importorskip("examples.flow")
    Tensor.manual_seed(0)
    images, kinds = flow.digits()
    model = flow.Flow(128)
    flow.train(model, images, kinds, epochs=30)
    asked = np.tile(np.arange(10), 10)
    way = [x.numpy() for x in model.drawn(Tensor(asked))]
    shares = [flow.read(images, kinds, drawn, asked) for drawn in (way[0], way[-1])]
    assert shares[1] > 0.8 > 0.4 > shares[0], "read as asked for, and noise is not"
    spread = [way[-1][asked == kind].std(0).mean() for kind in range(10)]
    assert min(spread) > 0.1, "various"


def test_a_new_last_layer_tells_faces() -> None:
    finetune = pytest.importorskip("examples.finetune")
    network, pixels = finetune.compared(20)
    assert network > 0.95 and network > pixels


def test_digits_are_recognised(tmp_path: Path) -> None:
    digits = pytest.importorskip("examples.digits")
    Tensor.manual_seed(0)
    training, held_out = digits.load_data(seed=0)
    model = digits.Network()
    seconds, kernels = digits.train(model, digits.DataLoader(training, 64, shuffle=True, drop_last=True), epochs=4)
    assert len(seconds) == 4 * 22 and kernels > 0
    assert digits.accuracy(model, digits.DataLoader(held_out, batch_size=len(held_out))) > 0.95
