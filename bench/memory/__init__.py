"""The most memory a training step takes: operation by operation, lazily, captured, within a budget, and in torch.

    python -m bench.memory            measures every model and writes docs/benchmarks/memory.md
    python -m bench.memory "U-Net, 8" "ViT, 1" "random 17" "wider 4"   some of these, nothing written

`models` and `wider` have the models, each written once for both libraries, `side` measures one way in a process of its
own.  A name with " (inference)" behind it is the model without training.
"""
