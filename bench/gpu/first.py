"""The first result of a process, ours or torch's: what it was, and when after the imports.

    python -m bench.gpu.first [--step] [--torch] [--small]
"""

import sys
import time

import numpy as np

from kernelforge import Device, Tensor

if __name__ == "__main__":
    start = time.perf_counter()
    if "--torch" in sys.argv:
        import torch

        from bench.gpu.gpt2 import Sizes, TorchTrainer

        sizes = Sizes.tiny() if "--small" in sys.argv else Sizes(batch=4)
        ones = torch.ones((256, 256), device="cuda")
        found = (
            TorchTrainer(sizes, torch, "cuda").step()
            if "--step" in sys.argv
            else torch.compile(lambda x: (x @ x + 1).softmax(-1).sum())(ones)
        )
        text = f"{float(found):.4f}"
    elif "--step" in sys.argv:
        from bench.gpu.gpt2 import Sizes, Trainer

        loss = Trainer(Sizes.tiny() if "--small" in sys.argv else Sizes(batch=4)).step()
        text = f"loss {float(loss.item()):.4f}"
    else:
        x = Tensor(np.ones((256, 256), np.float32), device=Device.DEFAULT)
        text = f"sum {float((x @ x + 1).softmax().sum().item()):.1f}"
    print(f"{text}, {time.perf_counter() - start:.2f} s after the imports")
