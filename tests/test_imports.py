"""Imports go one way: the rooms of each package, lowest first, import only their own level and those below."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A word is a file or a folder; folders whose files import each other as they like have no order of their own.
ORDER = {
    "codegen": """assumed < dtypes threefry index target fitting < ops < ir < origins streaming program interpret access
                  dots image exact overwriting clamped < schedule < show spell bounds < checking verify resized moved <
                  rewrites < nodes < open_sizes goals show_schedule show_nest < narrowing legality < triton < placing
                  placing_boxes < nest < choose < opencl < open_texts < generate <
                  open_schedules < __init__""",
    "codegen/rewrites": """factors rebuild scalar_rules apart < contract masked sharing merging gathering
                           scanning phases relieving reordering beginning < changing deciding fixing unlike < rewrite <
                           __init__""",
    "codegen/choose": """picks across ahead hoisted kept < contraction nested staged < forms along streamed transposed
                         triton_dots < neighbours window triton < cpu < items < default < candidates < __init__""",
    "codegen/opencl": """functions lines runs scans segments sources squares tails ahead < prelude pairs < text index <
                         boxes gathers masks < items < moves stores words < dots < leaves < pack < printer < together <
                         __init__""",
    "codegen/triton": "scope text < grid tiles < descriptor dot < limits expr < store < printer < __init__",
    "kernelforge": """blame collector later members < settings errors < native variable kinds progress counters growth
                      buffer dlpack recording < node < exclusive interning < graph < views shape structure hosted held
                      carried checked seen < grad < rewrites < kernels < ceilings tune < calls fusion <
                      loops whiles windows <
                      planning < execution < checking < dumping < met foreseen < realize < nans < tensor <
                      autograd fft io linalg signal special < array_api < counterparts differences <
                      nn optim data < checkpoint amp replay < func < functions inspect
                      < bench < cli < __main__ __init__""",
    "kernelforge/fusion": """limits axes group naming < demand scores story < cuts questions lower < merging <
                             boundaries < fuse < __init__""",
    "kernelforge/windows": "toom windowed < blocks < winograd < __init__",
    "kernelforge/planning": """bounded memory kept formulas numbered spaced < steps varied <
                               joint layout rounds open_launches squeezed < recomputing open_steps of_one <
                               templates < plan < open_making < open_sized < open_plans < __init__""",
    "kernelforge/execution": """observing ownership plan_function < debug edits faults graphs saved verifying <
                                running < tried < __init__""",
    "kernelforge/checking": """reference sketch < judging resizing < shrinking reproducing < confirming < __init__""",
}
FILES = [path for name in ("codegen", "kernelforge") for path in sorted((ROOT / name).rglob("*.py"))]
LEVELS = {folder: {word: i for i, row in enumerate(rows.split("<")) for word in row.split()}
          for folder, rows in ORDER.items()}  # fmt: skip


def goes_down(own: tuple[str, ...], found: tuple[str, ...]) -> bool:
    """Whether a module may import another: where their names part, the other's part is on the same level or below."""
    parting = next((i for i, (mine, other) in enumerate(zip(own, found)) if mine != other), 0)
    if not parting:  # of one room, or of two packages: codegen is below kernelforge
        return own[0] == found[0] or own[0] == "kernelforge"
    levels = LEVELS.get("/".join(own[:parting]))
    return levels is None or levels.get(found[parting], -1) <= levels[own[parting]]


def imports(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ...]]:
    """The dotted names of each of the project's imports among nodes, as parts."""
    for node in nodes:
        if isinstance(node, ast.If):  # else: later(globals(), name="kernelforge.room")
            words = [word.value for call in ast.walk(node) if isinstance(call, ast.Call) for word in call.keywords]
            later = [str(word.value) for word in words if isinstance(word, ast.Constant)]
            yield from ((*name.split("."),) for name in later if name.split(".")[0] in ORDER)
        if isinstance(node, ast.ImportFrom) and (module := node.module or "").split(".")[0] in ORDER:
            yield from ((*module.split("."), alias.name) for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_down(path: Path) -> None:
    tree, own = ast.parse(path.read_text()), path.relative_to(ROOT).with_suffix("").parts
    assert all(goes_down(own, found) for found in imports(tree.body)), "an import of what is above"
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert not any(list(imports(ast.walk(function))) for function in functions), "an import inside a function"


def test_an_import_loads_nothing_that_only_computing_needs() -> None:
    """To import the library takes half as long as it would with the compiler and the drivers."""
    done = subprocess.run([sys.executable, "-c", "import sys, kernelforge; print(*sys.modules)"],
                          capture_output=True, text=True, check=True, cwd=ROOT)  # fmt: skip
    loaded = done.stdout.split()
    unneeded = ("kernelforge.realize", "kernelforge.planning.plan", "kernelforge.grad", "kernelforge.replay",
                "kernelforge.nn", "kernelforge.kernels.opencl", "kernelforge.kernels.interpreted", "codegen.nest",
                "codegen.opencl.printer")  # fmt: skip
    assert "kernelforge.tensor" in loaded and not {"pyopencl", *unneeded} & set(loaded)
