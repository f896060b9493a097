"""Exact definitions of integer operators in NumPy: what kernels on every core equal to the bit."""
