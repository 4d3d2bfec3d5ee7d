"""Kernels in, source text out.

This room turns a `Kernel` (axes and expressions, exact sizes, no hardware) and a `Schedule` (pure data) into the text
of a Triton or OpenCL kernel.  It knows no tensors, devices or buffers.  Read the files in this order:

    dtypes ops index ir        the language: element types, the scalar-op table, index algebra, kernel IR
    program                    what comes out: source text with its grid and parameters
    interpret show             the language's meaning (NumPy), its readable form
    bounds verify              what is certain about an index under guards; the language's laws
    rewrites/                  the canonical form of a kernel: which axes become one, which are split or merged, ...
    streaming                  one-pass rescaling
    target schedule legality   hardware facts; schedule as data; what makes one legal
    choose/                    default schedules, and all else the recipes can do
    nest                       kernel + schedule -> loop nest
    opencl/ triton/            the printers
    generate                   the whole pipeline in one short function
    open_sizes                 axes of open size; open_schedules, open_texts, fitting, resized: one kernel for all sizes
"""
