"""The user's file → ExportedProgram → int8 ExportedProgram."""
