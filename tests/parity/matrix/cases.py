"""One call in both libraries: forward, with gradients, in place, or one that must fail.

Comes in: an operation of torch's database and a sample of its inputs.  Goes out: what is different, or None.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch

from kernelforge import Tensor
from tests.parity.matrix import operations
from tests.parity.matrix.calls import Case, computed, heard, raised, text
from tests.parity.matrix.comparison import difference
from tests.parity.matrix.kept import PLACES, judged
from tests.parity.matrix.replaying import replayed
from tests.parity.matrix.settling import settled
from tests.parity.matrix.slopes import gradients
from tests.parity.matrix.translation import DTYPES, Untranslatable, translated
from tests.parity.matrix.weaker import INSTEAD, dropout, mean_of_draws
from tests.parity.matrix.widened import more_samples, viewed

NUMBERS: Final = (int, float, complex)
RANDOM: Final = re.compile(
    r"bernoulli|cauchy|exponential|geometric|log_normal|multinomial|normal|uniform|rand.*|.*dropout.*|.*rrelu"
    r"|.*fractional_max_pool.*|(new_)?empty.*"
)


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


def is_random(op: Any, sample: Any) -> bool:
    """Whether a call draws random numbers."""
    return bool(RANDOM.fullmatch(op.name)) or dropout(op, sample) > 0


def compared(op: Any, sample: Any) -> dict[str, bool]:
    """How results of an operation are compared."""
    return {"by_value": not is_random(op, sample), "places": bool(PLACES.fullmatch(op.name))}


def is_method(function: Callable[..., Any]) -> bool:
    """Whether a function is a tensor's."""
    function = getattr(function, "replays", function)
    return any(getattr(Tensor, name, None) is function for name in dir(Tensor))


def _function(case: Case) -> Case:
    """A case of a number first, of which no method is called but the function of that name, where there is one."""
    if not isinstance(case.sample.input, NUMBERS) or not is_method(case.function):
        return case
    return replace(case, function=operations.function(case.op.name) or case.function)


def forward(case: Case) -> tuple[str, Any, Any]:
    """How the values of a call differ, and the values."""
    op, sample = case.op, case.sample
    try:
        expected = case.theirs()
    except Exception as error:
        return f"skipped: torch: {type(error).__name__}", None, None
    case = _function(case)
    if isinstance(sample.input, NUMBERS) and is_method(case.function):
        return "skipped: a number has no methods", None, None
    found = None
    try:
        found = case.ours()
        if dropout(op, sample) > 0:
            return mean_of_draws(case, found, expected), found, expected
        if op.name in INSTEAD:
            return INSTEAD[op.name](case, found, expected), found, expected
        how = difference(found, expected, **compared(op, sample)) or ""
        return settled(op, sample, found, expected, how, compared(op, sample)), found, expected
    except Untranslatable as reason:
        return f"skipped: {reason}", None, None
    except Exception as error:
        return raised(error), found, expected


def in_place(case: Case) -> tuple[str, Any, Any]:
    """How a tensor that was changed in place differs; where the tensor is a view, the one it is of."""
    op, sample = case.op, case.sample
    if not isinstance(sample.input, torch.Tensor) or sample.broadcasts_input:
        return "skipped: no tensor", None, None
    base, view = getattr(sample.input, "viewed", (sample.input, lambda x: x))
    theirs = base.detach().clone()
    try:
        mine = translated(theirs)
        arguments = translated(tuple(sample.args)), translated(heard(sample.kwargs))
    except Untranslatable as reason:
        return f"skipped: {reason}", None, None
    try:
        with torch.no_grad():
            op.inplace_variant(view(theirs), *sample.args, **sample.kwargs)
    except Exception as error:
        try:
            case.function(view(mine), *arguments[0], **arguments[1])
            computed(mine)
        except Exception:
            return "", None, None
        return f"no error: torch {type(error).__name__}: {str(error).splitlines()[0]}", None, None
    try:
        case.function(view(mine), *arguments[0], **arguments[1])
        how = difference(mine, theirs, **compared(op, sample)) or ""
        return settled(op, sample, mine, theirs, how, compared(op, sample)), mine, theirs
    except Exception as error:
        return raised(error), None, theirs


def error(case: Case) -> str:
    """Whether a call that must fail does, with an error of the class torch raises."""
    try:
        case.theirs()
    except Exception as reason:
        wanted, kind = f"{type(reason).__name__}: {str(reason).splitlines()[0]}", type(reason)
    else:
        return "skipped: torch takes it"
    case = _function(case)
    if isinstance(case.sample.input, NUMBERS) and is_method(case.function):
        return "skipped: a number has no methods"
    try:
        computed(case.ours())
    except Untranslatable as reason:
        return f"skipped: {reason}"
    except Exception as reason:
        return "" if isinstance(reason, kind) else f"{raised(reason)} for {wanted}"
    return f"no error: {wanted}"


