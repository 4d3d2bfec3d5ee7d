"""One call in both libraries: forward, with gradients, in place, or one that must fail.

Comes in: an operation of torch's database and a sample of its inputs.  Goes out: what is different, or None.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from kernelforge import Tensor
from kernelforge.autograd import grad
from tests.parity.matrix import operations
from tests.parity.matrix.comparison import difference, leaves
from tests.parity.matrix.kept import PLACES, reason
from tests.parity.matrix.settling import settled
from tests.parity.matrix.translation import DTYPES, Untranslatable, ours, translated

RANDOM: Final = re.compile(
    r"bernoulli|cauchy|exponential|geometric|log_normal|multinomial|normal|uniform|rand.*|.*dropout.*|.*rrelu"
    r"|.*fractional_max_pool.*|(new_)?empty.*|nn.functional.multi_head_attention_forward"
)
UP_TO_SIGN: Final = ("svd", "linalg.svd", "linalg.eigh", "linalg.qr", "qr")
UNHEARD: Final = ("device", "layout", "pin_memory", "memory_format", "generator", "non_blocking")


@dataclass(frozen=True)
class Outcome:
    """What a case came to: `how` names the kind of failure, "" for none."""

    operation: str
    kind: str
    dtype: str
    sample: str
    how: str

    @property
    def fails(self) -> bool:
        """Whether it is neither equal nor skipped, missing, or different on purpose."""
        return bool(self.how) and self.how.split(":")[0] not in ("skipped", "missing", "kept")


def described(value: Any) -> str:
    """A sample's argument in a few words."""
    if isinstance(value, torch.Tensor):
        strided = "" if value.layout is not torch.strided or value.is_contiguous() else f"/{list(value.stride())}"
        return f"{str(value.dtype)[6:]}{list(value.shape)}{strided}"
    if isinstance(value, tuple | list):
        return f"({', '.join(described(part) for part in value)})"
    if isinstance(value, dict):
        return ", ".join(f"{name}={described(part)}" for name, part in value.items())
    return repr(value)


def compared(op: Any, sample: Any) -> dict[str, bool]:
    """How results of an operation are compared."""
    random = bool(sample.kwargs.get("dropout_p"))
    return {"by_value": not (RANDOM.fullmatch(op.name) or random), "places": bool(PLACES.fullmatch(op.name))}


def is_method(function: Callable[..., Any]) -> bool:
    """Whether a function is a tensor's."""
    return any(getattr(Tensor, name, None) is function for name in dir(Tensor))


