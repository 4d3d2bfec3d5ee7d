"""`kernelforge bench`: how fast an expression is, beside other libraries and beside an earlier measurement.

Comes in: expressions, shapes, an element type, the libraries to compare with.  Goes out: a table, JSON or a page.  Each
library runs in a process of its own; all take turns, results are compared, and who is faster is only said where the
noise leaves no doubt.

    statistics.py  medians with their confidence, verdicts      subjects.py  what is measured
    libraries.py   the sides                                    worker.py    a side's process
    contest.py     the sides taking turns                       starts.py    first calls, with cold and warm caches
    results.py     what was measured, as JSON; comparisons      report.py    tables and pages
    command.py     the options
"""