def outcome(case: Case, mark: str = "") -> Outcome:
    """What a case comes to.

    mark   words about where its sample is from
    """
    if case.kind == "forward":
        how = judged(case, *forward(case))
    elif case.kind == "in place":
        how = judged(case, *in_place(case))
    elif case.kind == "error":
        how = judged(case, error(case))
    elif is_random(case.op, case.sample):
        how = "skipped: random"
    else:
        how = judged(case, *gradients(case))
    return Outcome(case.name, case.kind, case.dtype, mark + text(case.sample), how)


def dtypes_of(op: Any) -> list[torch.dtype]:
    """The types both libraries have for an operation."""
    return [t for t in DTYPES if t in op.supported_dtypes("cpu")]


def thinned(samples: list[Any], most: int | None) -> list[Any]:
    """At most so many, spread evenly."""
    if most is None or len(samples) <= most:
        return samples
    return [samples[i] for i in np.linspace(0, len(samples) - 1, most).astype(int)]


def outcomes(
    op: Any, most: int | None = None, kinds: str = "fgsview", dtypes: tuple[torch.dtype, ...] = ()
) -> Iterator[Outcome]:
    """Every case of an operation.

    most     samples of a type; None for all
    kinds    of "f"orward, "g"radients, "s"econd gradients, "v"iews, "i"n place, "e"rrors, "w"ider: shapes and
             options the database leaves out
    dtypes   those alone, of which "f" tries the first the operation has
    """
    name = f"{op.name}:{op.variant_test_name}" if op.variant_test_name else op.name
    function = operations.ours(name) or operations.ours(op.name)
    if function is None:
        yield Outcome(name, "missing", "", "", "missing")
        return
    function = function if name.endswith("_") else replayed(function)  # in place: a second call is another
    warnings.simplefilter("ignore")
    tried = dtypes_of(op)
    tried = [dtype for dtype in tried if dtype in dtypes] or tried[:1] if dtypes else tried
    for number, dtype in enumerate(tried):
        yield from _of_type(op, function, dtype, most, kinds, not dtypes or not number)
    if "e" in kinds and op.error_inputs_func is not None:
        for given in op.error_inputs("cpu"):
            yield outcome(Case(op, "error", "", given.sample_input, function))


def _of_type(
    op: Any, function: Callable[..., Any], dtype: torch.dtype, most: int | None, kinds: str, values: bool
) -> Iterator[Outcome]:
    """The cases of a type; values: not gradients alone."""
    label, method = str(dtype)[6:], operations.in_place(op.name)
    samples = _samples(op, dtype, most, False) if values else []
    for sample in samples if "f" in kinds else ():
        yield outcome(Case(op, "forward", label, sample, function))
    for sample in more_samples(op, dtype) if values and "w" in kinds else ():
        yield outcome(Case(op, "forward", label, sample, function), "wider: ")
    if op.inplace_variant is not None and method is not None:
        for sample in thinned(samples, 6) if "i" in kinds else ():
            yield outcome(Case(op, "in place", label, sample, method))
        for sample in thinned(samples, 3) if {"i", "v"} <= {*kinds} and label in ("int64", "float32") else ():
            yield outcome(Case(op, "in place", label, viewed(sample), method), "views: ")
    if "v" in kinds and label in ("bool", "int32", "float32", "complex64"):
        for sample in thinned(samples, most and min(most, 3)):
            yield outcome(Case(op, "forward", label, viewed(sample), function), "views: ")
    if op.supports_autograd and label in ("float64", "complex128"):
        yield from _of_gradients(op, function, dtype, most, kinds)


def _of_gradients(
    op: Any, function: Callable[..., Any], dtype: torch.dtype, most: int | None, kinds: str
) -> Iterator[Outcome]:
    """Gradients, those through views, and gradients of gradients."""
    label = str(dtype)[6:]
    samples = _samples(op, dtype, most, True) if {"g", "s"} & {*kinds} else []
    for sample in samples if "g" in kinds else ():
        yield outcome(Case(op, "gradient", label, sample, function))
    for sample in thinned(samples, most and min(most, 2)) if {"g", "v"} <= {*kinds} else ():
        yield outcome(Case(op, "gradient", label, viewed(sample), function), "views: ")
    for sample in thinned(samples, most and min(most, 3)) if "s" in kinds and op.supports_gradgrad else ():
        yield outcome(Case(op, "second gradient", label, sample, function))


def _samples(op: Any, dtype: torch.dtype, most: int | None, tracked: bool) -> list[Any]:
    """An operation's samples; of the reference inputs too, in float32 and int64."""
    torch.manual_seed(0)
    samples = thinned(list(op.sample_inputs("cpu", dtype, requires_grad=tracked)), most)
    if dtype in (torch.float32, torch.int64) and not tracked and most != 1:
        samples += thinned(list(op.reference_inputs("cpu", dtype, requires_grad=False)), most)
    return samples
