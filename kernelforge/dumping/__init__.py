"""Dumps: a folder that shows what ran, with a page to look at it.

    statements  the user's lines of each line of source
    sources     texts in both languages, and their headers
    single      scripts that run one kernel on its own
    machine     machine code and what it takes
    recorder    what is seen while a program runs
    manifest    all of it as numbers and text, manifest.json
    page        the same to look at, index.html
    folder      when a dump begins and ends
"""

from kernelforge.dumping.folder import close, dump, planned

__all__ = ["close", "dump", "planned"]
