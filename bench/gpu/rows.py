"""Work as fast as memory is: elementwise chains, softmax, norms and cross entropy, forward and backward."""

from typing import Any

from bench.gpu.lab import Case, Lab, Operand
from kernelforge import Tensor

ROWS, COLUMNS = 16_384, 4096
WORDS = 131_072


def functional() -> Any:
    import torch

    return torch.nn.functional


def chains(rows: int, columns: int) -> list[Case]:
    """Two operands in, one result out, in 16 and in 32 bits."""

    def ours(x: Tensor, y: Tensor) -> Tensor:
        return (x * 1.5 + y).gelu() * y.sigmoid()

    def theirs(x: Any, y: Any) -> Any:
        return functional().gelu(x * 1.5 + y, approximate="tanh") * y.sigmoid()

    return [
        Case(f"gelu(1.5 x + y) sigmoid(y), {dtype}, {rows} x {columns}", (Operand((rows, columns), dtype),) * 2,
             ours, theirs, nbytes=3 * size * rows * columns, compiled=True)
        for dtype, size in (("bfloat16", 2), ("float32", 4))
    ]  # fmt: skip


def softmax(rows: int, columns: int) -> Case:
    x = Operand((rows, columns))
    return Case(
        f"softmax, {rows} x {columns}", (x,), lambda x: x.softmax(-1), lambda x: x.softmax(-1),
        nbytes=4 * rows * columns, compiled=True,
    )  # fmt: skip


def layer_norm(rows: int, columns: int, backward: bool) -> Case:
    """Of the input and of scale and shift."""

    def ours(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return x.layernorm() * scale + shift

    def theirs(x: Any, scale: Any, shift: Any) -> Any:
        return functional().layer_norm(x, (columns,), scale, shift)

    whole, vector = Operand((rows, columns)), Operand((columns,))
    moved = 3 if backward else 2  # arrays: in, out; with a cotangent in
    return Case(
        f"layer norm{', backward' if backward else ''}, {rows} x {columns}",
        (whole, vector, vector, *([whole] if backward else [])), ours, theirs, nbytes=2 * moved * rows * columns,
        wrt=(0, 1, 2) if backward else (), cotangent=backward, compiled=True,
    )  # fmt: skip


def cross_entropy(rows: int, words: int) -> Case:
    """The gradient with respect to the logits; it reads them and writes as many."""

    def ours(logits: Tensor, labels: Tensor) -> Tensor:
        return logits.cast("float32").cross_entropy(labels)

    def theirs(logits: Any, labels: Any) -> Any:
        return functional().cross_entropy(logits.float(), labels)

    return Case(
        f"cross entropy with gradient, {rows} x {words}", (Operand((rows, words)), Operand((rows,), high=words)),
        ours, theirs, nbytes=4 * rows * words, wrt=(0,), compiled=True,
    )  # fmt: skip


def cases(rows: int, columns: int, words: int) -> list[Case]:
    """All of them."""
    found = [*chains(rows, columns), *(softmax(rows, n) for n in (columns // 4, columns, 4 * columns))]
    found += [layer_norm(rows, n, backward) for backward in (False, True) for n in (columns // 4, columns)]
    return [*found, cross_entropy(rows // 2, columns * 8), cross_entropy(rows // 2, words)]


def all_rows(lab: Lab, section: str) -> None:
    lab.run(section, cases(*((64, 128, 200) if lab.small else (ROWS, COLUMNS, WORDS))))
