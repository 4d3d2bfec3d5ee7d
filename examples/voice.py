"""Find speech in a recording with Silero VAD: its own model file, written for tinygrad, runs here as it is.

    pip install 'kernelforge[cpu]' && pip install --no-deps silero-vad
    python examples/voice.py [RECORDING.wav]

The package brings the model's source and its weights; it would also bring torch, which this does not need, hence
--no-deps. For the time of its import the name tinygrad means kernelforge. Without a recording (16 kHz, mono, 16 bits)
the sound is one made up: vowels between silences, hum and noise.
"""

import argparse
import importlib.util
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

import kernelforge
from kernelforge import Tensor
from kernelforge.nn.state import load_state_dict, safe_load

RATE: Final = 16000
CHUNK, CONTEXT = 512, 64  # samples judged at a time, and those before them the model sees as well


@contextmanager
def known_as(name: str, module: ModuleType) -> Iterator[None]:
    """Another name a module can be imported by."""
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield
    finally:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before


def load_model() -> Any:
    """Silero's model with its weights: chunks [n, CONTEXT + CHUNK] and a state -> probabilities of speech, state."""
    package = importlib.util.find_spec("silero_vad")  # found, not imported: that would import torch
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError("pip install --no-deps silero-vad")
    folder = Path(package.submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("tinygrad_model", folder / "tinygrad_model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with known_as("tinygrad", kernelforge):
        spec.loader.exec_module(module)
    model = module.TinySileroVAD()
    load_state_dict(model, safe_load(folder / "data" / "silero_vad_16k.safetensors"))
    return model


def chances(model: Any, sound: np.ndarray) -> np.ndarray:
    """The probability of speech in each chunk of a sound [samples] from -1 to 1."""
    padded = np.pad(sound.astype(np.float32), (CONTEXT, -len(sound) % CHUNK))
    found, state = [], Tensor.zeros(2, 1, 128).contiguous()
    for end in range(CONTEXT + CHUNK, len(padded) + 1, CHUNK):
        chance, state = model(Tensor(padded[None, end - CHUNK - CONTEXT : end]), state)
        found.append(chance.realize(state).item())
    return np.array(found)


def passages(likely: np.ndarray, begin: float = 0.5, end: float = 0.35, pause: float = 0.2) -> list[list[float]]:
    """Where speech begins, more likely than `begin`, and ends, less likely than `end`, in seconds."""
    found: list[list[float]] = []
    speaking = False
    for place, chance in enumerate([*likely, 0.0]):
        seconds = place * CHUNK / RATE
        if not speaking and chance > begin:
            speaking = True
            found.append([found.pop()[0] if found and seconds - found[-1][1] < pause else seconds, seconds])
        elif speaking and chance < end:
            speaking = False
            found[-1][1] = seconds
    return found


def vowel(pitch: float, formants: tuple[float, ...], seconds: float) -> np.ndarray:
    """A sung vowel: the harmonics of a wavering pitch, loudest near the formants."""
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.02 * np.sin(2 * np.pi * 5 * time))) / RATE
    sound = np.zeros_like(time)
    for k in range(1, int(4000 / pitch)):
        loudness = sum(np.exp(-(((k * pitch - formant) / 120) ** 2)) for formant in formants)
        sound += (loudness + 0.02) / k**0.5 * np.sin(k * phase)
    return sound / np.abs(sound).max() * np.minimum(1, np.minimum(time, time[::-1]) / 0.05)


def made_up(seed: int = 0) -> np.ndarray:
    """Two seconds of noise and hum, two of vowels, two of noise."""
    random = np.random.default_rng(seed)
    a, e, o = (730, 1090, 2440), (530, 1840, 2480), (570, 840, 2410)
    sung = np.concatenate([vowel(pitch, kind, 0.4) for pitch, kind in zip((120, 130, 115, 125, 110), (a, o, e, a, o))])
    time = np.arange(2 * RATE) / RATE
    quiet = 0.02 * np.sin(2 * np.pi * 50 * time)
    sound = np.concatenate([quiet, 0.5 * sung, quiet])
    return sound + random.normal(0, 0.003, len(sound))


def recording(path: Path) -> np.ndarray:
    """The samples of a wav file from -1 to 1."""
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            raise ValueError(f"{path}: 16 kHz, one channel and 16 bits are needed")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def main() -> None:
    parser = argparse.ArgumentParser(description="Find speech in a recording.")
    parser.add_argument("recording", nargs="?", type=Path, help="a wav file (default: a sound made up)")
    options = parser.parse_args()
    sound = recording(options.recording) if options.recording else made_up()
    likely = chances(load_model(), sound)
    print(f"{len(sound) / RATE:.1f} seconds, speech in {(likely > 0.5).mean():.0%} of them")
    for begin, end in passages(likely):
        print(f"{begin:7.2f} to {end:.2f}")


if __name__ == "__main__":
    main()
