"""int8 ExportedProgram → program.pte, and what went where and why."""
