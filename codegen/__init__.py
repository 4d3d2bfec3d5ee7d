"""Kernels in, source text out.

This room turns a `Kernel` (axes and expressions, exact sizes, no hardware) and a `Schedule` (pure data) into the text
of a Triton or OpenCL kernel.  It knows no tensors, devices or buffers.  Read the files in this order:

    dtypes ops index ir        the language: element types, the scalar-op table, index algebra, kernel IR
    program                    what comes out: source text with its grid and parameters
    verify interpret show      the language's laws, its meaning (NumPy), its readable form
    rewrite contract streaming rewrites that hold for every input; roles in a contraction; one-pass rescaling
    target schedule choose     hardware facts; schedule as data and its legality; default schedules
    nest                       kernel + schedule -> loop nest
    opencl triton              the printers
    generate                   the whole pipeline in one short function
"""
