"""A line that tells how far long work is.

Comes in: an iterable.  Goes out: its items, and on a terminal a line on stderr with the share that is done, the rate
and the time that is left.  Into files and pipes nothing is written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from time import monotonic
from typing import Any, Generic, TextIO, TypeVar

Item = TypeVar("Item")

EVERY = 0.1  # seconds between two looks of the line
WIDTH = 30  # characters of the bar


class progress(Generic[Item]):
    """An iterable's items, with a line on the terminal that tells how many there were.

    desc      text before the bar; may be set while it runs
    total     how many there will be; the iterable's length when None
    disable   True: no line; None: a line only where `file` is a terminal

        for batch in progress(loader, "training"): ...
    """

    def __init__(
        self,
        iterable: Iterable[Item],
        desc: str = "",
        total: int | None = None,
        unit: str = "it",
        disable: bool | None = None,
        file: TextIO | None = None,
    ) -> None:
        self.iterable, self.desc, self.unit = iterable, desc, unit
        self.file = sys.stderr if file is None else file
        self.disabled = not self.file.isatty() if disable is None else disable
        self.total = total if total is not None else len(iterable) if isinstance(iterable, Sized) else None
        self.count = 0

    def __iter__(self) -> Iterator[Item]:
        if self.disabled:
            yield from self.iterable
            return
        start = shown = monotonic()
        self.count = 0
        self._show(0.0, "")
        try:
            for item in self.iterable:
                yield item
                self.count += 1
                now = monotonic()
                if now - shown >= EVERY:
                    shown = now
                    self._show(now - start, "")
        finally:
            self._show(monotonic() - start, "\n")

    def __len__(self) -> int:
        if self.total is None:
            raise TypeError("this progress has no total")
        return self.total

    def set_description(self, desc: str) -> None:
        """Another text before the bar."""
        self.desc = desc

    def _show(self, seconds: float, end: str) -> None:
        self.file.write(f"\r{self.line(seconds)}\x1b[K{end}")
        self.file.flush()

    def line(self, seconds: float) -> str:
        """What the line says after so many seconds."""
        rate = self.count / seconds if seconds > 0 else 0.0
        text = f"{self.desc}: " if self.desc else ""
        spent = f"{_clock(seconds)}, {rate:.4g} {self.unit}/s"
        if not self.total:
            return f"{text}{self.count} {self.unit} [{spent}]"
        share = min(self.count / self.total, 1.0)
        bar = "█" * int(share * WIDTH) + "░" * (WIDTH - int(share * WIDTH))
        left = f", {_clock((self.total - self.count) / rate)} left" if rate and self.count < self.total else ""
        return f"{text}{share:4.0%} {bar} {self.count}/{self.total} [{spent}{left}]"


def trange(*bounds: int, **options: Any) -> progress[int]:
    """range(*bounds) with a line that tells how far it is."""
    return progress(range(*bounds), **options)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
