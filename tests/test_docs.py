"""The pages of docs/ tell what the code does: quoted kernels and sources are generated anew and compared."""

import re
from pathlib import Path

import numpy as np
import pytest

from codegen.generate import generate
from codegen.ir import Kernel
from codegen.show import show
from codegen.target import CPU, SM90
from kernelforge import Context, Tensor
from kernelforge.kernels import Device
from kernelforge.planning.plan import make_plan
from kernelforge.structure import structure

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    """The kernel of the expression that docs/architecture.md follows."""
    x, w, b = (Tensor(np.zeros(shape, np.float32)).realize() for shape in ((512, 768), (768, 3072), (3072,)))
    node = (x @ w + b).gelu()._node
    with Context(DUMP_LANGUAGE="both"):
        (step,) = make_plan([node], structure([node]).leaves, Device.DEFAULT).launches
    assert step.program.kernel is not None
    return step.program.kernel


def quoted() -> list[str]:
    """The fenced blocks of the worked example."""
    page = (ROOT / "docs" / "architecture.md").read_text().split("## One expression through all rooms")[1]
    return re.findall(r"```\w*\n(.*?)```", page, re.DOTALL)


def lines(text: str) -> list[str]:
    """The lines of a text that are quoted whole, without indentation."""
    return [line.strip() for line in text.splitlines() if line.strip() and "/*" not in line]


def test_the_worked_example_is_what_is_generated(kernel):
    algebra, schedule, opencl, triton = quoted()
    assert lines(algebra) == lines(show(kernel))
    source = generate(kernel, CPU).source
    header = [line.removeprefix("//").strip() for line in source.splitlines() if line.startswith("//")]
    assert set(lines(schedule)) <= set(header)
    assert set(lines(opencl)) <= {line.strip() for line in source.splitlines()}
    assert set(lines(triton)) <= {line.strip() for line in generate(kernel, SM90).source.splitlines()}


def test_pictures_and_pages_the_readme_names_are_there():
    for name in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / name).exists(), name
