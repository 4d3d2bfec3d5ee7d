"""Products: matrix product, einsum and linear layers.

Comes in: tensors.  Goes out: elementwise products summed over the contracted axes.  That is all a contraction is here;
that it runs as one is the code generator's business.  Products of 16-bit floats are added up in float32.
"""

from __future__ import annotations

import re
from math import prod
from typing import Self

from codegen.dtypes import DType, promote
from kernelforge import shape as shapes
from kernelforge.errors import ShapeError
from kernelforge.kinds import as_dtype
from kernelforge.tensor.composite import composite
from kernelforge.tensor.reduce import Reduce


class Linalg(Reduce):
    """Operations that multiply and add."""

    __slots__ = ()

    def _contracted(self, other: Self, axes: tuple[int, ...], dtype: DType | str | None) -> Self:
        """The product of two broadcastable tensors summed over axes, added up in at least float32."""
        kind = promote(self.dtype, other.dtype)
        wanted = kind if dtype is None else as_dtype(dtype)
        work = promote(kind, wanted).arithmetic
        product = self.cast(work) * other.cast(work)
        return product._reduce("or" if work.kind == "b" else "add", axes, False, "sum").cast(wanted)

    @composite
    def dot(self, w: Self, dtype: DType | str | None = None) -> Self:
        """The matrix product, as NumPy's matmul: [.., m, k] @ [.., k, n] -> [.., m, n]; vectors act as rows or columns.

        >>> Tensor([[1, 2], [3, 4]]).dot(Tensor([5, 6])).tolist()
        [17, 39]

        raises ShapeError
        """
        w = self._as_tensor(w)
        if not self.ndim or not w.ndim:
            raise ShapeError(f"matmul of {self.shape} and {w.shape}: a scalar has no axis to contract; use *")
        a = self.unsqueeze(0) if self.ndim == 1 else self
        b = w.unsqueeze(-1) if w.ndim == 1 else w
        batch, m, k, n = shapes.matmul_shapes(a.shape, b.shape)
        lead_a = (1,) * (len(batch) + 2 - a.ndim) + a.shape[:-2]
        lead_b = (1,) * (len(batch) + 2 - b.ndim) + b.shape[:-2]
        left = a.reshape(*lead_a, m, 1, k)
        right = b.transpose(-1, -2).reshape(*lead_b, 1, n, k)
        result = left._contracted(right, (len(batch) + 2,), dtype)
        if self.ndim == 1 or w.ndim == 1:
            kept = batch + ((m,) if self.ndim > 1 else ()) + ((n,) if w.ndim > 1 else ())
            return result.reshape(kept)
        return result

    def matmul(self, x: Self, reverse: bool = False, dtype: DType | str | None = None) -> Self:
        """The matrix product self @ x, or x @ self if reverse."""
        return self._as_tensor(x).dot(self, dtype) if reverse else self.dot(x, dtype)

    @composite
    def __matmul__(self, other: Self) -> Self:
        return self.dot(other)

    def __rmatmul__(self, other: Self) -> Self:
        return self.matmul(other, reverse=True)

    @composite
    def outer(self, other: Self) -> Self:
        """The product of every element of this vector with every one of other."""
        return self.reshape(-1, 1) * other.reshape(1, -1)

    @composite
    def linear(self, weight: Self, bias: Self | None = None, dtype: DType | str | None = None) -> Self:
        """self @ weight + bias, for a weight of [in, out]; a weight vector scales instead."""
        x = self * weight if weight.ndim == 1 else self.dot(weight, dtype)
        return x if bias is None else x + bias

    @composite
    def _linear_by_rows(self, weight: Self, bias: Self | None = None) -> Self:
        """self @ weight.T + bias, for a weight of [out, in]."""
        return self.linear(weight.T, bias)

    @classmethod
    @composite
    def einsum(cls, formula: str, *operands: Self, dtype: DType | str | None = None) -> Self:
        """Products of the operands summed over the letters the output lacks, in Einstein's notation.

            "ij,jk->ik"   a matrix product          "ii->i"   the diagonal
            "b...d,d->b..."   an ellipsis stands for axes without letters, broadcast together

        Without "->" the output has the letters that occur once, in alphabetical order.  The two operands whose product
        takes the fewest multiplications are joined first, and a letter is summed over as soon as no other has it.

        raises ShapeError when the formula does not fit the operands
        """
        if len(operands) == 1 and isinstance(operands[0], list | tuple):
            return cls.einsum(formula, *operands[0], dtype=dtype)
        inputs, output = _parsed(formula, [x.shape for x in operands])
        terms = [x._without_repeats(letters) for x, letters in zip(operands, inputs)]
        while len(terms) > 1:
            i, j = _cheapest_pair([dict(zip(letters, x.shape)) for x, letters in terms])
            (term, added), (first, letters) = terms.pop(j), terms.pop(i)
            later = set(output).union(*[other for _, other in terms])
            terms.insert(0, first._joined_by_letters(letters, term, added, later, dtype))
        result, letters = terms[0]
        gone = tuple([i for i, letter in enumerate(letters) if letter not in output])
        kind = dtype or (result.dtype if len(operands) > 1 else None)
        result = result.sum(gone, dtype=kind) if gone else result
        kept = [letter for letter in letters if letter in output]
        return result.permute([kept.index(letter) for letter in output])

    def _without_repeats(self, letters: str) -> tuple[Self, str]:
        """This tensor with the diagonal taken of axes that share a letter, and its letters."""
        x = self
        while len(set(letters)) < len(letters):
            letter = next(letter for letter in letters if letters.count(letter) > 1)
            first, second = letters.index(letter), letters.rindex(letter)
            x = x.diagonal(0, first, second)
            letters = letters[:first] + letters[first + 1 : second] + letters[second + 1 :] + letter
        return x, letters

    def _joined_by_letters(
        self, letters: str, other: Self, others: str, later: set[str], dtype: DType | str | None
    ) -> tuple[Self, str]:
        """The product of two tensors with named axes, summed over the names that do not occur later."""
        names = letters + "".join(letter for letter in others if letter not in letters)
        aligned = []
        for x, own in ((self, letters), (other, others)):
            present = [letter for letter in names if letter in own]
            sizes = dict(zip(own, x.shape))
            aligned.append(x.permute([own.index(n) for n in present]).reshape([sizes.get(n, 1) for n in names]))
        gone = tuple([i for i, letter in enumerate(names) if letter not in later])
        alone = any(aligned[0].shape[i] != aligned[1].shape[i] for i in gone)
        if dtype is None and alone and not (self.dtype.is_inexact or other.dtype.is_inexact):
            dtype = "int64"  # as the sum of the one operand that has the letter
        return aligned[0]._contracted(aligned[1], gone, dtype), "".join(n for n in names if n in later)


