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
    from mcu_build.tables import render

    project = Path.cwd()
    if name:
        board = find_board(name, project)
        if as_json:
            print_json({"board": board.model_dump()})
        else:
            print_text(_described(board))
        return
    rows, broken = [], []
    for id, file in board_files(project).items():
        try:
            rows.append(_row(load_board(file)))
        except McuError as error:
            broken.append({"id": id, "file": str(file), "error": error.message, "hint": error.hint})
    if as_json:
        print_json({"boards": rows, "broken": broken})
        return
    headings = ("board", "core", "kernels", "RAM", "clock", "simulator", "flash with", "NPU", "name")
    # A board is given by its name, which no terminal is too narrow for.
    optional = ("kernels", "name", "clock", "NPU", "RAM")
    print_text(render(headings, [_cells(row) for row in rows], {"RAM", "clock"}, optional=optional))
    for problem in broken:
        print_warning(f"{problem['error']} (`mcu-build boards check {problem['file']}`)")


def _row(board: Any) -> dict[str, Any]:
    from mcu_build.codegen.target import kernel_folders

    return {
        "id": board.id,
        "name": board.name,
        "core": board.core,
        "kernels": next(folder for folder in kernel_folders(board) if folder != "npu"),
        "writable_memory": sum(memory.size for memory in board.memory if "w" in memory.access),
        "clock": board.clock,
        "simulators": [name for name in ("qemu", "fvp") if getattr(board.run, name) is not None],
        "flash": [name for name in ("uf2", "pyocd", "openocd") if getattr(board.flash, name) is not None],
        "npu": board.npu.default if board.npu else None,
    }


def _described(board: Any) -> str:
    """One board for a person: what it is, its memories and what lies in them, how it is run and flashed."""
    from mcu_build.tables import render

    row = _row(board)
    features = [f"FPU {board.fpu}", *(name.upper() for name in ("dsp", "mve") if getattr(board, name))]
    npus = ", ".join(("none", *board.npu.names)) if board.npu else "-"
    lines = [
        f"{board.id}: {board.name}",
        f"  core       {board.core}, {', '.join(features)}; kernels: {row['kernels']}",
        f"  clock      {_cells(row)[4]}",
        f"  simulator  {_cells(row)[5]}",
        f"  flash with {_cells(row)[6]}",
        f"  NPU        {npus}" + (f" (default {board.npu.default})" if board.npu else ""),
    ]
    roles = list(board.placement.roles) if board.placement else []
    memories = [
        [
            memory.name,
            f"{memory.origin:#010x}",
            f"{memory.size / 1024:,.0f} K",
            memory.access,
            ", ".join(role for role, name in roles if name == memory.name) or "-",
        ]
        for memory in board.memory
    ]
    table = render(("memory", "from", "size", "access", "holds"), memories, {"size"}) if memories else ""
    sources = [f"  {source}" for source in board.sources]
    return "\n".join([*lines, "", table, "sources:", *sources])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    memory, clock = row["writable_memory"], row["clock"]
    return (
        row["id"],
        row["core"],
        row["kernels"],
        f"{memory // 1024:,} K" if memory else "-",
        f"{clock / 1e6:g} MHz" if clock else "-",
        ", ".join(row["simulators"]) or "-",
        ", ".join(row["flash"]) or "-",
        row["npu"] or "-",
        row["name"],
    )


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
        raise McuError(
            "boards new: one of --like and --from-pack is needed",
            "For example: mcu-build boards new mine --like nucleo-f446re.",
            Exit.USAGE,
        )
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
    problems, openocd = differences(board), _openocd(board)
    if as_json:
        known = {"known": problems is not None, "differences": problems or []}
        print_json({"board": board.id, **known, "openocd": openocd})
        return
    for line in problems or ():
        print_warning(f"{file}: {line}")
    chip = "pyocd does not know its chip" if problems is None else "held against pyocd's list of its chip"
    print_text("; ".join([f"{file}: a good board file", chip, *([openocd] if openocd else [])]))


def _openocd(board: Any) -> str | None:
    """What OpenOCD says of the board's configuration; None: there is none. McuError where it is wrong."""
    from mcu_build.flash import openocd

    if board.flash.openocd is None:
        return None
    try:
        openocd.check(board)
    except McuError as error:
        if error.exit_code != Exit.TOOL_MISSING:
            raise
        return f"not read by OpenOCD: {error.message.splitlines()[0]}"
    return "OpenOCD takes its configuration"
