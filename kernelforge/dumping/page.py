"""index.html: a dump to look at, in one file that needs no network.

Comes in: a manifest and the texts of kernels.  Goes out: HTML, with the assets beside this file and the
data, packed, inside.
"""

from __future__ import annotations

import base64
import json
import zlib
from functools import cache
from linecache import getlines
from pathlib import Path
from typing import Any, Final

from kernelforge.dumping.machine import Machine
from kernelforge.dumping.recorder import Recorder
from kernelforge.dumping.sources import Source
from kernelforge.dumping.statements import Lines

HERE: Final = Path(__file__).parent
LONGEST: Final = 60_000  # characters of one text


def page(manifest: dict[str, Any], recorder: Recorder, machines: dict[str, dict[str, Machine]]) -> str:
    """The page of a dump."""
    files: dict[str, int] = {}
    kernels = []
    for name, kernel in recorder.kernels.items():
        texts = {language: _source(source, files) for language, source in kernel.sources.items()}
        for machine in machines.get(name, {}).values():
            texts[machine.kind] = {"text": machine.text[:LONGEST]}
            if machine.ptx:
                texts["ptx"] = {"text": machine.ptx[:LONGEST]}
        kernels.append(texts)
    for entry in manifest["kernels"]:
        for file, _ in entry["lines"]:
            files.setdefault(file, len(files))
    data = {"manifest": manifest, "texts": kernels, "files": _files(files)}
    packed = base64.b64encode(zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 9)).decode()
    return rendered("dump", packed)


def rendered(kind: str, packed: str) -> str:
    """The page around packed data."""
    html = asset("page.html")
    script = asset("page.js") + asset("charts.js")
    parts = {"/*css*/": asset("page.css"), "/*js*/": script, "@kind": kind, "@data": packed}
    for mark, text in parts.items():
        html = html.replace(mark, text, 1)
    return html


@cache
def asset(name: str) -> str:
    """A file beside this one: page.html, page.css, page.js or charts.js."""
    return (HERE / name).read_text()


def _source(source: Source, files: dict[str, int]) -> dict[str, Any]:
    """A source's text, and for its lines the user's: positions in a table of their different lists."""
    table: dict[Lines, int] = {}
    numbers = [-1 if lines is None else table.setdefault(lines, len(table)) for lines in source.statements]
    listed = [[(files.setdefault(file, len(files)), line) for file, line in lines] for lines in table]
    return {"text": source.program.source, "lines": numbers, "table": listed}


def _files(files: dict[str, int]) -> list[dict[str, Any]]:
    """The user's files, as far as they can be read."""
    return [{"path": path, "text": "".join(getlines(path))} for path in files]


