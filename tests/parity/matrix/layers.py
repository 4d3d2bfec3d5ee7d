"""One layer in both libraries: its outputs, its running statistics, and the gradients of inputs and parameters.

Comes in: an entry of torch's database of layers and a sample of it.  Goes out: what is different, or "".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import torch
from torch.testing._internal.common_modules import ModuleErrorEnum

from kernelforge import Tensor, nn
from kernelforge.autograd import grad
from tests.parity.matrix.calls import described, raised
from tests.parity.matrix.cases import thinned
from tests.parity.matrix.comparison import difference, leaves
from tests.parity.matrix.translation import DTYPES, ours, translated

RANDOM: Final = re.compile(r".*Dropout.*|RReLU|Fractional.*")
UNHEARD: Final = ("device", "options")  # where memory is, and how torch's own way of computing is tuned


def arguments(given: Any, made: dict[int, Tensor]) -> Any:
    """torch's arguments for our side; the same tensor is the same tensor there."""
    if isinstance(given, torch.Tensor):
        return made.setdefault(id(given), translated(given))
    if isinstance(given, torch.nn.TransformerEncoderLayer | torch.nn.TransformerDecoderLayer):
        return getattr(nn, type(given).__name__)(
            given.linear1.in_features, given.self_attn.num_heads, given.linear1.out_features, given.dropout.p,
            batch_first=given.self_attn.batch_first, norm_first=given.norm_first, bias=given.linear1.bias is not None,
        )  # fmt: skip
    if type(given) in (tuple, list):
        return type(given)(arguments(part, made) for part in given)
    if isinstance(given, dict):
        return {name: arguments(part, made) for name, part in given.items() if name not in UNHEARD}
    return translated(given)


def built(cls: type[nn.Module], given: Any, dtype: torch.dtype) -> nn.Module:
    """Our layer of a sample's arguments."""
    return cls(*arguments(given.args, {}), **arguments(given.kwargs, {})).to(DTYPES[dtype])


def layer_difference(info: Any, sample: Any, dtype: torch.dtype, training: bool) -> str:
    """What a layer with the other one's state does differently."""
    given, made = sample.forward_input, {}
    theirs = info.module_cls(*sample.constructor_input.args, **sample.constructor_input.kwargs).to(dtype)
    inputs, named = arguments(tuple(given.args), made), arguments(given.kwargs, made)
    try:
        mine = built(getattr(nn, info.module_cls.__name__), sample.constructor_input, dtype)
        if "Lazy" in type(mine).__name__:
            theirs(*given.args, **given.kwargs), mine(*inputs, **named)
        mine.load_state_dict({name: ours(x) for name, x in theirs.state_dict().items()})
        mine.train(training), theirs.train(training)
        expected = theirs(*given.args, **given.kwargs)
        found = mine(*inputs, **named)
        if RANDOM.fullmatch(info.module_cls.__name__) and training:
            return difference(found, expected, by_value=False) or ""
        states = [(dict(mine.named_buffers())[name], x) for name, x in theirs.named_buffers()]
        wrong = difference(found, expected) or difference(*map(list, zip(*states)) if states else ([], []))
        return wrong or _gradient_difference(mine, theirs, found, expected, given, made)
    except Exception as error:
        return raised(error)


def _gradient_difference(
    mine: nn.Module, theirs: torch.nn.Module, found: Any, expected: Any, given: Any, made: dict[int, Tensor]
) -> str:
    parameters = dict(mine.named_parameters())
    pairs = [(made[id(x)], x) for x in leaves([*given.args, *given.kwargs.values()])
             if isinstance(x, torch.Tensor) and x.requires_grad]  # fmt: skip
    pairs += [(parameters[name], x) for name, x in theirs.named_parameters()]
    results = [(x, y) for x, y in zip(leaves(found), leaves(expected)) if getattr(y, "requires_grad", False)]
    if not pairs or not results:
        return ""
    weights = [(torch.arange(y.numel()) / max(1, y.numel()) + 0.5).reshape(y.shape).to(y.dtype) for _, y in results]
    wanted = torch.autograd.grad([y for _, y in results], [x for _, x in pairs], weights, allow_unused=True)
    got = grad([x for x, _ in results], [x for x, _ in pairs], [ours(w) for w in weights], allow_unused=True)
    zeros = [torch.zeros_like(x) if dx is None else dx for (_, x), dx in zip(pairs, wanted)]
    mine_too = [x.zeros_like() if dx is None else dx for (x, _), dx in zip(pairs, got)]
    return difference(mine_too, zeros, loose=10) or ""


def differences(info: Any, most: int, dtype: torch.dtype = torch.float64) -> Iterator[str]:
    """What is wrong with some of a layer's samples, while training and not."""
    for training in (True, False) if info.train_and_eval_differ else (True,):
        torch.manual_seed(0)
        samples = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training)
        for sample in thinned(list(samples), most):
            wrong = layer_difference(info, sample, dtype, training)
            if wrong:
                of = sample.constructor_input
                yield f"{described(of.args)} {described(of.kwargs)}: {wrong}"


def unraised(info: Any) -> Iterator[str]:
    """The database's wrong calls of a layer that raise nothing here."""
    made = info.module_error_inputs_func
    for case in made(info, device="cpu", dtype=torch.float32, requires_grad=False, training=True) if made else ():
        sample = case.module_error_input
        try:
            layer = built(getattr(nn, info.module_cls.__name__), sample.constructor_input, torch.float32)
            if case.error_on is ModuleErrorEnum.FORWARD_ERROR or sample.forward_input is not None:
                given = sample.forward_input
                results = layer(*arguments(given.args, {}), **arguments(given.kwargs, {}))
                [leaf.numpy() for leaf in leaves(results) if isinstance(leaf, Tensor)]
        except (ValueError, TypeError, RuntimeError, IndexError):
            continue
        yield case.error_regex
