"""`mcu-build boards`: what there is to build for, and new boards."""

from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import debug_option, json_option
from mcu_build.cli.output import print_json, print_text, print_warning
from mcu_build.errors import Exit, McuError


class _Boards(click.RichGroup):
    """`boards` and `boards NAME` show; `boards new` and `boards check` are verbs of their own."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """As click does, with `show` where it is left out."""
        if not args or args[0] not in (*self.commands, "--help", "-h"):
            args = ["show", *args]
        return super().parse_args(context, args)


@click.group(cls=_Boards)
def command() -> None:
    """List the boards, or show one of them. A project's own are in its folder boards/."""


@command.command()
@click.argument("name", required=False)
@json_option
@debug_option
def show(name: str | None, as_json: bool, debug: bool) -> None:
    """List the boards, or show one."""
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


@command.command()
@click.argument("name")
@click.option("--like", metavar="BOARD", help="Start from a copy of this board.")
@click.option("--from-pack", metavar="PART", help="Start from a part of a CMSIS-Pack, such as STM32L432KCUx.")
@click.option(
    "--pack", type=click.Path(path_type=Path), help="The .pack file; else one that pyocd installed."
)
@json_option
@debug_option
def new(
    name: str, like: str | None, from_pack: str | None, pack: Path | None, as_json: bool, debug: bool
) -> None:
    """Write boards/NAME.toml, a board of your own, beside your model."""
    del debug
    from mcu_build.board import board_files, find_board, load_board
    from mcu_build.files import write_atomically

    if (like is None) == (from_pack is None):
        raise McuError("boards new: one of --like and --from-pack is needed", "", Exit.USAGE)
    if not name.replace("-", "_").isidentifier():
        raise McuError(f"boards new: {name!r} is not a name", "Use letters, digits, - and _.", Exit.USAGE)
    file = Path("boards") / f"{name}.toml"
    if file.exists():
        raise McuError(f"{file}: there is such a file already", "Choose another name, or remove it.")
    if like is not None:
        find_board(like, Path.cwd())
        text = board_files(Path.cwd())[like].read_text()
        text = f"# Started as a copy of {like}.\n{text}"
    else:
        from mcu_build.flash.packs import board_text

        text = f"# Started from a CMSIS-Pack.\n{board_text(str(from_pack), pack)}"
    write_atomically(file, f"# docs/boards.md describes every key.\n{text}".encode())
    load_board(file)
    if as_json:
        print_json({"file": str(file)})
    else:
        print_text(f"wrote {file}: check it with `mcu-build boards check {file}`")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@debug_option
def check(file: Path, as_json: bool, debug: bool) -> None:
    """Tell every mistake in a board file, and where pyocd knows its chip otherwise."""
    del debug
    from mcu_build.board import load_board
    from mcu_build.flash.parts import differences

    board = load_board(file)
    found = differences(board)
    if as_json:
        print_json({"board": board.id, "known": found is not None, "differences": found or []})
        return
    for line in found or ():
        print_warning(f"{file}: {line}")
    chip = "pyocd does not know its chip" if found is None else "held against pyocd's list of its chip"
    print_text(f"{file}: a good board file; {chip}")
