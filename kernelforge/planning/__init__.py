"""Plans: the kernels of a graph in order, the memory between them, and plans whose sizes stay open."""
