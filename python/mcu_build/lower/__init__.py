"""int8 ExportedProgram → program.pte, and what went where and why."""

from mcu_build.lower.upstream.without_inductor import load_inductor_late

# Before any module of executorch.
load_inductor_late()
