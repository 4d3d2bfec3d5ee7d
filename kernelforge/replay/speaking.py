"""What a function prints, logs and warns of, so that replays do again.

Comes in: a call that is being captured.  Goes out: functions that say the same.  The words need no guard: values of
tensors that reach Python are compared, so whoever says other words is not replayed.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import get_ident
from types import FrameType
from typing import Any, Final

from kernelforge.replay.watching import asking

HANDLE: Final = logging.Logger.handle.__code__
STREAMS: Final = ("stdout", "stderr")


class Heard:
    """A stream that notes what one thread's user code writes to it."""

    def __init__(self, stream: Any, note: Callable[[str], None]) -> None:
        self._stream, self._note, self._thread = stream, note, get_ident()

    def write(self, text: str) -> Any:
        """Writes, and notes what was written."""
        if get_ident() == self._thread and asking(sys._getframe(1)) is not None:
            self._note(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def heard(said: list[Callable[[], None]]) -> Iterator[None]:
    """A context that notes what is written to the standard streams, and warnings that are shown."""
    streams = {name: getattr(sys, name) for name in STREAMS}
    found = {name: Heard(stream, lambda text, name=name: said.append(partial(_write, name, text)))  # type: ignore[misc]
             for name, stream in streams.items() if stream is not None}  # fmt: skip
    for name, stream in found.items():
        setattr(sys, name, stream)
    show = warnings.showwarning
    warnings.showwarning = note = _warned(show, said)
    try:
        yield
    finally:
        if warnings.showwarning is note:
            warnings.showwarning = show
        for name, stream in found.items():
            if getattr(sys, name) is stream:
                setattr(sys, name, streams[name])


def _warned(show: Callable[..., None], said: list[Callable[[], None]]) -> Callable[..., None]:
    """What shows a warning, and notes it where one thread's user code gave it."""
    thread = get_ident()

    def note(message: Warning, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        user = asking(sys._getframe(1), aside=frozenset()) if get_ident() == thread else None
        if user is not None:
            registry = user.f_globals.setdefault("__warningregistry__", {})
            said.append(partial(warnings.warn_explicit, message, category, filename, lineno, registry=registry))
        show(message, category, filename, lineno, *rest)

    return note


def _write(name: str, text: str) -> None:
    getattr(sys, name).write(text)


def logged(frame: FrameType, said: list[Callable[[], None]]) -> None:
    """Notes what is logged in a frame of `Logger.handle`."""
    if asking(frame.f_back, aside=frozenset()) is not None:
        record: logging.LogRecord = frame.f_locals["record"]
        said.append(partial(_log, frame.f_locals["self"], record))


def _log(logger: logging.Logger, said: logging.LogRecord) -> None:
    place = said.name, said.levelno, said.pathname, said.lineno
    logger.handle(logging.LogRecord(*place, said.getMessage(), (), said.exc_info, said.funcName))
