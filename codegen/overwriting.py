"""Results written where an operand was read: one array in place of two.

Comes in: a kernel.  Goes out: which results may take the place of which operands, and the kernel that does so.  It is
for whoever owns the memory to say that nobody needs the operand afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from codegen.ir import Kernel, Load, Param, Store, walk

Pairs = Mapping[Param, Param]


def overwritable(kernel: Kernel) -> dict[Param, tuple[Param, ...]]:
    """For each result that may be written in place of an operand, these operands.

    It holds in kernels whose stores do not accumulate, for an operand of the result's size and type that is read at the
    very place the result's point is written to, and nowhere else: not inside sums and scans, which read many points for
    one, and not by results over other axes.

        out[i] = x[i] * y[n-i]                  ->  out may take the place of x
        out[i] = x[i] - sum over k (y[k, i])    ->  out may take the place of x
        out[i] = y[i] * sum over i (x[i])       ->  out may take the place of y
    """
    if any(store.mode not in ("set", "flag") for store in kernel.stores):
        return {}
    written = Counter(store.param for store in kernel.stores)
    reads = _reads(kernel)
    many = {e.param for e in walk([e.args[0] for e in (*kernel.reduces, *kernel.scans)]) if isinstance(e, Load)}
    found = {}
    for store in kernel.stores:
        if store.mode == "set" and written[store.param] == 1 and store.param not in reads:
            fitting = tuple(x for x, loads in reads.items() if x not in many and _fits(store, x, loads))
            if fitting:
                found[store.param] = fitting
    return found


def _reads(kernel: Kernel) -> dict[Param, list[tuple[Load, Store]]]:
    """The loads of each array, with the stores that make them."""
    found: dict[Param, list[tuple[Load, Store]]] = {}
    for store in kernel.stores:
        for e in walk(store.roots):
            if isinstance(e, Load):
                found.setdefault(e.param, []).append((e, store))
    return found


def _fits(store: Store, param: Param, reads: list[tuple[Load, Store]]) -> bool:
    if param.size != store.param.size or param.dtype is not store.param.dtype or store.index.is_dynamic:
        return False
    axes = frozenset(store.axes)
    return all(
        e.index == store.index
        and (not store.guards or e.guards == store.guards)
        and user.mode == "set"
        and axes == frozenset(user.axes)
        for e, user in reads
    )


def paired(kernel: Kernel, fitting: Mapping[Param, Sequence[Param]]) -> dict[Param, Param]:
    """An operand for each result as far as they go, of those that fit it.

    A result takes what it is computed from, rather than what others are: an average stays where the average was, and a
    gradient does not take the place of the weight.
    """
    readers = {param: {store.param for _, store in reads} for param, reads in _reads(kernel).items()}
    own = {result: sum(result in readers[x] for x in fitting[result]) for result in fitting}
    pairs: dict[Param, Param] = {}
    for result in sorted(fitting, key=lambda result: own[result] or len(readers) + 1):
        free = [x for x in fitting[result] if x not in pairs.values()]
        if free:
            pairs[result] = min(free, key=lambda x: (result not in readers[x], len(readers[x])))
    return pairs


def overwriting(kernel: Kernel, pairs: Pairs) -> Kernel:
    """The kernel whose results are written in the places of operands.

    pairs   for each such result its operand, as `overwritable` allows; no operand twice

        out[i] = x[i] + 1  ->  x[i] = x[i] + 1
    """
    stores = tuple(
        Store(pairs.get(s.param, s.param), s.index, s.value, s.guards, s.mode, s.order, s.before) for s in kernel.stores
    )
    params = tuple(param for param in kernel.params if param not in pairs)
    return Kernel(kernel.name, params, stores)


def overwritten(kernel: Kernel) -> frozenset[Param]:
    """The arrays whose elements are read and then replaced."""
    read = {e.param for e in kernel.loads}
    return frozenset(store.param for store in kernel.stores if store.mode == "set" and store.param in read)
