"""Kernel cases as data: a runner takes plans that are tables, and a case costs no compiler.

On this computer (host.py) one program has every portable kernel. A core's image (core.py) has the kernels
that the cases of a test call, each compiled once for the core. Both are kept until something that goes into
them changes, and so is what this computer computes: the values that are expected of every core (made.py).
"""
