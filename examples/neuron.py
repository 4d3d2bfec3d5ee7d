"""One neuron, o = tanh(w * x + b): its value, its gradients, the graph of both, and the kernel that computes them.

    pip install 'kernelforge[cpu]'
    python examples/neuron.py [--draw neuron.dot]

The drawing is in the language of Graphviz: `dot -Tsvg neuron.dot > neuron.svg`.
"""

import argparse
from pathlib import Path

from kernelforge import Tensor
from kernelforge.inspect import drawing


def neuron(w: float, x: float, b: float) -> tuple[dict[str, Tensor], str]:
    """The parts and gradients of the neuron by name, and the drawing of their graph."""
    parts = {name: Tensor(value, requires_grad=True) for name, value in (("w", w), ("x", x), ("b", b))}
    n = parts["w"] * parts["x"] + parts["b"]
    o = n.tanh()
    slopes = o.gradient(*parts.values())  # expressions, like o itself: nothing has been computed yet
    tensors = parts | {"n": n, "o": o} | {f"do/d{name}": slope for name, slope in zip(parts, slopes)}
    return tensors, drawing(tensors)


def main() -> None:
    parser = argparse.ArgumentParser(description="One neuron and its gradients.")
    parser.add_argument("--draw", type=Path, help="file for the drawing of the graph")
    options = parser.parse_args()
    tensors, graph = neuron(w=-3.0, x=2.0, b=6.8813735870195432)
    if options.draw:
        options.draw.write_text(graph)
    else:
        print(graph)
    outputs = [tensor for name, tensor in tensors.items() if name not in ("w", "x", "b")]
    print(outputs[0].explain(*outputs[1:]))
    for name, tensor in tensors.items():
        print(f"{name:6}{tensor.item():8.4f}")


if __name__ == "__main__":
    main()
