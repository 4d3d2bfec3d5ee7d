"""Weights and arrays in files: safetensors, npz, torch's .pt, GGUF.

Read the files in this order:

    mapped       a file in memory, parts of it as tensors that are copied once, straight to their device
    atomic       a file that is either there whole or not at all
    safetensors  the format, both ways
    nested       dicts, lists, numbers and tensors of any nesting in one such file
    arrays       NumPy's npy and npz
    pickled      what a pickle says, without doing it
    torchfile    torch's two formats
    blocks, gguf GGUF and its quantised blocks

`kernelforge.checkpoint` builds on it.  Whatever is wrong with a file is a `FileFormatError` that names it.  No reader
runs code a file brings.
"""

from kernelforge.io.arrays import load_npz, save_npz
from kernelforge.io.gguf import gguf_load
from kernelforge.io.nested import load, save
from kernelforge.io.safetensors import safe_load, safe_load_metadata, safe_save
from kernelforge.io.torchfile import torch_load

__all__ = [
    "gguf_load",
    "load",
    "load_npz",
    "safe_load",
    "safe_load_metadata",
    "safe_save",
    "save",
    "save_npz",
    "torch_load",
]
