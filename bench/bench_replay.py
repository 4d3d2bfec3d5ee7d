"""What a captured call costs beside its kernels: one of a single small kernel, and a step of a thousand.

    pytest bench/bench_replay.py -s

`python -m bench.host` makes a page of these and of all else the host costs.
"""

from bench.host import calls


def bench_one_kernel() -> None:
    print("\n" + " | ".join(calls.replay(20).cells))


def bench_a_thousand_kernels() -> None:
    print("\n" + " | ".join(calls.many_kernels(20).cells))
