"""One table of what kernelforge costs beside its peers, on one machine.

    python -m bench.suite                   measure everything, write docs/benchmarks and the table of README.md
    python -m bench.suite --thorough        the same with more rounds, torch.compile everywhere, first results, memory
    python -m bench.suite --only softmax    measure again what has this in its name, keep the other rows
    python -m bench.suite --missing         go on where a run was stopped
    python -m bench.suite --quick           a rough look: a few rounds, nothing written

Read the files in this order:

    workload     what is measured: inputs, the work itself, the least it must compute and move
    workloads/   the list, one file per kind of work; a new workload is a line there
    libraries/   the sides: each names its functions alike, so that a workload is written once
    worker       a process that holds one library and runs what it is told
    contest      the workers taking turns, their results compared
    start        first results of new processes, and the memory they take
    ceilings     what the machine can do at most, by kernels that do nothing else
    record       what was measured, as JSON, and the figures that follow from it
    report       the page in docs/benchmarks and the table of README.md
"""
