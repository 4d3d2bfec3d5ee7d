"""The matrix in full: `python -m tests.parity.matrix [--most N] [--device NUMPY] [--only NAME] [--report FILE]`.

Comes in: the database of operations.  Goes out: counts, and a file with a line for each failure or kept difference.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import asdict

from torch.testing._internal.common_methods_invocations import op_db

from kernelforge import Device
from tests.parity.matrix.cases import outcomes


def main() -> None:
    """Runs the cases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--most", type=int, help="samples of an operation and type; all without")
    parser.add_argument("--kinds", default="fgsview",
                        help="forward, gradients, second gradients, views, in place, errors, wider shapes and options")
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--part", default="0/1", help="I/N: every N-th operation from the I-th on")
    parser.add_argument("--report", default="matrix.jsonl")
    given = parser.parse_args()
    Device.DEFAULT = given.device
    first, of = map(int, given.part.split("/"))
    wanted = [op for op in op_db if given.only is None or op.name in given.only][first::of]
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with open(given.report, "w") as report:
        for op in wanted:
            start = time.monotonic()
            for outcome in outcomes(op, given.most, given.kinds):
                counts["failed" if outcome.fails else outcome.how.split(":")[0] or "passed"] += 1
                if outcome.how.startswith(("kept", "skipped")):
                    reasons[outcome.how] += 1
                if outcome.how.startswith("kept") or outcome.fails:
                    report.write(json.dumps(asdict(outcome)) + "\n")
            report.flush()
            print(f"{time.monotonic() - start:6.1f} s {op.name} {op.variant_test_name}", flush=True)
    for why, number in sorted(reasons.items()):
        print(f"{number:6} {why}")
    print(len(wanted), sum(counts.values()), dict(counts))


if __name__ == "__main__":
    main()
