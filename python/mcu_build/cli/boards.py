"""`mcu-build boards`: what there is to build for."""

from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import debug_option, json_option
from mcu_build.cli.output import print_json, print_text


@click.command()
@click.argument("name", required=False)
@json_option
@debug_option
def command(name: str | None, as_json: bool, debug: bool) -> None:
    """List the boards, or show one of them. A project's own are in its folder boards/."""
    del debug
    from mcu_build.board import board_files, find_board, load_board

    project = Path.cwd()
    if name:
        board = find_board(name, project)
        print_json({"board": board.model_dump()})
        return
    rows = []
    for id, file in board_files(project).items():
        board = load_board(file)
        ram = sum(memory.size for memory in board.memory if "w" in memory.access)
        rows.append(_row(id, board.name, board.core, board.mve, board.dsp, ram))
    if as_json:
        print_json({"boards": rows})
        return
    for row in rows:
        memory = f"{row['writable_memory'] // 1024:>6} K" if row["writable_memory"] else "       -"
        print_text(f"{row['id']:<18} {row['core']:<12} {row['kernels']:<10} {memory}  {row['name']}")


def _row(id: str, name: str, core: str, mve: bool, dsp: bool, ram: int) -> dict[str, Any]:
    kernels = "mve" if mve else "dsp" if dsp else "reference"
    return {"id": id, "name": name, "core": core, "kernels": kernels, "writable_memory": ram}
