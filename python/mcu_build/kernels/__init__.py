"""Families of kernels: which calls each serves, its weights' layout, its cost, and the C++ that it emits."""
