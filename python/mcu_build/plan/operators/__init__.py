"""One function for each operator of a program: which kernel serves it, with which parameters."""

from mcu_build.plan.operators import layout, quantize

TABLES = (layout.SELECTORS, quantize.SELECTORS)
