"""Rewrites of graphs: the same values from fewer, cheaper or better divided nodes, before kernels are cut."""
