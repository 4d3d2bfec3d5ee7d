"""Arguments that other libraries name otherwise.

Comes in: a class.  Goes out: the same class, whose methods take `dim` and `axis` as two names of one argument, and
likewise the other pairs below.  For type checkers, `_tensor.pyi` says the same; `stub()` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature, unwrap
from keyword import iskeyword
from types import FunctionType
from typing import Any, Final, TypeVar, get_overloads

from kernelforge.errors import KindError
from kernelforge.tensor.composite import FUNCTIONS, applied

OTHER_NAMES: Final = {
    "axis": "dim",
    "dim": "axis",
    "keepdim": "keepdims",
    "min_": "min",
    "max_": "max",
    "neg_slope": "negative_slope",
    "other": "x",
    "exponent": "x",
    "target": "Y",
    "layers": "ll",
    "sorted_": "sorted",
}

_PARTS: Final = {"sections": "parts", "indices": "parts", "indices_or_sections": "parts"}
_SIZES: Final = {"split_size": "sizes", "split_sizes": "sizes", "split_size_or_sections": "sizes"}
_PAIR: Final = {"axis0": "dim0", "axis1": "dim1"}
MORE_NAMES: Final[dict[str, dict[str, str]]] = {  # of the arguments of some methods
    **dict.fromkeys(["tensor_split", "dsplit", "hsplit", "vsplit"], _PARTS),
    **dict.fromkeys(["split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes"], _SIZES),
    **dict.fromkeys(["swapaxes", "swapdims", "transpose"], _PAIR),
    **{name: {"dimension": "dim"} for name in ("unfold", "narrow", "narrow_copy")},
    **{name: {"vec2": "other"} for name in ("outer", "ger")},
    **{name: {"from": "from_"} for name in ("uniform", "random")},
    "matmul": {"other": "x"}, "dot": {"tensor": "w", "other": "w"}, "ldexp": {"other": "exponent"},
    "searchsorted": {"input": "values"}, "topk": {"sorted": "sorted_"}, "cholesky_solve": {"input2": "L"},
    "orgqr": {"input2": "tau"}, "ormqr": {"input2": "tau", "input3": "other"},
}  # fmt: skip

C = TypeVar("C", bound=type)
_IMPORTS: Final = {
    "Any": "typing", "Literal": "typing", "Self": "typing", "overload": "typing",
    "Callable": "collections.abc", "Sequence": "collections.abc",
    "DType": "codegen.dtypes", "Operand": "kernelforge.tensor.core", "Axis": "kernelforge.tensor.reduce",
    "InPlace": "kernelforge.tensor.inplace", "NDArray": "numpy.typing",
    "Extremes": "kernelforge.tensor.results", "Selected": "kernelforge.tensor.results",
    "Generator": "kernelforge.tensor.generators",
}  # fmt: skip


def with_other_names(cls: C) -> C:
    """The class, with each public method wrapped that has an argument known by another name."""
    for name in dir(cls):
        method = getattr(cls, name)
        if isinstance(method, FunctionType) and not name.startswith("_"):
            renamed = {OTHER_NAMES[given]: given for given in _arguments(method) if given in OTHER_NAMES}
            renamed.update(MORE_NAMES.get(name.rstrip("_"), {}))
            if renamed:
                setattr(cls, name, _renaming(method, renamed))
    return cls


def _arguments(method: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a method's arguments, of a decorated one's too: `signature` takes ten times as long."""
    code = unwrap(method).__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _renaming(method: Callable[..., Any], renamed: dict[str, str]) -> Callable[..., Any]:
    """The method, its named arguments also known by the keys of renamed."""

    recipes = getattr(method, "recipes", None)

    @wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            found = None if recipes is None else applied(recipes, args)
            return method(*args) if found is None else found
        if not kwargs.keys().isdisjoint(renamed):
            ours = {renamed.get(name, name): value for name, value in kwargs.items()}
            if len(ours) < len(kwargs):
                raise KindError(f"{method.__name__}() got one argument by two names among {', '.join(kwargs)}")
            return method(*args, **ours)
        return method(*args, **kwargs)

    called.renamed = renamed  # type: ignore[attr-defined]
    return called


# ------------------------------------------------------------------------------------------- for type checkers


def stub(name: str, base: type) -> str:
    """A stub file of the class `name`, derived from base: the methods with second names for arguments, with both."""
    body = []
    for method in sorted(dir(base)):
        function = getattr(base, method)
        if not isinstance(function, FUNCTIONS) or method.startswith("_"):
            continue
        if any(given in OTHER_NAMES for given in signature(function).parameters) or method.rstrip("_") in MORE_NAMES:
            forms = get_overloads(function) or [function]
            for form in forms:
                spelled = _both_names(form, MORE_NAMES.get(method.rstrip("_"), {}))
                body += ["    @overload"] * (len(forms) > 1) + [f"    def {method}({spelled}: ..."]
    text = "\n".join([f"class {name}({base.__name__}):", *body])
    words = set(re.findall(r"\w+", text))
    known = {*_IMPORTS, "None", "True", "False", name, *OTHER_NAMES.values(), "L"}
    unknown = {word for word in words if word[0].isupper()} - known
    assert not unknown, f"where do {unknown} come from?"
    modules: dict[str, list[str]] = {}
    for word in sorted(words & _IMPORTS.keys()):
        modules.setdefault(_IMPORTS[word], []).append(word)
    imports = [f"from {module} import {', '.join(found)}" for module, found in sorted(modules.items())]
    return "\n".join(["# Written by kernelforge.tensor.spelling.stub().", "# ruff: noqa", *imports, "", text, ""])


def _both_names(function: Callable[..., Any], more: dict[str, str]) -> str:
    """The parameters and result of a function, second names added as keyword arguments that may be left out."""
    given = signature(function)
    parameters = list(given.parameters.values())
    others = [p.replace(name=OTHER_NAMES[p.name], kind=p.KEYWORD_ONLY, default=...) for p in parameters
              if p.name in OTHER_NAMES and OTHER_NAMES[p.name] not in {*given.parameters, *more}]  # fmt: skip
    others += [given.parameters[ours].replace(name=name, kind=Parameter.KEYWORD_ONLY, default=...)
               for name, ours in more.items() if ours in given.parameters and not iskeyword(name)]  # fmt: skip
    shown: list[str] = []
    optional = False
    for p in [*parameters, *others]:
        if p.kind is p.KEYWORD_ONLY and not any(word.startswith("*") for word in shown):
            shown.append("*")
        optional = optional or p.name in OTHER_NAMES or p.name in more.values()
        default = " = ..." if p.default is not p.empty or (optional and p.kind is not p.VAR_POSITIONAL) else ""
        star = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        shown.append(star + p.name + ("" if p.name == "self" else f": {p.annotation}{default}"))
    return f"{', '.join(shown)}) -> {given.return_annotation}"
