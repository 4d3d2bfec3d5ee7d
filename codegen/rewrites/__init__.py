"""Rewrites of kernels: the same stores, computed with less."""
