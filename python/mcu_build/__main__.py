"""`python -m mcu_build`: the command, where its script is not on PATH."""

from mcu_build.cli import program

program()
