"""Everything that is to be known of one GPU, in less than nine minutes: python -m bench.gpu

    table      rows, kept as JSON and Markdown after each of them, so that a run that is cut off leaves what it measured
    timing     seconds on the device: a CUDA graph of many repetitions, for kernelforge and for torch alike
    lab        the two sides, operands, cases: right results first, then times
    products   matrix products, also with something fused to them
    attention  forward and backward
    rows       elementwise chains, softmax, norms, cross entropy
    host       what the host pays for a launch and for a known step; the first result of a process
    gpt2       training steps of GPT-2
    checks     the tests, as far as time allows

torch is compared with where it is installed and sees the GPU; without it there are times and ceilings.
"""
