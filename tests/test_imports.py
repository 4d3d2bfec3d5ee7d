"""Imports go one way: the rooms of docs/architecture.md, lowest first, and no cycle between modules."""

import ast
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A word is a file, a package, or a family of files: `choose` also places choose_cpu.py.
ORDER = {
    "codegen": """dtypes < ops < index < ir < streaming < target schedule program < interpret show < bounds < verify
                  < rebuild < scalar_rules sharing merging apart < contract < rewrite
                  < access picks < nodes < goals < triton_scope triton_tiles triton_dot triton_limits legality
                  < placing < nest < choose < triton opencl < generate""",
    "kernelforge": """settings errors counters buffer < graph views shape structure < grad simplify
                      < cuts split < axes demand naming group < questions merging < fuse lower
                      < memory < kernels < plan < debug dump faults < realize jit < tensor
                      < nn optim data io < inspect < cli < __main__""",
}
RANK = {
    (package, room): (package, rank)
    for package, rooms in ORDER.items()
    for rank, level in enumerate(rooms.split("<"))
    for room in level.split()
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ORDER
    for path in sorted((ROOT / package).rglob("*.py"))
}


def rank(module: str) -> tuple[str, int]:
    """Where a module stands; the front doors, `codegen` and `kernelforge` themselves, stand above their rooms."""
    package, _, inner = module.partition(".")
    if not inner:
        return package, len(ORDER[package])
    name = inner.split(".")[0]
    while (package, name) not in RANK and "_" in name:
        name = name.rpartition("_")[0]
    assert (package, name) in RANK, f"{module} is a new room: give it a place in the order"
    return RANK[package, name]


def imports(module: str, tree: ast.AST) -> set[str]:
    """The project's modules named by the import statements in tree, but for those that only type checkers run."""
    package = module if MODULES[module].stem == "__init__" else module.rpartition(".")[0]
    branches = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    unseen = {part for branch in branches if ast.unparse(branch.test) == "TYPE_CHECKING" for part in branch.body}
    found = set()
    for node in ast.walk(tree):
        if node in unseen:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                found.add(f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base)
    return {name for name in found if name.split(".")[0] in ORDER}


IMPORTS = {module: imports(module, ast.parse(path.read_text())) for module, path in MODULES.items()}


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    assert not {name for name in IMPORTS[module] if rank(name) > rank(module)}, f"{module} imports what is above it"


def test_no_cycle_between_modules() -> None:
    TopologicalSorter({module: names - {module} for module, names in IMPORTS.items()}).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_no_project_import_inside_a_function(module: str) -> None:
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert not imports(module, node), f"{module}.{node.name}: an import inside a function"
