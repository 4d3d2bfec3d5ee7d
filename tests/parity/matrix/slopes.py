"""First and second gradients of a call in both libraries, and slopes measured in torch's values.

Comes in: a case whose sample has tensors that require gradients.  Goes out: what is different, or "".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from kernelforge import Tensor
from kernelforge.autograd import grad
from tests.parity.matrix.calls import Case, heard, raised
from tests.parity.matrix.comparison import difference, leaves
from tests.parity.matrix.translation import Untranslatable, origin, ours, translated

Gradients = list[torch.Tensor | None]
STEP: Final = 1e-5


def tensors(sample: Any) -> list[torch.Tensor]:
    """The tensors a sample's gradients are of: those that views are of, where they are views."""
    given = leaves([sample.input, *sample.args, *sample.kwargs.values()])
    found = [origin(x) for x in given if isinstance(x, torch.Tensor) and x.requires_grad]
    return list({id(x): x for x in found}.values())


def weights_of(y: torch.Tensor) -> torch.Tensor:
    """Cotangents that are different in each place."""
    ramp = torch.arange(y.numel(), dtype=torch.float64) / max(1, y.numel()) + 0.5
    return ramp.reshape(y.shape).to(y.dtype)


def _results(case: Case) -> list[torch.Tensor]:
    return _tracked(leaves(case.sample.output_process_fn_grad(case.theirs())))


def _tracked(results: list[Any]) -> list[torch.Tensor]:
    return [y for y in results if isinstance(y, torch.Tensor) and y.requires_grad]


