"""Expressions whose kernels are watched: what they take of each GPU is kept in `golden/`.

    python -m tests.kernels.golden_kernels [--write] [NAME ...]

compiles them for every target, shows what differs from what is kept, and with --write keeps what was found.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from bench.gpu.figures import Figures, all_figures
from codegen.target import GFX942, SM80, SM90, SM100, Target
from kernelforge import Tensor
from kernelforge.errors import CompileError
from kernelforge.kernels.triton_compile import triton_version

TARGETS: dict[str, Target] = {target.name: target for target in (SM80, SM90, SM100, GFX942)}
FOLDER = Path(__file__).parent / "golden"
NEAR = 0.1  # by which figures may differ with nothing lost
EXACT = ("threads", "spills", "stack", "shared")
Kept = dict[str, dict[str, dict[str, int]]]


def empty(*shape: int, dtype: str = "bfloat16") -> Tensor:
    return Tensor.empty(*shape, dtype=dtype)


def product(m: int, n: int, k: int, dtype: str = "bfloat16") -> list[Tensor]:
    return [empty(m, k, dtype=dtype) @ empty(k, n, dtype=dtype)]


def fused() -> list[Tensor]:
    """A product with all that may follow it."""
    a, b, bias, residual = empty(4096, 1024), empty(1024, 4096), empty(4096), empty(4096, 4096)
    return [(a @ b + bias).gelu() + residual]


def weight_gradient() -> list[Tensor]:
    """Of a layer: many rows are summed over, few places are stored."""
    return [empty(16_384, 768).transpose(0, 1) @ empty(16_384, 768)]


def attention(depth: int, causal: bool, backward: bool, dtype: str = "bfloat16") -> list[Tensor]:
    q, k, v, g = (empty(2, 16, 2048, depth, dtype=dtype) for _ in range(4))
    out = q.scaled_dot_product_attention(k, v, is_causal=causal)
    return list(out.gradient(q, k, v, gradient=g)) if backward else [out]


def attention_at_once(depth: int, dtype: str = "bfloat16") -> list[Tensor]:
    """The output and its gradients in one plan."""
    q, k, v, g = (empty(2, 16, 2048, depth, dtype=dtype) for _ in range(4))
    out = q.scaled_dot_product_attention(k, v, is_causal=True)
    return [out, *out.gradient(q, k, v, gradient=g)]


def norm(backward: bool) -> list[Tensor]:
    x, scale, shift, g = empty(8192, 2048), empty(2048), empty(2048), empty(8192, 2048)
    out = x.layernorm() * scale + shift
    return list(out.gradient(x, scale, shift, gradient=g)) if backward else [out]


def cross_entropy() -> list[Tensor]:
    logits = empty(4096, 50_304)
    return list(logits.cast("float32").cross_entropy(empty(4096, dtype="int32")).gradient(logits))


def convolution() -> list[Tensor]:
    return [empty(8, 64, 56, 56).conv2d(empty(64, 64, 3, 3), padding=1)]


KERNELS: dict[str, Callable[[], list[Tensor]]] = {
    "chain": lambda: [(empty(1 << 22) * 1.5 + empty(1 << 22)).gelu()],
    "chain of odd size": lambda: [empty(1_000_003).gelu()],
    "transpose": lambda: [empty(4096, 2048).transpose(0, 1).contiguous()],
    "softmax": lambda: [empty(8192, 4096).softmax(-1)],
    "softmax of long rows": lambda: [empty(512, 131_072).softmax(-1)],
    "sum of columns": lambda: [empty(8192, 4096, dtype="float32").sum(0)],
    "sum of all": lambda: [empty(8192, 4096, dtype="float32").sum()],
    "prefix sums": lambda: [empty(4096, 4096, dtype="float32").cumsum(1)],
    "layer norm": lambda: norm(False),
    "layer norm, gradients": lambda: norm(True),
    "cross entropy, gradient": cross_entropy,
    "product, large": lambda: product(4096, 4096, 4096),
    "product, middle": lambda: product(1024, 1024, 1024),
    "product, one row": lambda: product(1, 4096, 4096),
    "product, float16": lambda: product(2048, 2048, 2048, "float16"),
    "product, float32": lambda: product(2048, 2048, 2048, "float32"),
    "product, odd": lambda: product(1000, 1000, 1000),
    "product, lines of odd length": lambda: [empty(1001, 777) @ empty(1003, 777).transpose(0, 1)],
    "product of int8": lambda: [empty(4096, 4096, dtype="int8").matmul(empty(4096, 4096, dtype="int8"), dtype="int32")],
    "product with what follows": fused,
    "weight gradient": weight_gradient,
    "attention 64": lambda: attention(64, False, False),
    "attention 128, causal": lambda: attention(128, True, False),
    "attention 64, causal, gradients": lambda: attention(64, True, True),
    "attention 128, causal, gradients": lambda: attention(128, True, True),
    "attention 64, output and gradients": lambda: attention_at_once(64),
    "attention 128, output and gradients": lambda: attention_at_once(128),
    "attention 64, float32, output and gradients": lambda: attention_at_once(64, "float32"),
    "attention 128, float32, gradients": lambda: attention(128, False, True, "float32"),
    "attention 256, causal, gradients": lambda: attention(256, True, True),
    "convolution": convolution,
}
SAMPLE = ("chain", "layer norm", "product, middle")


def kept(target: Target) -> Kept:
    """What is kept of a target: by kernel and launch."""
    path = FOLDER / f"{target.name}.json"
    found: Kept = json.loads(path.read_text())["kernels"] if path.exists() else {}
    return found


def version_of(target: Target) -> str:
    """The Triton that made what is kept."""
    return str(json.loads((FOLDER / f"{target.name}.json").read_text())["triton"])


def differences(found: dict[str, Figures], expected: dict[str, dict[str, int]]) -> list[str]:
    """How kernels differ from what is kept of them, in words."""
    if found.keys() != expected.keys():
        return [f"launches {sorted(found)} instead of {sorted(expected)}"]
    told = []
    for launch, figures in found.items():
        for name, number in figures.asdict().items():
            before = expected[launch].get(name, 0)
            allowed = 0 if name in EXACT else max(2, NEAR * before)
            if abs(number - before) > allowed:
                told.append(f"{launch}: {name} {number} instead of {before}")
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="kernels (all)")
    parser.add_argument("--target", choices=TARGETS, action="append", help="one or more targets (all)")
    parser.add_argument("--write", action="store_true", help="keep what is found")
    options = parser.parse_args()
    failed = 0
    for name in options.target or TARGETS:
        target, known = TARGETS[name], kept(TARGETS[name])
        for kernel in options.names or KERNELS:
            try:
                found = all_figures(target, KERNELS[kernel]())
            except CompileError as error:
                print(f"{name}: {kernel}: {str(error)[:2000]}")
                failed += 1
                continue
            for text in differences(found, known.get(kernel, {})):
                print(f"{name}: {kernel}: {text}", flush=True)
                failed += 1
            known[kernel] = {launch: figures.asdict() for launch, figures in found.items()}
        if options.write:
            FOLDER.mkdir(exist_ok=True)
            ordered = {kernel: known[kernel] for kernel in KERNELS if kernel in known}
            text = json.dumps({"triton": triton_version(), "kernels": ordered}, indent=1)
            (FOLDER / f"{name}.json").write_text(text + "\n")
    return 0 if options.write else min(1, failed)


if __name__ == "__main__":
    sys.exit(main())
