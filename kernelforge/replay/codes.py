"""What code mentions: names of globals and attributes, modules it imports, and ways to look at names nobody can read.

Comes in: code objects, and frames that run them.  Goes out: sets of names, found once for each code.  Nothing is run.
"""

from __future__ import annotations

import builtins
import dis
import pickle
import re
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, Final

DYNAMIC: Final = frozenset(
    ("getattr", "setattr", "hasattr", "delattr", "vars", "eval", "exec", "globals", "locals", "__dict__",
     "__getattribute__", "attrgetter", "methodcaller", "import_module", "__import__"))  # fmt: skip
"""Names by which code comes to others that it may have computed."""

_BY_NAME: Final = [getattr(builtins, name, None) for name in (*DYNAMIC, "repr", "dir")]
BY_NAME: Final[frozenset[Any]] = frozenset((pickle.dumps, pickle.dump, *[one for one in _BY_NAME if callable(one)]))
"""The functions of C among these, under whatever name they are called."""

WHOLE: Final = "==, in, str() and their like"
"""Stands among names for a look at all attributes of objects of C that compare and print them."""

_COMPARING: Final = frozenset(
    ("str", "repr", "ascii", "format", "format_map", "print", "index", "count", "remove", "eq", "ne", "contains",
     "countOf", "indexOf", "mod"))  # fmt: skip
_CONSTANTS: Final = ("LOAD_CONST", "LOAD_SMALL_INT")
_CODES: Final = 65536
_OF_GLOBALS: Final = frozenset(
    ["LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME", "STORE_NAME", "DELETE_NAME",
     "LOAD_FROM_DICT_OR_GLOBALS"]
)  # fmt: skip
_IN_TEXT: Final = re.compile(r"\{[^{}:!]*\.")  # an attribute in what str.format() is given


@lru_cache(maxsize=_CODES)
def names_of(code: CodeType) -> frozenset[str]:
    """The names of globals and attributes that code mentions, functions inside it too.

    Where it may come to a name by a string, its strings are names as well.
    """
    names = set(code.co_names)
    if is_dynamic(code):
        names |= _words(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= names_of(constant)
    return frozenset(names)


@lru_cache(maxsize=_CODES)
def globals_of(code: CodeType) -> frozenset[str]:
    """The names of globals that code mentions, functions inside it too; attributes that are called alike are none.

    Where it may come to a name by a string, its strings are names as well.
    """
    names = {found.argval for found in dis.get_instructions(code) if found.opname in _OF_GLOBALS}
    if is_dynamic(code):
        names |= _words(code)
    return frozenset(names.union(*[globals_of(part) for part in code.co_consts if isinstance(part, CodeType)]))


@lru_cache(maxsize=_CODES)
def imports_of(code: CodeType) -> frozenset[str]:
    """Names among which are those of the modules that code may ask for while it runs, functions inside it too."""
    found = set[str]()
    if _does(code, "IMPORT_NAME") or not {"sys", "import_module", "__import__"}.isdisjoint(code.co_names):
        found.update(code.co_names, _words(code))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= imports_of(constant)
    return frozenset(found)


@lru_cache(maxsize=_CODES)
def is_dynamic(code: CodeType) -> bool:
    """True for code that may look at attributes it does not mention."""
    if not DYNAMIC.isdisjoint(code.co_names) or _does(code, "MATCH_CLASS"):
        return True
    texts = [text for text in code.co_consts if isinstance(text, str)]
    return "format" in code.co_names and any(map(_IN_TEXT.search, texts))


@lru_cache(maxsize=_CODES)
def looks_whole(code: CodeType) -> bool:
    """True for code that may compare or print objects, where C does it; not where one side is a constant."""
    if not _COMPARING.isdisjoint(code.co_names):
        return True
    last = ""
    for found in dis.get_instructions(code):
        name, shown = found.opname, found.argrepr
        compares = (name == "COMPARE_OP" and ("==" in shown or "!=" in shown)) or name == "CONTAINS_OP"
        if (compares or (name == "BINARY_OP" and shown.startswith("%"))) and not last.startswith(_CONSTANTS):
            return True
        if name.startswith(("FORMAT_", "CONVERT_VALUE")):
            return True
        last = name if name not in ("EXTENDED_ARG", "CACHE", "NOP") else last
    return False


def looks_inside(text: str) -> bool:
    """True for a text that formats attributes of what it is given."""
    return _IN_TEXT.search(text) is not None


def looks_further(frame: FrameType) -> bool:
    """True where a frame that asks for a frame may mean another one than its own."""
    if "f_back" in frame.f_code.co_names:
        return True
    before = [found for found in dis.get_instructions(frame.f_code) if found.offset < frame.f_lasti]
    last = next((found for found in reversed(before) if found.opname not in ("PRECALL", "CACHE", "EXTENDED_ARG")), None)
    return last is not None and last.opname != "PUSH_NULL" and last.argval not in (0, "_getframe")


def _does(code: CodeType, operation: str) -> bool:
    """True when an operation is among those of code itself."""
    return dis.opmap[operation] in code.co_code[::2]


def _words(code: CodeType) -> set[str]:
    """The strings in code that can be names."""
    return {text for text in code.co_consts if isinstance(text, str) and text.replace(".", "").isidentifier()}
