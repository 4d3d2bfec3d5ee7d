"""Graphs held against what they mean, and the smallest program that fails."""
