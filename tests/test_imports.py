"""Imports go one way: the rooms of each package, lowest first, import only their own level and those below."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A word is a file, a package, or a family of files: `choose` also places choose_cpu.py.
ORDER = {
    "codegen": """dtypes threefry < ops < index < ir < origins < image streaming < target schedule program < interpret
                  show spell < bounds exact < checking verify < rebuild < scalar_rules < masked sharing merging
                  gathering apart scanning phases reordering factors < fixing contract < rewrite < access dots picks
                  overwriting < moved unlike nodes < open_sizes fitting goals resized < triton_scope triton_tiles
                  triton_dot triton_descriptor triton_limits legality < placing narrowing < nest show_nest < choose <
                  candidates < triton opencl < opencl_together generate < __init__""",
    "kernelforge": """blame collector later < settings errors < variable kinds progress counters buffer dlpack
                      recording < node < graph views shape structure hosted held checked < grad simplify virtual <
                      seen limits < cuts split tallies privatise alongside steady toom tiling ownership < axes demand
                      naming group < questions merging windowed blocks story < boundaries < fuse lower winograd <
                      calls < lifted < loops whiles reference < numbered formulas memory kept judging sketch <
                      resizing < kernels < tune < steps < joint layout < rounds < recomputing < plan < open_launches <
                      open_plans < observing ceilings < debug dumping edits faults graphs saved verifying < running <
                      tried < shrinking reproducing < confirming < realize < nans < tensor < autograd fft io linalg
                      special < array_api < counterparts < nn optim data < checkpoint amp replay < func < inspect <
                      bench < cli < __main__ __init__""",
}
LEVELS = [(package, set(row.split())) for package, rows in ORDER.items() for row in rows.split("<")]


def level(package: str, room: str) -> int:
    """Where a room stands, codegen below kernelforge; a file that is not in the order stands with its family."""
    found = [i for i, (name, rooms) in enumerate(LEVELS) if name == package and room in rooms]
    return found[0] if found else level(package, room[: room.rindex("_")])


def imports(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """Package and room of each of the project's imports among nodes."""
    for node in nodes:
        if isinstance(node, ast.If):  # else: later(globals(), name="kernelforge.room")
            words = [word.value for call in ast.walk(node) if isinstance(call, ast.Call) for word in call.keywords]
            later = [str(word.value) for word in words if isinstance(word, ast.Constant)]
            yield from ((*name.split(".")[:2],) for name in later if name.split(".")[0] in ORDER)  # type: ignore[misc]
        if isinstance(node, ast.ImportFrom) and (module := node.module or "").split(".")[0] in ORDER:
            yield from ((*f"{module}.{alias.name}".split(".")[:2],) for alias in node.names)  # type: ignore[misc]


@pytest.mark.parametrize("path", [p for name in ORDER for p in sorted((ROOT / name).rglob("*.py"))], ids=str)
def test_imports_go_down(path: Path) -> None:
    tree, own = ast.parse(path.read_text()), level(*path.relative_to(ROOT).with_suffix("").parts[:2])
    assert all(level(*found) <= own for found in imports(tree.body)), "an import of what is above"
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert not any(list(imports(ast.walk(function))) for function in functions), "an import inside a function"


def test_an_import_loads_nothing_that_only_computing_needs() -> None:
    """To import the library takes half as long as it would with the compiler and the drivers."""
    done = subprocess.run([sys.executable, "-c", "import sys, kernelforge; print(*sys.modules)"],
                          capture_output=True, text=True, check=True, cwd=ROOT)  # fmt: skip
    loaded = done.stdout.split()
    unneeded = ("kernelforge.realize", "kernelforge.plan", "kernelforge.grad", "kernelforge.replay", "kernelforge.nn",
                "kernelforge.kernels.opencl", "kernelforge.kernels.interpreted", "codegen.nest",
                "codegen.opencl")  # fmt: skip
    assert "kernelforge.tensor" in loaded and not {"pyopencl", *unneeded} & set(loaded)
