"""Sums over windows (convolutions): recognised in a graph, computed in blocks with few multiplications."""
