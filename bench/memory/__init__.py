"""The most memory a training step takes: operation by operation, lazily, captured, within a budget, and in torch.

    python -m bench.memory            measures every model and writes docs/benchmarks/memory.md
    python -m bench.memory mlp lstm   some of them, nothing written

`models` has the models, each written once for both libraries, `side` measures one way in a process of its own.
"""