def heard(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments without those about memory and generators."""
    return {name: value for name, value in kwargs.items() if name not in UNHEARD}


def text(sample: Any) -> str:
    """A sample in a line."""
    kwargs = described(sample.kwargs)
    return f"{described(sample.input)}; {described(tuple(sample.args))[1:-1]}" + (f"; {kwargs}" if kwargs else "")


def _computed(result: Any) -> None:
    """Computes a result to the end, so that a fault of it is raised here."""
    for leaf in leaves(result):
        if isinstance(leaf, Tensor):
            leaf.numpy()


def forward(op: Any, sample: Any, function: Callable[..., Any]) -> str:
    """How the values of a call differ."""
    try:
        arguments = translated(sample.input), translated(tuple(sample.args)), translated(heard(sample.kwargs))
    except Untranslatable as reason:
        return f"skipped: {reason}"
    if isinstance(sample.input, int | float | complex) and is_method(function):
        return "skipped: a number has no methods"
    try:
        expected = op(sample.input, *sample.args, **sample.kwargs)
    except Exception as error:
        return f"skipped: torch: {type(error).__name__}"
    try:
        found = function(arguments[0], *arguments[1], **arguments[2])
        if op.name in UP_TO_SIGN:
            found, expected = [x.abs() if isinstance(x, Tensor) else x for x in leaves(found)], [
                y.abs() if isinstance(y, torch.Tensor) else y for y in leaves(expected)
            ]
        how = difference(found, expected, **compared(op, sample)) or ""
        return settled(op, sample, found, expected, how, compared(op, sample))
    except Exception as error:
        return raised(error)


def raised(error: Exception) -> str:
    """An exception as a failure, in its first line."""
    return f"raised: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def gradients(op: Any, sample: Any, function: Callable[..., Any]) -> str:
    """How the gradients of a call differ, with cotangents that are different in each place."""
    inputs = [x for x in leaves([sample.input, *sample.args, *sample.kwargs.values()])
              if isinstance(x, torch.Tensor) and x.requires_grad]  # fmt: skip
    if not inputs or not compared(op, sample)["by_value"]:
        return "skipped: no inputs"
    made: dict[int, Tensor] = {}

    def once(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if id(value) not in made:
                made[id(value)] = translated(value)
            return made[id(value)]
        if type(value) in (tuple, list):
            return type(value)([once(part) for part in value])
        return {k: once(v) for k, v in value.items()} if isinstance(value, dict) else translated(value)

    try:
        arguments = once(sample.input), once(tuple(sample.args)), once(heard(sample.kwargs))
    except Untranslatable as reason:
        return f"skipped: {reason}"
    try:
        ys = [y for y in leaves(sample.output_process_fn_grad(op(sample.input, *sample.args, **sample.kwargs)))
              if isinstance(y, torch.Tensor) and y.requires_grad]  # fmt: skip
        weights = [_weights(y) for y in ys]
        expected = torch.autograd.grad(ys, inputs, weights, allow_unused=True)
    except Exception as error:
        return f"skipped: torch: {type(error).__name__}"
    try:
        result = sample.output_process_fn_grad(function(arguments[0], *arguments[1], **arguments[2]))
        mine = [y for y in leaves(result) if isinstance(y, Tensor) and y.requires_grad]
        if not mine and not any(dx is not None and dx.count_nonzero() for dx in expected):
            return ""  # steps, such as sign(), have no gradient instead of one of zeros
        if len(mine) != len(ys):
            return f"results with gradients: {len(mine)} for {len(ys)}"
        found = grad(mine, [made[id(x)] for x in inputs], [ours(w) for w in weights], allow_unused=True)
        zero = [torch.zeros_like(x) if dx is None else dx for x, dx in zip(inputs, expected)]
        got = [made[id(x)].zeros_like() if dx is None else dx for x, dx in zip(inputs, found)]
        return difference(got, zero, loose=10) or ""
    except Exception as error:
        return raised(error)


def _weights(y: torch.Tensor) -> torch.Tensor:
    count = max(1, y.numel())
    ramp = (torch.arange(y.numel(), dtype=torch.float64) / count + 0.5).reshape(y.shape)
    return ramp.to(y.dtype)


def in_place(op: Any, sample: Any, method: Callable[..., Any]) -> str:
    """How a tensor that was changed in place differs."""
    if not isinstance(sample.input, torch.Tensor) or sample.broadcasts_input:
        return "skipped: no tensor"
    theirs = sample.input.detach().clone()
    try:
        x = ours(theirs)
        arguments = translated(tuple(sample.args)), translated(heard(sample.kwargs))
    except Untranslatable as reason:
        return f"skipped: {reason}"
    try:
        with torch.no_grad():
            op.inplace_variant(theirs, *sample.args, **sample.kwargs)
    except Exception as error:
        try:
            _computed(method(x, *arguments[0], **arguments[1]))
        except Exception:
            return ""
        return f"no error: torch {type(error).__name__}: {str(error).splitlines()[0]}"
    try:
        method(x, *arguments[0], **arguments[1])
        how = difference(x, theirs, **compared(op, sample)) or ""
        return settled(op, sample, x, theirs, how, compared(op, sample))
    except Exception as error:
        return raised(error)


def error(op: Any, given: Any, function: Callable[..., Any]) -> str:
    """Whether a call that must fail does."""
    sample = given.sample_input
    try:
        arguments = translated(sample.input), translated(tuple(sample.args)), translated(heard(sample.kwargs))
    except Untranslatable as reason:
        return f"skipped: {reason}"
    try:
        op(sample.input, *sample.args, **sample.kwargs)
    except Exception as reason:
        wanted = f"{type(reason).__name__}: {str(reason).splitlines()[0]}"
    else:
        return "skipped: torch takes it"
    try:
        _computed(function(arguments[0], *arguments[1], **arguments[2]))
    except Exception:
        return ""
    return f"no error: {wanted}"


def dtypes_of(op: Any) -> list[torch.dtype]:
    """The types both libraries have for an operation."""
    return [t for t in DTYPES if t in op.supported_dtypes("cpu")]


def thinned(samples: list[Any], most: int | None) -> list[Any]:
    """At most so many, spread evenly."""
    if most is None or len(samples) <= most:
        return samples
    return [samples[i] for i in np.linspace(0, len(samples) - 1, most).astype(int)]


def outcomes(
    op: Any, most: int | None = None, kinds: str = "fgie", dtypes: tuple[torch.dtype, ...] = ()
) -> Iterator[Outcome]:
    """Every case of an operation: forward in all types, gradients in doubles, in place, errors.

    most     samples of a type; None for all
    kinds    of "f"orward, "g"radients, "i"n place, "e"rrors
    dtypes   those alone, of which "f" tries the first the operation has
    """
    name = op.name + (f":{op.variant_test_name}" if op.variant_test_name else "")
    for kind, dtype, sample, how in _cases(op, most, kinds, dtypes):
        why = reason(name, dtype, how) if how and not how.startswith("skipped") else None
        yield Outcome(name, kind, dtype, sample, how if why is None else f"kept: {why}")


def _cases(
    op: Any, most: int | None, kinds: str, chosen: tuple[torch.dtype, ...]
) -> Iterator[tuple[str, str, str, str]]:
    function, method = operations.ours(op.name), operations.in_place(op.name)
    if function is None:
        yield "missing", "", "", "missing"
        return
    warnings.simplefilter("ignore")
    tried = dtypes_of(op)
    tried = [dtype for dtype in tried if dtype in chosen] or tried[:1] if chosen else tried
    for number, dtype in enumerate(tried):
        label = str(dtype)[6:]
        samples = _samples(op, dtype, most, False) if not chosen or not number else []
        for sample in samples if "f" in kinds else ():
            yield "forward", label, text(sample), forward(op, sample, function)
        if "i" in kinds and op.inplace_variant is not None and method is not None:
            for sample in thinned(samples, 6):
                yield "in place", label, text(sample), in_place(op, sample, method)
        if "g" in kinds and op.supports_autograd and label in ("float64", "complex128"):
            for sample in _samples(op, dtype, most, True):
                yield "gradient", label, text(sample), gradients(op, sample, function)
    if "e" in kinds and op.error_inputs_func is not None:
        for given in op.error_inputs("cpu"):
            yield "error", "", text(given.sample_input), error(op, given, function)


def _samples(op: Any, dtype: torch.dtype, most: int | None, tracked: bool) -> list[Any]:
    """An operation's samples; of the reference inputs too, in float32 and int64."""
    torch.manual_seed(0)
    samples = thinned(list(op.sample_inputs("cpu", dtype, requires_grad=tracked)), most)
    if dtype in (torch.float32, torch.int64) and not tracked and most != 1:
        samples += thinned(list(op.reference_inputs("cpu", dtype, requires_grad=False)), most)
    return samples
