"""Signals, as `torch.signal` has them: `signal.windows`."""

from kernelforge.signal import windows

__all__ = ["windows"]
