"""Kernels in, source text out.

This room turns a `Kernel` (axes and expressions, exact sizes, no hardware) and a `Schedule` (pure data) into the text
of a Triton or OpenCL kernel.  It knows no tensors, devices or buffers.  Read the files in this order:

    dtypes ops index ir        the language: element types, the scalar-op table, index algebra, kernel IR
    program                    what comes out: source text with its grid and parameters
    interpret show             the language's meaning (NumPy), its readable form
    bounds verify              what is certain about an index under guards; the language's laws
    rebuild scalar_rules       kernels built anew; identities of single operations
    sharing merging contract   which axes become one; which are split or merged; the roles of a contraction's axes
    rewrite streaming          the canonical form of a kernel; one-pass rescaling
    target schedule choose     hardware facts; schedule as data and its legality; default schedules
    nest                       kernel + schedule -> loop nest
    opencl triton              the printers
    generate                   the whole pipeline in one short function
"""
