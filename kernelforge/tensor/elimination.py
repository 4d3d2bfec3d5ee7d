"""Gaussian elimination on the host: factors of matrices NumPy has no functions for.

Comes in: batches of matrices as arrays.  Goes out: arrays, as LAPACK's getrf, sytrf and hetrf leave them: factors side
by side, places of exchanged rows counted from 1.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_GROWTH: Final = (1 + math.sqrt(17)) / 8  # Bunch and Kaufman's bound between blocks of one row and of two


def _size(x: Any) -> Any:
    """What LAPACK compares complex numbers by."""
    return np.abs(x.real) + np.abs(x.imag) if np.iscomplexobj(x) else np.abs(x)


def lu(a: NDArray, pivot: bool) -> tuple[NDArray, NDArray, NDArray]:
    """L below the diagonal and U from it on; the row each was exchanged with; the first zero pivot, from 1, or 0."""
    x = np.array(a)
    batch, (m, n) = x.shape[:-2], x.shape[-2:]
    k = min(m, n)
    flat = x.reshape(math.prod(batch), m, n)
    pivots = np.tile(np.arange(1, k + 1), (len(flat), 1))
    info = np.zeros(len(flat), np.int64)
    every = np.arange(len(flat))
    for j in range(k):
        if pivot:
            found = j + _size(flat[:, j:, j]).argmax(-1)
            pivots[:, j] = found + 1
            rows = flat[every, found]
            flat[every, found] = flat[:, j]
            flat[:, j] = rows
        head = flat[:, j, j]
        info = np.where((info == 0) & (head == 0), j + 1, info)
        flat[:, j + 1 :, j] /= np.where(head == 0, 1, head)[:, None]
        flat[:, j + 1 :, j + 1 :] -= flat[:, j + 1 :, j, None] * flat[:, j, None, j + 1 :]
    return flat.reshape(x.shape), pivots.reshape(*batch, k), info.reshape(batch)


def order_of_rows(pivots: NDArray, m: int) -> NDArray:
    """The row of the matrix that each row of L @ U is, given the exchanges."""
    flat = pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1]).astype(np.int64) - 1
    order = np.tile(np.arange(m), (len(flat), 1))
    every = np.arange(len(flat))
    for j in range(flat.shape[-1]):
        other = order[every, flat[:, j]]
        order[every, flat[:, j]] = order[:, j]
        order[:, j] = other
    return order.reshape(*pivots.shape[:-1], m)


def ldl(a: NDArray, hermitian: bool) -> tuple[NDArray, NDArray, NDArray]:
    """L and D of symmetric matrices, of which the lower triangle is read; exchanges; the first zero block, or 0."""
    x = np.tril(a)
    batch, n = x.shape[:-2], x.shape[-1]
    flat = x.reshape(math.prod(batch), n, n)
    pivots, info = np.zeros((len(flat), n), np.int64), np.zeros(len(flat), np.int64)
    for number, matrix in enumerate(flat):
        info[number] = _ldl(matrix, pivots[number], hermitian and np.iscomplexobj(matrix))
    return flat.reshape(x.shape), pivots.reshape(*batch, n), info.reshape(batch)


def _ldl(a: NDArray, pivots: NDArray, hermitian: bool) -> int:
    """The factors of one matrix in its place; returns where the first block is zero, from 1, or 0."""
    n, k, info = len(a), 0, 0
    conj: Any = np.conj if hermitian else np.asarray
    while k < n:
        width, other = _block(a, k, hermitian)
        last = k + width - 1
        if other != last:
            _exchange(a, k, last, other, conj)
        pivots[k : k + width] = other + 1 if width == 1 else -(other + 1)
        block = _whole_block(a, k, width, conj)
        if width == 1 and not a[k, k]:
            info = info or k + 1
        else:
            columns = a[k + width :, k : k + width]
            factors = columns @ np.linalg.inv(block)
            a[k + width :, k + width :] -= np.tril(factors @ conj(columns).T)
            a[k + width :, k : k + width] = factors
        k += width
    return info


def _whole_block(a: NDArray, k: int, width: int, conj: Any) -> NDArray:
    """Both triangles of a block of D."""
    below = np.tril(a[k : k + width, k : k + width], -1)
    return below + conj(below).T + np.diag(a.diagonal()[k : k + width])


def _block(a: NDArray, k: int, hermitian: bool) -> tuple[int, int]:
    """How many rows the next block has, and which row takes the place of its last one."""
    head = _size(a[k, k].real if hermitian else a[k, k])
    column = _size(a[k + 1 :, k])
    if not column.size or not (most := column.max()) or head >= _GROWTH * most:
        return 1, k
    row = k + 1 + int(column.argmax())
    beside = max(_size(a[row, k:row]).max(), _size(a[row + 1 :, row]).max(initial=0))
    if head >= _GROWTH * most * (most / beside):
        return 1, k
    return (1, row) if _size(a[row, row].real if hermitian else a[row, row]) >= _GROWTH * beside else (2, row)


def _exchange(a: NDArray, first: int, i: int, j: int, conj: Any) -> None:
    """Exchanges rows and columns i < j of the symmetric matrix from `first` on, in its lower triangle."""
    a[j + 1 :, [i, j]] = a[j + 1 :, [j, i]]
    between = conj(a[i + 1 : j, i]).copy()
    a[i + 1 : j, i] = conj(a[j, i + 1 : j])
    a[j, i + 1 : j] = between
    a[j, i] = conj(a[j, i])
    a[i, i], a[j, j] = a[j, j], a[i, i]
    if first < i:
        a[i, first], a[j, first] = a[j, first], a[i, first]


def ldl_solve(factors: NDArray, pivots: NDArray, b: NDArray, hermitian: bool) -> NDArray:
    """The x of A @ x = b, from what ldl() made of A."""
    x = np.array(b, np.result_type(factors, b))
    n, width = x.shape[-2:]
    count = math.prod(x.shape[:-2])
    flat, lds = x.reshape(count, n, width), factors.reshape(count, n, n)
    places = pivots.real.astype(np.int64).reshape(count, n)
    for matrix, places_of_one, right in zip(lds, places, flat):
        _ldl_solve(matrix, places_of_one, right, hermitian and np.iscomplexobj(factors))
    return flat.reshape(x.shape)


def _ldl_solve(a: NDArray, pivots: NDArray, b: NDArray, hermitian: bool) -> None:
    conj: Any = np.conj if hermitian else np.asarray
    blocks, k = [], 0
    while k < len(a):
        width = 1 if pivots[k] > 0 else 2
        blocks.append((k, width, abs(int(pivots[k])) - 1))
        k += width
    for k, width, other in blocks:
        last = k + width - 1
        b[[last, other]] = b[[other, last]]
        b[k + width :] -= a[k + width :, k : k + width] @ b[k : k + width]
        block = _whole_block(a, k, width, conj)
        b[k : k + width] = np.linalg.solve(block, b[k : k + width])
    for k, width, other in reversed(blocks):
        last = k + width - 1
        b[k : k + width] -= conj(a[k + width :, k : k + width]).T @ b[k + width :]
        b[[last, other]] = b[[other, last]]