def _cheapest_pair(operands: list[dict[str, int]]) -> tuple[int, int]:
    """The two operands, given by the sizes of their letters, whose product takes the fewest multiplications."""
    pairs = [(i, j) for j in range(len(operands)) for i in range(j)]
    return min(pairs, key=lambda pair: prod((operands[pair[0]] | operands[pair[1]]).values()))


_UNNAMED = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _parsed(formula: str, operands: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """The letters of each operand and of the output, with the axes of an ellipsis named by unused letters.

    raises ShapeError
    """
    left, arrow, output = formula.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(operands):
        raise ShapeError(f"einsum {formula!r} names {len(inputs)} operands, got {len(operands)}")
    if not all(re.fullmatch(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*", term) for term in (*inputs, output)):
        raise ShapeError(f"einsum {formula!r}: terms are made of letters and at most one '...'")
    free = [letter for letter in _UNNAMED if letter not in formula]
    named = [_expanded_ellipsis(term, len(shape), free, formula) for term, shape in zip(inputs, operands)]
    widest = max((len(shape) - len(term) + 3 for term, shape in zip(inputs, operands) if "..." in term), default=0)
    dots = "".join(free[:widest][::-1])
    if not arrow:
        letters = "".join(inputs).replace(".", "")
        output = "..." * bool(widest) + "".join(sorted(x for x in set(letters) if letters.count(x) == 1))
    output = output.replace("...", dots)
    sizes: dict[str, int] = {}
    for term, shape in zip(named, operands):
        for letter, size in zip(term, shape):
            known = sizes.get(letter, 1)
            if size != known and 1 not in (size, known):
                raise ShapeError(f"einsum {formula!r} of {operands}: {letter!r} is both {known} and {size}")
            sizes[letter] = max(size, known) if size else 0
    if len(set(output)) < len(output) or not set(output) <= sizes.keys():
        raise ShapeError(f"einsum {formula!r}: the output names each letter once, and only letters of the operands")
    return named, output


def _expanded_ellipsis(term: str, rank: int, free: list[str], formula: str) -> str:
    count = rank - len(term) + 3 if "..." in term else 0
    if count < 0 or ("..." not in term and rank != len(term)):
        raise ShapeError(f"einsum {formula!r}: the term {term!r} does not fit a tensor with {rank} dimensions")
    return term.replace("...", "".join(free[:count][::-1]))
