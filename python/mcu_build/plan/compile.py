"""The passes from a program to a placed plan, in their order."""

from mcu_build.plan.ir import Plan
from mcu_build.plan.memory import place
from mcu_build.plan.outputs import separate_outputs
from mcu_build.plan.select import select
from mcu_build.program import Program


def compile_program(program: Program, name: str) -> Plan:
    """Choose kernels and place memory. McuError names what cannot be compiled."""
    return place(separate_outputs(select(program, name)))
