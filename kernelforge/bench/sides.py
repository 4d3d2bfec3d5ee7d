"""Processes that take turns: each holds one library and does what it is told.

Comes in: requests, a method's name and its arguments.  Goes out: the method's result, or Refused with the text of the
error.  Between requests a process waits without computing.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

PATIENCE: Final = 240.0  # seconds a process may take to answer, compilation included


class Refused(Exception):
    """What a side could not do; the text is for the table."""


class Side:
    """A process, begun when first asked for something, and anew after it was ended.

    make  makes the object whose methods are the requests, in the process
    """

    def __init__(self, name: str, make: Callable[..., Any], *arguments: Any) -> None:
        self.name, self.make, self.arguments = name, make, arguments
        self.process: Any = None
        self.pipe: Any = None

    def ask(self, *request: Any) -> None:
        """Send a request; `answer` waits for what comes of it."""
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, end = context.Pipe()
            self.process = context.Process(target=serve, args=(end, self.make, self.arguments), daemon=True)
            self.process.start()
            end.close()
        self.pipe.send(request)

    def answer(self) -> Any:
        """The result of the request; raises Refused where there is none."""
        try:
            if not self.pipe.poll(PATIENCE):
                self.end()
                raise Refused(f"no answer in {PATIENCE:.0f} s")
            fine, value = self.pipe.recv()
        except EOFError:
            self.end()
            raise Refused("the process ended") from None
        if not fine:
            raise Refused(value)
        return value

    def do(self, *request: Any) -> Any:
        """ask() and answer()."""
        self.ask(*request)
        return self.answer()

    def end(self) -> None:
        """End the process: hang up, and do not wait long for one that is busy."""
        if self.process is not None:
            self.pipe.close()
            self.process.join(1)
            self.process.kill()
            self.process.join()
            self.process = None


def serve(pipe: Connection, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Answer requests until the other end hangs up."""
    worker: Any = None
    while True:
        try:
            request, *values = pipe.recv()
        except EOFError:
            return
        try:
            worker = worker or make(*arguments)
            pipe.send((True, getattr(worker, request)(*values)))
        except Exception as error:  # every library has its own; the parent reports it in the table
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            pipe.send((False, text.replace(f"{Path.cwd()}{os.sep}", "")[:200]))
