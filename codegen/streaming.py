"""One-pass rescaling: sums that hang on a running max only through exp(-max) join the max's pass."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.ir import Expr, Reduce


@dataclass(frozen=True, eq=False)
class Stream:
    """A max and the sums over the same axes that can be kept relative to its running value.

    max    the reduce whose running value m is kept
    shift  what the bodies subtract: the max itself or an elementwise function of it alone
    sums   (sum, degree d): sum's body equals exp(-d * shift) times something free of the max; degree 0 rides along
    """

    max: Reduce
    shift: Expr
    sums: tuple[tuple[Reduce, float], ...]
