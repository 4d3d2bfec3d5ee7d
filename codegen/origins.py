"""Where expressions and lines of source come from.

Comes in: what a lowering says of its expressions, and every rewrite's old and new ones.  Goes out: for expressions, the
tags of those they were made from; for lines of source, the expression they compute; the steps a kernel was rewritten
in.  What a tag is the lowering knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from codegen.ir import Expr, Kernel, children

Tags = frozenset[Any]
Origins = dict[Expr, Tags]
NO_TAGS: Final[Tags] = frozenset()

class Rewrite(NamedTuple):
    """A rewrite that changed a kernel."""

    rule: str
    before: Kernel
    after: Kernel


_steps: Final[ContextVar[list[Rewrite] | None]] = ContextVar("steps", default=None)
_followed: Final[ContextVar[Origins | None]] = ContextVar("followed", default=None)


class Line(str):
    """A line of source that knows what it computes."""

    __slots__ = ("origin",)

    origin: Expr | None


def line(text: str, origin: Expr | None) -> Line:
    """A line that computes a part of an expression; of None where it belongs to no one."""
    made = Line(text)
    made.origin = origin
    return made


def origins_of(lines: Sequence[str]) -> tuple[Expr | None, ...]:
    """What each line computes."""
    return tuple(text.origin if isinstance(text, Line) else None for text in lines)


@contextmanager
def following(origins: Origins, steps: list[Rewrite] | None = None) -> Iterator[None]:
    """A context in which what rewrites make of expressions gets their tags, and the rewrites are noted as steps."""
    token, noted = _followed.set(origins), _steps.set(steps)
    try:
        yield
    finally:
        _followed.reset(token)
        _steps.reset(noted)


def applied(rule: Callable[[Kernel], Kernel], kernel: Kernel) -> Kernel:
    """What a rewrite makes of a kernel, noted where steps are."""
    after = rule(kernel)
    if after is not kernel and (steps := _steps.get()) is not None:
        steps.append(Rewrite(rule.__name__, kernel, after))
    return after


def note(e: Expr, tag: object) -> None:
    """Tells where an expression comes from."""
    origins = _followed.get()
    if origins is not None:
        origins[e] = origins.get(e, NO_TAGS) | {tag}


def follow(made: Mapping[Expr, Expr]) -> None:
    """Tells that a rewrite put new expressions in the places of old ones."""
    origins = _followed.get()
    if origins is None:
        return
    for old, new in made.items():
        if new is not old and (tags := origins.get(old)):
            origins[new] = origins.get(new, NO_TAGS) | tags


def completed(kernel: Kernel, origins: Origins) -> Origins:
    """The tags of every expression of a kernel; one without tags has those of what it is a part of, else of its parts.
    """
    found = {e: origins.get(e, NO_TAGS) for e in kernel.exprs}
    for e in reversed(kernel.exprs):
        for child in children(e):
            if not origins.get(child):
                found[child] |= found[e]
    for e in kernel.exprs:
        if not found[e]:
            found[e] = NO_TAGS.union(*(found[child] for child in children(e)))
    return found