def _arguments(sample: Any, made: dict[int, Tensor]) -> tuple[Any, Any, Any]:
    """Our arguments; the same tensor is the same one here."""

    def once(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return translated(value, made)
        if type(value) in (tuple, list):
            return type(value)([once(part) for part in value])
        return {k: once(v) for k, v in value.items()} if isinstance(value, dict) else translated(value)

    return once(sample.input), once(tuple(sample.args)), once(heard(sample.kwargs))


def gradients(case: Case) -> tuple[str, Any, Any]:
    """How the gradients of a call differ, for a second gradient those of its gradients, and both lists of them."""
    twice, made = case.kind == "second gradient", dict[int, Tensor]()
    inputs = tensors(case.sample)
    if not inputs:
        return "skipped: no inputs", None, None
    try:
        arguments = _arguments(case.sample, made)
    except Untranslatable as reason:
        return f"skipped: {reason}", None, None
    try:
        theirs = leaves(case.sample.output_process_fn_grad(case.theirs()))
        ys = _tracked(theirs)
        weights = [weights_of(y).requires_grad_(twice) for y in ys]
        expected = list(torch.autograd.grad(ys, inputs, weights, allow_unused=True, create_graph=twice))
        second = _second(expected, [*inputs, *weights]) if twice else None
    except Exception as error:
        return f"skipped: torch: {type(error).__name__}: {str(error).splitlines()[0]}", None, None
    try:
        result = case.sample.output_process_fn_grad(case.function(arguments[0], *arguments[1], **arguments[2]))
        mine = [y for y, z in zip(leaves(result), theirs) if getattr(z, "requires_grad", False) and y.requires_grad]
        if not mine and not any(dx is not None and dx.count_nonzero() for dx in second or expected):
            return "", None, None  # steps, such as sign(), have no gradient instead of one of zeros
        if len(mine) != len(ys):
            return f"results with gradients: {len(mine)} for {len(ys)}", None, None
        xs, cotangents = [made[id(x)] for x in inputs], [ours(w).requires_grad_(twice) for w in weights]
        found = grad(mine, xs, cotangents, allow_unused=True, create_graph=twice)
        if second is None:
            return compared(found, expected, inputs)
        return compared(_our_second(found, expected, [*xs, *cotangents]), second, [*inputs, *weights])
    except Exception as error:
        return raised(error), None, None


def compared(found: Any, expected: Gradients, inputs: list[torch.Tensor]) -> tuple[str, Any, Any]:
    """How gradients differ, none being one of zeros; both lists."""
    wanted = [torch.zeros_like(x) if dx is None else dx.detach() for x, dx in zip(inputs, expected)]
    got = [ours(torch.zeros_like(x)) if dx is None else dx for x, dx in zip(inputs, found)]
    return difference(got, wanted, loose=10) or "", got, wanted


def _second(firsts: Gradients, inputs: list[torch.Tensor]) -> Gradients:
    tracked = [dx for dx in firsts if dx is not None and dx.requires_grad]
    weights = [weights_of(dx) for dx in tracked]
    return list(torch.autograd.grad(tracked, inputs, weights, allow_unused=True)) if tracked else [None] * len(inputs)


def _our_second(firsts: Any, theirs: Gradients, inputs: list[Tensor]) -> Any:
    pairs = [(dx, dt) for dx, dt in zip(firsts, theirs) if dx is not None and dt is not None and dt.requires_grad]
    tracked = [(dx, weights_of(dt)) for dx, dt in pairs if dx.requires_grad]
    if not tracked:
        return [None] * len(inputs)
    return grad([dx for dx, _ in tracked], inputs, [ours(w) for _, w in tracked], allow_unused=True)


def measured(
    case: Case, found: Any, expected: Any, alike: Callable[[torch.Tensor], torch.Tensor] = lambda x: x
) -> str:
    """Gradients are the slopes measured in torch's values in doubles, second ones those of our first gradients."""
    inputs, weights = tensors(case.sample), [weights_of(y) for y in _results(case)]
    twice = case.kind == "second gradient"
    xs, firsts = _our_firsts(case, inputs, weights, twice)
    if twice:
        tracked = [dx for dx in firsts if dx is not None and dx.requires_grad]
        firsts = grad(tracked, xs, [_ramp(dx) for dx in tracked], allow_unused=True)
    for x, dx in zip(inputs, firsts):
        got = torch.zeros_like(x) if dx is None else torch.from_numpy(dx.numpy())
        wrong = difference(ours(alike(got)), alike(_slopes(case, x, inputs, weights, twice)), loose=1e3)
        if wrong is not None:
            return wrong
    return ""


def measured_hermitian(case: Case, found: Any, expected: Any) -> str:
    """As `measured`, of matrices of which one triangle is read: slopes are those of both."""
    return measured(case, found, expected, lambda x: (x + x.mT.conj()) / 2)


def measured_factor(case: Case, found: Any, expected: Any) -> str:
    """As `measured`, of triangular matrices whose diagonal is real: of that, real parts alone."""

    def real(x: torch.Tensor) -> torch.Tensor:
        diagonal = torch.eye(x.shape[-2], x.shape[-1], dtype=torch.bool)
        return torch.where(diagonal, x.real.to(x.dtype), x)

    return measured(case, found, expected, real)


def _ramp(dx: Tensor) -> Tensor:
    return ours(weights_of(torch.from_numpy(dx.numpy())))


def _our_firsts(case: Case, inputs: Any, weights: Any, twice: bool) -> tuple[list[Tensor], list[Tensor | None]]:
    """Our tensors of a case, and first gradients."""
    made: dict[int, Tensor] = {}
    arguments = _arguments(case.sample, made)
    result = case.sample.output_process_fn_grad(case.function(arguments[0], *arguments[1], **arguments[2]))
    mine = [y for y in leaves(result) if isinstance(y, Tensor) and y.requires_grad]
    xs = [made[id(x)] for x in inputs]
    return xs, list(grad(mine, xs, [ours(w) for w in weights], allow_unused=True, create_graph=twice))


def _slopes(
    case: Case, x: torch.Tensor, inputs: list[torch.Tensor], weights: list[torch.Tensor], twice: bool
) -> torch.Tensor:
    """The slopes of the weighted results along each element of x, and along its imaginary part."""
    slopes, flat = torch.zeros(x.shape, dtype=x.dtype), x.data.view(-1)

    def value() -> float:
        if not twice:
            return sum(float((y.detach() * w.conj()).sum().real) for y, w in zip(_results(case), weights))
        firsts = [dx for dx in _our_firsts(case, inputs, weights, True)[1] if dx is not None and dx.requires_grad]
        return sum(float((dx * _ramp(dx).conj()).sum().real.item()) for dx in firsts)

    for i in range(flat.numel()):
        for direction in (1, 1j) if x.is_complex() else (1,):
            before = flat[i].clone()
            flat[i] = before + STEP * direction
            above = value()
            flat[i] = before - STEP * direction
            slopes.view(-1)[i] += direction * (above - value()) / (2 * STEP)
            flat[i] = before
    return slopes
