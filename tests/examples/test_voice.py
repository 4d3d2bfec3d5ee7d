"""Silero's own tinygrad file runs on kernelforge, and judges sounds as the same model in torch does."""

import importlib.util
import sys

import numpy as np
import pytest

from examples import voice
from kernelforge import Tensor
from kernelforge.nn.state import get_state_dict

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("silero_vad") is None, reason="silero-vad is not installed"),
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
    [(begin, end)] = voice.passages(likely)
    assert 1.9 < begin < 2.2 and 3.0 < end < 4.1
    assert likely[:60].max() < 0.1 and likely[-50:].max() < 0.1


def reference(torch, state: dict, sound: np.ndarray) -> list[float]:
    """The same model over all chunks of a sound, written with torch's functions."""
    functional = torch.nn.functional
    cell = torch.nn.LSTMCell(128, 128)
    cell.load_state_dict({name[10:]: value for name, value in state.items() if name.startswith("lstm_cell.")})
    padded, memory, found = np.pad(sound, (voice.CONTEXT, 0)), None, []
    for end in range(voice.CONTEXT + voice.CHUNK, len(padded) + 1, voice.CHUNK):
        x = torch.tensor(padded[None, None, end - voice.CHUNK - voice.CONTEXT : end])
        x = functional.conv1d(functional.pad(x, (0, 64), "reflect"), state["stft_conv.weight"], stride=128)
        x = (x[:, :129] ** 2 + x[:, 129:] ** 2).sqrt()
        for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
            x = functional.conv1d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding=1).relu()
        memory = cell(x.squeeze(-1), memory)
        last = functional.conv1d(memory[0].relu().unsqueeze(-1), state["final_conv.weight"], state["final_conv.bias"])
        found.append(last.sigmoid().item())
    return found


def test_every_chance_is_torchs(model) -> None:
    torch = pytest.importorskip("torch")
    state = {name: torch.tensor(tensor.numpy()) for name, tensor in get_state_dict(model).items()}
    sound = voice.made_up()[50 * voice.CHUNK : 120 * voice.CHUNK].astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(voice.chances(model, sound), reference(torch, state, sound), atol=1e-5)
