"""Docstrings as Markdown, for the site: examples become blocks of code, parameters a list.

Comes in: a docstring as it stands in the source, examples after `>>>`, parameters as `name   what it is`. Goes out: the
same as Markdown means it. mkdocstrings loads the extension (mkdocs.yml).
"""

import re
from itertools import groupby
from typing import Any

try:
    from griffe import Extension
except ImportError:  # the function is tested where the site is not built
    Extension = object  # type: ignore[assignment,misc]

PARAMETER = re.compile(r"(\S+(?:, \S+)*) {2,}(\S.*)")


class Docstrings(Extension):
    """Changes every docstring before it is shown."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Called for each object of a module that was read."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """The docstring as Markdown.

    >>> print(markdown("The sum.\\n\\ndim   along which;\\n      all without it\\n\\n" + ">" * 3 + " 1 + 1"))
    The sum.
    <BLANKLINE>
    - `dim` along which;
      all without it
    <BLANKLINE>
    ```pycon
    ...
    """
    paragraphs = [list(lines) for some, lines in groupby(text.splitlines(), lambda line: bool(line.strip())) if some]
    return "\n\n".join("\n".join(_paragraph(lines)) for lines in paragraphs)


def _paragraph(lines: list[str]) -> list[str]:
    examples = next((n for n, line in enumerate(lines) if line.lstrip().startswith(">>>")), len(lines))
    if examples < len(lines):
        before = [*_paragraph(lines[:examples]), ""] if examples else []
        return [*before, "```pycon", *lines[examples:], "```"]
    if not any(PARAMETER.fullmatch(line) for line in lines):
        return lines
    return [_item(line) for line in lines]


def _item(line: str) -> str:
    found = PARAMETER.fullmatch(line)
    if found:
        return f"- {'raises' if found[1] == 'raises' else f'`{found[1]}`'} {found[2]}"
    return f"  {line.strip()}" if line.startswith(" ") else line
