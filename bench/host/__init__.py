"""What the user pays beside the kernels, with peers beside it where they can be.

    python -m bench.host            measures everything and writes docs/benchmarks/host.md
    python -m bench.host --quick    fewer rounds, nothing written

`calls` has what a call in a running process costs, `planning` what a large program costs that was never met before,
`starts` what a new process costs.  Each gives rows; a goal in a row is what docs say shall be reached.
"""
