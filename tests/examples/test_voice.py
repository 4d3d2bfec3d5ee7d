"""Silero's own tinygrad file runs on kernelforge, and judges sounds as Silero's torch model does."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from examples import voice
from kernelforge import Tensor, nn

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("silero_vad") is None, reason="silero-vad is not installed"),
    pytest.mark.skipif(not hasattr(nn, "LSTMCell"), reason="nn has no LSTMCell"),
]


@pytest.fixture(scope="module")
def model():
    return voice.load_model()


def test_the_file_is_theirs_and_the_names_are_given_back(model) -> None:
    before = sys.modules.get("tinygrad")
    assert voice.load_model().stft_conv.weight.shape == (258, 1, 256)
    assert sys.modules.get("tinygrad") is before and isinstance(model.conv1.weight, Tensor)


def test_voices_are_found_and_silence_is_not(model) -> None:
    likely = voice.chances(model, voice.made_up())
    [(begin, end)] = voice.passages(likely)[:1]
    assert 1.9 < begin < 2.2 and 3.0 < end < 4.1
    assert likely[:60].max() < 0.1 and likely[-50:].max() < 0.1


def test_every_chance_is_that_of_the_torch_model(model) -> None:
    torch = pytest.importorskip("torch")
    folder = Path(importlib.util.find_spec("silero_vad").submodule_search_locations[0])
    theirs = torch.jit.load(folder / "data" / "silero_vad.jit", map_location="cpu")
    sound = voice.made_up()[: 100 * voice.CHUNK].astype(np.float32)
    with torch.no_grad():
        expected = [theirs(torch.tensor(chunk)[None], voice.RATE).item() for chunk in sound.reshape(-1, voice.CHUNK)]
    np.testing.assert_allclose(voice.chances(model, sound), expected, atol=2e-3)
