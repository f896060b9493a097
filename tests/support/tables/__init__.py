"""Kernel cases as data: one image with every portable kernel runs any plan, and a case costs no compiler.

What a plan calls beside them is compiled and linked once for each set of such kernels.
"""
