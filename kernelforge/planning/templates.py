"""Programs of groups, made once for all groups of one structure.

Comes in: a group of nodes, and the device it is for.  Goes out: its `Template`, which holds no node and no buffer, and
the group's nodes by number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

from codegen.assumed import again, noting
from codegen.choose.default import is_preferred
from codegen.generate import generate
from codegen.ir import Expr, Kernel
from codegen.open_sizes import STATIC, Sizes
from codegen.opencl.together import is_part
from codegen.origins import Origins, Rewrite, following
from codegen.overwriting import overwritable, overwriting, paired
from codegen.program import Program
from codegen.rewrites.beginning import begun
from codegen.rewrites.changing import where_changed
from codegen.show import show
from codegen.target import Target
from kernelforge import tune
from kernelforge.fusion.group import Group
from kernelforge.fusion.lower import FAULT, lower
from kernelforge.graph import Line, Node
from kernelforge.kernels import Device
from kernelforge.kernels.interpreted import InterpretedRuntime
from kernelforge.planning.spaced import APART
from kernelforge.settings import shows_kernels
from kernelforge.structure import Structure, structure


@dataclass(frozen=True)
class Template:
    """The program of a group, for all groups of its structure.

    arguments  for each parameter: the number of its node in the structure, or None for the fault flags
    checks     for each fault flag: the size, and the number of the node it belongs to
    fitting    (output, input) by number: the output could be written in the place of the input
    takes      the same for those that are
    is_plain   its program may be a part of another
    origins    for each expression of its kernel the numbers of the nodes it comes from; empty unless kernels are shown
    begins     for each parameter the bytes of its node before the part that is its argument
    rewrites   likewise the steps its kernel was rewritten in
    assumed    what its kernel takes for granted; see `codegen/assumed.py`
    """

    program: Program
    arguments: tuple[int | None, ...]
    checks: tuple[tuple[int, int], ...]
    fitting: tuple[tuple[int, int], ...] = ()
    takes: tuple[tuple[int, int], ...] = ()
    begins: tuple[int, ...] = ()
    is_plain: bool = False
    origins: Mapping[Expr, frozenset[int]] = field(default_factory=dict)
    rewrites: tuple[Rewrite, ...] = ()
    assumed: frozenset[tuple[str, int]] = frozenset()


MOST_TEMPLATES: Final = 4096
MOST_PROGRAMS: Final = 512

_programs: Final[dict[tuple[object, ...], Program]] = {}
_templates: Final[dict[tuple[object, ...], Template]] = {}


def lines_of(template: Template, numbered: Sequence[Node]) -> dict[Expr, frozenset[Line]]:
    """The user's lines each expression of a template's kernel comes from, in a group of its structure."""
    lines = [node.line for node in numbered]
    return {
        e: frozenset(line for number in numbers if (line := lines[number]) is not None)
        for e, numbers in template.origins.items()
    }


def template_of(
    group: Group,
    target: Target,
    device: str,
    results: frozenset[Node] = frozenset(),
    dying: frozenset[Node] = frozenset(),
    sizes: Sizes = STATIC,
    begins: bool = False,
) -> tuple[Template, list[Node]]:
    """A group's kernel, and the group's nodes by number.

    results, dying   outputs that may be written in the places of inputs
    begins   whether it is to read inputs from where it begins to read them
    """
    shape = _structure(group)
    nodes = [*shape.nodes, *(node for node in group.outputs if node not in shape.nodes)]
    keeps = shows_kernels() or isinstance(Device[device], InterpretedRuntime)
    way = (group.outputs[0].op, group.outputs[0].attr) if group.kind in ("scatter", "stack") else None
    key = (group.kind, device, keeps, way, tune.state(), shape.key, sizes, begins,
           tuple((node.shape, node.dtype, node in results and bool(dying)) for node in group.outputs),
           tuple(i for i, node in enumerate(nodes) if node in dying))  # fmt: skip
    template = _templates.get(key)
    if template is None:
        if len(_templates) >= MOST_TEMPLATES:
            del _templates[next(iter(_templates))]
        with noting() as noted:
            template = _make_template(group, target, nodes, device, keeps, results, dying, sizes, begins)
        template = _templates[key] = replace(template, assumed=frozenset(noted) if sizes.open else frozenset())
    again(template.assumed)
    return template, nodes


def _make_template(
    group: Group,
    target: Target,
    nodes: Sequence[Node],
    device: str,
    keeps: bool,
    results: frozenset[Node],
    dying: frozenset[Node],
    sizes: Sizes,
    begins: bool,
) -> Template:
    number = {node: i for i, node in enumerate(nodes)}
    lowered = lower(group, keeps)
    node_of = lowered.nodes
    fitting = {} if target.language == "triton" else overwritable(lowered.kernel)
    wanted = {out: [x for x in operands if node_of[x.name] in dying]
              for out, operands in fitting.items() if node_of[out.name] in results}  # fmt: skip
    pairs = paired(lowered.kernel, wanted)
    kernel = overwriting(lowered.kernel, pairs) if pairs else lowered.kernel
    if pairs and kernel.reduces and _is_slower(kernel, lowered.kernel, target):
        pairs, kernel = {}, lowered.kernel
    arguments = tuple(None if p.name == FAULT else number[node_of[p.name]] for p in kernel.params)
    checks = tuple((check.size, number[check.node]) for check in lowered.checks)
    tags: Origins = dict(lowered.origins)
    with following(tags):
        kernel = where_changed(kernel) if pairs and not sizes.open else kernel
        kernel, before = begun(kernel, APART) if begins else (kernel, {})
        if sizes.open:
            program = generate(kernel, target, sizes=sizes)
        else:
            program = (_shared_program if before and not keeps else tune.program)(kernel, target, device)
    if keeps:
        origins = {e: frozenset(number[node] for node in found if node in number) for e, found in tags.items()}
        program = replace(program, kernel=kernel)
    else:
        origins, program = {}, replace(program, kernel=kernel if sizes.open else None, origins=())
    possible = [(out, x) for out, operands in fitting.items() for x in operands]
    could, does = (
        tuple((number[node_of[out.name]], number[node_of[x.name]]) for out, x in some)
        for some in (possible, pairs.items())
    )
    is_plain = not (checks or sizes.open) and is_part(program)
    starts = tuple(before.get(p.name, 0) for p in kernel.params) if before else ()
    return Template(program, arguments, checks, could, does, starts, is_plain, origins, lowered.steps)


def _shared_program(kernel: Kernel, target: Target, device: str) -> Program:
    """`tune.program`, once for all kernels that are equal."""
    key = device, tune.state(), show(kernel)
    if key not in _programs:
        if len(_programs) >= MOST_PROGRAMS:
            del _programs[next(iter(_programs))]
        _programs[key] = tune.program(kernel, target, device)
    return _programs[key]


def _structure(group: Group) -> Structure:
    return structure(group.values if group.kind != "scatter" else group.outputs[0].src[1:], frozenset(group.inputs))


def alike_but_for_places(groups: Iterable[Group]) -> list[list[Group]]:
    """The groups, put together where they differ in nothing but where they begin to read."""
    found: dict[object, list[Group]] = {}
    for group in groups:
        key = cast(tuple[object, ...], _structure(group).key)
        sizes = [tuple([b - a for a, b in x]) if op == "shrink" else x for op, x in zip((None, *key), key)]  # type: ignore
        found.setdefault((group.kind, *sizes), []).append(group)
    return list(found.values())


def _is_slower(kernel: Kernel, plain: Kernel, target: Target) -> bool:
    """True where results in the places of operands rule out the schedule a kernel would have without."""
    if target.language == "interpreted":
        return False
    return not is_preferred(kernel, target) and is_preferred(plain, target)
