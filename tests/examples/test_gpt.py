"""The language model learns, and writing with a cache of keys and values is what it would be without."""

from pydoc_data.topics import topics

import numpy as np
import pytest

from kernelforge import Tensor

gpt = pytest.importorskip("examples.gpt")


@pytest.fixture(scope="module")
def text():
    return gpt.Text("\n".join(topics.values()))


def test_text_is_numbers_and_back(text) -> None:
    assert text.decoded(text.encoded("The loop\n").tolist()) == "The loop\n"
    assert len(text.training) == pytest.approx(9 * len(text.held_out), abs=9)


def test_a_cache_changes_nothing(text) -> None:
    Tensor.manual_seed(0)
    model = gpt.GPT(gpt.Sizes(len(text.alphabet), context=12, width=16, heads=2, layers=2))
    piece = text.held_out[:12]
    whole = model(Tensor(piece[None])).numpy()[0]
    caches = [gpt.Cache(model.sizes, 1) for _ in model.blocks]
    for place, character in enumerate(piece):
        logits = model.next(Tensor([[int(character)]]), Tensor([[place]]), caches)
        np.testing.assert_allclose(logits.numpy()[0], whole[place], atol=1e-5)


def test_it_learns_and_writes(text) -> None:
    Tensor.manual_seed(0)
    model = gpt.GPT(gpt.Sizes(len(text.alphabet), context=32, width=32, heads=2, layers=1))
    before = gpt.held_out_loss(model, text, batches=2)
    losses = gpt.train(model, text, steps=600)
    after = gpt.held_out_loss(model, text, batches=2)
    shares = np.bincount(text.training) / len(text.training)
    frequencies = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    assert before > 4 and losses[-1] < losses[0]
    assert after < frequencies - 0.3, "better than knowing how often each character comes"
    written = gpt.write(model, text.encoded("The ").tolist(), 80)
    assert len(written) == 84 and gpt.write(model, text.encoded("The ").tolist(), 80) == written
    assert text.decoded(written).count(" ") > 4
