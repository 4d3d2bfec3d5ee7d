"""A graph as a drawing: which operations a value and its gradients consist of.

Comes in: tensors by name.  Goes out: text in the DOT language, for `dot -Tsvg` of Graphviz or any viewer of it.
"""

from __future__ import annotations

from kernelforge.calls import expanded
from kernelforge.graph import Node
from kernelforge.tensor import Tensor


def drawing(tensors: dict[str, Tensor], history: bool = True) -> str:
    r"""The graph of tensors in DOT: an ellipse for each operation, a box for each value that has a name.

    history  also draw what led to values that are computed already and that a gradient may flow through

    Operations made of others, and gradients, are drawn as the operations they stand for.

    >>> a = Tensor([2.0], requires_grad=True)
    >>> print(drawing({"a": a, "y": a * a}))
    digraph {
      rankdir=LR
      n0 [shape=box label="a"]
      n1 [label="mul\n[1]"]
      n2 [shape=box label="y"]
      n0 -> n1
      n0 -> n1
      n1 -> n2
    }
    """
    roots = expanded([tensor._node for tensor in tensors.values()], history)
    names: dict[Node, list[str]] = {}
    for name, node in zip(tensors, roots):
        names.setdefault(node, []).append(name)
    lines: list[str] = []
    edges: list[str] = []
    shown: dict[Node, str] = {}
    for node in _in_order(roots, history):
        number = shown[node] = f"n{len(lines)}"
        called = ", ".join(names.get(node, ())).replace('"', "'")
        if not _sources(node, history):
            lines.append(f'{number} [shape=box label="{called or _leaf(node)}"]')
            continue
        lines.append(f'{number} [label="{node.op}\\n{list(node.shape)}"]')
        edges += [f"{shown[source]} -> {number}" for source in node.src]
        if called:
            lines.append(f'n{len(lines)} [shape=box label="{called}"]')
            edges.append(f"{number} -> n{len(lines) - 1}")
    return "\n".join(["digraph {", *(f"  {line}" for line in ["rankdir=LR", *lines, *edges]), "}"])


def _leaf(node: Node) -> str:
    return f"{node.attr:.6g}" if node.op == "const" else f"{node.op} {list(node.shape)} {node.dtype}"


def _sources(node: Node, history: bool) -> tuple[Node, ...]:
    """What the node is drawn as computed from."""
    return node.src if history or node.realized is None else ()


def _in_order(roots: list[Node], history: bool) -> list[Node]:
    """Every node once, what it is computed from first."""
    order: dict[Node, None] = {}
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order[node] = None
        elif node not in order:
            stack.append((node, True))
            stack += [(source, False) for source in reversed(_sources(node, history)) if source not in order]
    return list(order)
